"""Who asked what: an event for each question, and a line in a file if there is one."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from logshipper.store.metrics import Metrics
from wharfinger.health import Check
from wharfinger.jsontext import encode_line
from wharfinger.text import shortened

Emit = Callable[..., None]

_MODE: Final = 0o600
# A disk that hangs must not take the memory: what is more is counted, and lost.
_WAITING_LINES: Final = 10_000
_VALUE_CHARACTERS: Final = 1_000
_VALUES: Final = 50
_MASK: Final = "***"
_SECRET_NAMES: Final = ("token", "password", "secret", "authorization", "apikey", "api_key")


class Audit:
    """Notes questions.

    Args:
        emit: tells an event.
        metrics: counts what was lost.
        check: is red while the file cannot be written.
        path: of the file; None for events only.
    """

    def __init__(self, emit: Emit, metrics: Metrics, check: Check, path: Path | None) -> None:
        self._emit = emit
        self._metrics = metrics
        self._check = check
        self._path = path
        self._descriptor = -1
        self._torn = False  # the next line would become a part of the last one
        self._waiting = 0
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "audit")
        check.ok()

    def note(self, kind: str, level: str = "debug", **fields: object) -> None:
        """Notes something.

        Args:
            kind: what happened, as events are called.
            level: of the event.
            fields: who, what, and how it ended.
        """
        self._emit(kind, level, **fields)
        if self._path is None:
            return
        if self._waiting >= _WAITING_LINES:
            self._metrics.audit_lost.inc()
            self._check.fail(f"{self._path} is not written: does its disk answer?")
            return
        now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        line = encode_line({"time": now, "event": kind, **fields}) + b"\n"
        self._waiting += 1
        self._thread.submit(self._write, self._path, line)

    def use(self, path: Path | None) -> None:
        """Goes on in this file, opened anew (SIGHUP)."""
        self._path = path
        self._thread.submit(self._close)
        if path is None:
            self._check.ok()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes what waits before it ends."""
        try:
            yield
        finally:
            self._thread.submit(self._close)
            await asyncio.to_thread(self._thread.shutdown)

    def _write(self, path: Path, line: bytes) -> None:
        why = ""
        try:
            if not self._is_open(path):
                self._close()
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(path, flags, _MODE)
            if self._torn:
                line = b"\n" + line
            if os.write(self._descriptor, line) != len(line):
                why = "only a part of the line was written"
            self._torn = bool(why)
        except OSError as error:
            why = error.strerror or str(error)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._written, path, why)

    def _written(self, path: Path, why: str) -> None:
        self._waiting -= 1
        if not why:
            self._check.ok()
            return
        self._metrics.audit_lost.inc()
        self._check.fail(f"{path} cannot be written: {why}")

    def _is_open(self, path: Path) -> bool:
        """Whether it is still this file that is open, and not one that was moved away."""
        if self._descriptor < 0:
            return False
        own = os.fstat(self._descriptor)
        try:
            there = path.stat()
        except FileNotFoundError:
            return False
        return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)

    def _close(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
            self._torn = False


def conditions(query: Iterable[tuple[str, str]], digests: frozenset[bytes]) -> Mapping[str, Any]:
    """What was asked, as it is noted: bounded, and without tokens, wherever somebody put one.

    Args:
        query: the parameters.
        digests: of the tokens that are known.
    """
    noted: dict[str, list[str]] = {}
    for count, (name, value) in enumerate(query):
        if count >= _VALUES:
            noted["more"] = ["..."]
            break
        is_secret = any(word in name.lower() for word in _SECRET_NAMES)
        shown = _MASK if is_secret else _masked(value[: 4 * _VALUE_CHARACTERS], digests)
        noted.setdefault(shortened(name, 100), []).append(shortened(shown, _VALUE_CHARACTERS))
    return {name: values[0] if len(values) == 1 else values for name, values in noted.items()}


def _masked(text: str, digests: frozenset[bytes]) -> str:
    """The text without words that are tokens: somebody pastes one into the search box."""
    for word in {text, *text.split(), *text.replace('"', " ").split()}:
        if sha256(word.encode(errors="replace")).digest() in digests:
            text = text.replace(word, _MASK)
    return text
