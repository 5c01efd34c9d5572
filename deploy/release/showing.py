"""How far a command is: alive in a terminal, plain lines in a log, lines of JSON for programs.

Whoever reads it may leave, or its disk be full: a rollout does not stop half-way for that.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self, TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text

from deploy.release import columns
from deploy.release.columns import Grid
from deploy.release.progress import Progress
from wharfinger.jsontext import encode_line
from wharfinger.operator import terminal
from wharfinger.text import printable

_UNHEARD: Final = contextlib.suppress(OSError)


class Showing(Progress, Protocol):
    """Progress that is closed before the result is shown."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Live:
    """In a terminal: a line for each step, and below it what is waited for, with its seconds.

    Args:
        console: beside the result, that is on stderr.
        clock: monotonic seconds.
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._started_at = clock()
        self._stack = ExitStack()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        self._status = self._stack.enter_context(self._console.status(Text("...")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def step(self, text: str) -> None:
        """A line that stays."""
        seconds = Text(f"{self._clock() - self._started_at:6.1f} s  ", style="dim")
        with _UNHEARD:
            self._console.print(seconds, Text(printable(text)), sep="", soft_wrap=True)
        self._below(text)

    def waiting(self, what: str, done: int, of: int) -> None:
        """Below the last line."""
        self._below(f"{what}: {done} of {of}")

    def output(self, line: str) -> None:
        """A program's own words, less bright."""
        with _UNHEARD:
            self._console.print(Text(f"          {printable(line)}", style="dim"), soft_wrap=True)

    def _below(self, text: str) -> None:
        if self._status is not None:
            self._status.update(Text(printable(text)))


class Plain:
    """Without a terminal: a line for each, with the time; of what is waited for only the news."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with _UNHEARD:
            self._stream.flush()

    def step(self, text: str) -> None:
        """A line."""
        self._line(text)

    def waiting(self, what: str, done: int, of: int) -> None:
        """A line where it is news."""
        self._line(f"{what}: {done} of {of}")

    def output(self, line: str) -> None:
        """A line that is set in."""
        self._line(f"  {line}", again=True)

    def _line(self, text: str, *, again: bool = False) -> None:
        if text != self._last or again:
            now = datetime.now(UTC).strftime("%H:%M:%S")
            with _UNHEARD:
                print(f"{now} {printable(text)}", file=self._stream, flush=True)
        self._last = text


class Lines:
    """For programs: an object on a line for each, on stdout; of what is waited for the news."""

    def __init__(self) -> None:
        self._last: tuple[str, int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with _UNHEARD:
            sys.stdout.flush()

    def step(self, text: str) -> None:
        """What is done, or begins."""
        _event("step", text=text)

    def waiting(self, what: str, done: int, of: int) -> None:
        """What is waited for, where it is news."""
        if (what, done, of) != self._last:
            _event("waiting", what=what, done=done, of=of)
        self._last = (what, done, of)

    def output(self, line: str) -> None:
        """A line of a program."""
        _event("output", line=line)


def showing(*, as_json: bool) -> Showing:
    """What fits to where stderr goes."""
    if as_json:
        return Lines()
    return Live() if sys.stderr.isatty() else Plain()


def result(told: Mapping[str, Any], *, as_json: bool, text: str = "") -> None:
    """Shows what came of it, on stdout: one object, or the text for people."""
    if as_json:
        terminal.write(encode_line({"event": "result", **told}).decode() + "\n")
    elif text:
        terminal.write(f"{text}\n")


def complain(text: str) -> None:
    """Says on stderr what went wrong, line by line: what a container said last is its own words."""
    lines = [printable(line) for line in text.splitlines()]
    with _UNHEARD:
        sys.stderr.write("".join(f"{line}\n" for line in [f"deploy: {lines[0]}", *lines[1:]]))


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    told: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Shows rows below their titles, or the object that holds the same for programs."""
    if as_json:
        result(told, as_json=True)
    else:
        terminal.show_table(titles, rows)


def fitted(grid: Grid, told: Mapping[str, Any], *, as_json: bool) -> None:
    """The same, with no more of the columns than the terminal has room for."""
    titles, rows = columns.fitted(grid, terminal.width())
    table(titles, rows, told, as_json=as_json)


def _event(kind: str, **told: object) -> None:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with _UNHEARD:
        terminal.write(encode_line({"event": kind, "at": at, **told}).decode() + "\n")
