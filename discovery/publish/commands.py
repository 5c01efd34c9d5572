"""Check and reload commands: run without a shell, in a session of their own, ended in time."""

import asyncio
import contextlib
import fcntl
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

OUTPUT_BYTES: Final = 4096
LONGEST_BYTES: Final = 2**20
SHORTEN_SECONDS: Final = 0.05
WHY_CHARACTERS: Final = 600
NOT_FOUND: Final = 127  # as a shell tells it
SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "busybox"})
_PLACEHOLDER: Final = re.compile(r"\{\{-?\s*\.?(src|dest)\s*-?\}\}")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended.

    Attributes:
        command: as it was run.
        code: exit code, negative for a signal; None when it was ended for its time or never
            began.
        output: the end of what it said, stdout and stderr together.
        seconds: how long it took.
    """

    command: str
    code: int | None
    output: str
    seconds: float

    @property
    def good(self) -> bool:
        """Whether it ended well."""
        return self.code == 0

    @property
    def why(self) -> str:
        """What went wrong, in a line."""
        # nginx -t names the file and its line first, and ends with a verdict that names neither.
        said = "; ".join(line.strip() for line in self.output.splitlines() if line.strip())
        tail = f": {said[-WHY_CHARACTERS:]}" if said else ""
        if self.code is None:
            return f"{self.command}: not done after {self.seconds:.1f} s{tail}"
        return f"{self.command}: exit code {self.code}{tail}"


def names_source(command: str) -> bool:
    """Whether the command looks at the staged file itself, as confd's `{{.src}}` asks for."""
    return any(match[1] == "src" for match in _PLACEHOLDER.finditer(command))


def words_of(command: str, *, src: Path, dest: Path, shell: bool = False) -> list[str]:
    """The command's words, with `{{.src}}` and `{{.dest}}` filled in.

    With `shell` they are those of `/bin/sh -c`, as confd has it.
    A path stays within its word whatever characters it has; where the operator wrote a script
    for a shell (`sh -c '...'`), it is quoted for that shell.
    """
    paths = {"src": str(src), "dest": str(dest)}
    # A blank inside the braces would split the word.
    closed = _PLACEHOLDER.sub(lambda match: "{{." + match[1] + "}}", command)
    words = ["/bin/sh", "-c", closed] if shell else shlex.split(closed)
    filled = []
    for number, given in enumerate(words):
        word = given
        script = number > 0 and words[number - 1] == "-c" and Path(words[0]).name in SHELLS
        for name, path in paths.items():
            word = word.replace("{{." + name + "}}", shlex.quote(path) if script else path)
        filled.append(word)
    return filled


async def run(words: list[str], *, timeout_seconds: float) -> Ran:
    """Runs a command to its end, or ends it with everything that it started.

    Its output goes to a file without a name: a pipe would be held open by whatever it leaves
    in the background (`nginx` itself, say), and we would wait for that.

    It is not started by the loop: a loop reaps its children when it likes, and a session that is
    ended for its time must not be another's by then.
    """
    command, began = shlex.join(words), time.monotonic()
    try:
        with tempfile.TemporaryFile() as file:
            said = _Said(file)
            code = await _ended(_started(words, file), said, timeout_seconds)
            return Ran(command, code, said.tail(), time.monotonic() - began)
    except OSError as error:
        # No such program; or no descriptor, no process, no room in /tmp: any of it may pass.
        why = f"cannot be run: {error.strerror or error}"
        return Ran(command, NOT_FOUND, why, time.monotonic() - began)


def _started(words: list[str], said: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # vfork(2): it takes a millisecond
        words,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
        env=environment(),
    )


class _Said:
    """What a command has said so far: a file that others write to, of which the end counts."""

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = file.fileno()
        self._before = b""
        # For all who write to it: what comes after it was cut short is to begin there.
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | os.O_APPEND)

    def shorten(self) -> None:
        """Keeps one that prints without end from filling the disk."""
        if os.fstat(self._descriptor).st_size > LONGEST_BYTES:
            self._before = self._end()
            os.ftruncate(self._descriptor, 0)

    def tail(self) -> str:
        """The end of it."""
        return self._end().decode(errors="backslashreplace")

    def _end(self) -> bytes:
        size = os.fstat(self._descriptor).st_size
        read = os.pread(self._descriptor, OUTPUT_BYTES, max(0, size - OUTPUT_BYTES))
        return (self._before + read)[-OUTPUT_BYTES:]


async def _ended(
    process: "subprocess.Popen[bytes]", said: _Said, timeout_seconds: float
) -> int | None:
    """Its exit code; None when it had to be ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = -1
    try:
        descriptor = os.pidfd_open(process.pid)
        loop.add_reader(descriptor, ended.set)
        async with asyncio.timeout(timeout_seconds):
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SHORTEN_SECONDS):
                        await ended.wait()
                said.shorten()
        return process.wait()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            # The session's id is the leader's, who is not reaped yet: it cannot be another's.
            _end_session(process.pid)
            process.wait()
        if descriptor >= 0:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def environment() -> dict[str, str]:
    """Ours, without our own settings: they may name secrets that are none of its business."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("WHARFINGER_", "NOTIFY_"))}


def _end_session(leader: int) -> None:
    """Ends it with all that it has started, in whatever group (timeout(1) makes its own)."""
    ended: set[int] = set()
    # Whoever forks before his turn is met in the next round; who is killed forks no more.
    while new := {pid for pid in _processes() if _session_of(pid) == leader} - ended:
        for pid in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended |= new


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _session_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return 0
