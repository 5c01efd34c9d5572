"""Does the work of `create.py` for `wharfinger-runtime` in a process that runs already.

An interpreter that is started for each container costs more than all that it does. So the
registrar keeps this one, and the runtime asks it by a line in a named pipe. Meanwhile it sleeps,
for half a second at most, and this process ends the sleep: with SIGALRM when nothing is left to
do, with SIGTERM when `create.py` had better try. No answer means the same, only later: whatever
is wrong here, to leave a request alone is always right.

The line is: how many words follow; the words that `create.py` is called with, but for the log;
and what /proc/self/stat says of the process that sleeps (proc(5)).
"""

import contextlib
import errno
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from registrar.runtime import create

DONE: Final = signal.SIGALRM
NOT_DONE: Final = signal.SIGTERM
MOST_AT_ONCE: Final = 16
LOOK_SECONDS: Final = 2.0
LEAVE_SECONDS: Final = 0.5
MAX_COUNT_DIGITS: Final = 3
MAX_TOLD: Final = 300
# Who waits in vain does so once; until then nobody may find the pipe full, for a shell that
# writes to it would stand still. A request is half a kilobyte.
CAPACITY_BYTES: Final = 2**20
# No number of a process has more digits (PID_MAX_LIMIT).
STAT: Final = re.compile(r"(\d{1,7}) \(.*\) [A-Z] (?:-?\d+ ){18}(\d{1,20})(?: -?\d+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """One line.

    Attributes:
        words: what `create.py` would be called with, but for the log.
        pid: of the process that sleeps.
        started: when that was started, in the kernel's own clock.
    """

    words: tuple[str, ...]
    pid: int
    started: int


def parse(line: bytes) -> Request:
    """Reads a line.

    Raises:
        ValueError: it is none of the runtime's, or a path with a blank makes it look so.
    """
    count, *words = os.fsdecode(line).split(" ")
    if not (count.isascii() and count.isdigit() and len(count) <= MAX_COUNT_DIGITS):
        raise ValueError("no count of words")
    sleeper = STAT.fullmatch(" ".join(words[int(count) :]))
    if sleeper is None:
        raise ValueError("no process that waits")
    return Request(tuple(words[: int(count)]), int(sleeper[1]), int(sleeper[2]))


class Sleeper:
    """The process in which the runtime waits; held, so that its number is never another one's.

    Args:
        request: which it is.

    Raises:
        OSError: it does not wait any more.
    """

    def __init__(self, request: Request) -> None:
        self._descriptor = os.pidfd_open(request.pid)
        try:
            self._seen = Path("/proc", str(request.pid))
            self._compare(request.started)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _compare(self, started: int) -> None:
        said = (self._seen / "stat").read_text(encoding="utf-8", errors="replace")
        found = STAT.fullmatch(said.rstrip("\n"))
        if found is None or int(found[2]) != started:
            raise ProcessLookupError(errno.ESRCH, "its number is another one's by now")

    def is_on_our_network(self) -> bool:
        """Whether its network is ours: a port that is free in one says nothing of another."""
        return (self._seen / "ns" / "net").samefile("/proc/self/ns/net")

    def sees(self, folder: int, path: str) -> bool:
        """Whether a path names the same folder for it: it may have mounts of its own."""
        return os.path.samestat(os.fstat(folder), Path(f"{self._seen}/root{path}").stat())

    @property
    def waits(self) -> bool:
        """Whether it has not given up yet."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)  # the process has ended (pidfd_open(2))
        return not poll.poll(0)

    def check(self) -> None:
        """Lets nothing be done that nobody waits for any more.

        Raises:
            TimeoutError: it has given up.
        """
        if not self.waits:
            raise TimeoutError("the runtime has given up waiting")

    def answer(self, number: signal.Signals) -> None:
        """Ends its sleep, and lets go of it."""
        with contextlib.suppress(OSError):  # it has given up
            signal.pidfd_send_signal(self._descriptor, number)
        os.close(self._descriptor)


def put_port(request: Request, sleeper: Sleeper) -> None:
    """What `create.py` does, in the folder that the bundle is now.

    Should that be another one when a thread that hung goes on, nothing in it is touched.

    Raises:
        Untouched: there is nothing to do.
        Exception: of whatever kind; nothing was changed in the bundle.
    """
    table, data_root, *arguments = request.words
    bundle, container_id = create.named(arguments)
    if not all(map(os.path.isabs, (table, data_root, bundle))):
        raise ValueError("a path that depends on the folder of who asks")
    if not sleeper.is_on_our_network():
        raise ValueError("asked from another network")
    folder = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not sleeper.sees(folder, bundle):
            raise ValueError("its bundle is out of sight here")
        held = f"/proc/self/fd/{folder}"
        create.put_port(table, data_root, held, container_id, sleeper.check)
    finally:
        os.close(folder)


class Desk:
    """Takes requests, and has threads do them: one that a disk holds keeps no other waiting.

    Args:
        say: told `left WHY` and `garbage WHY` as it happens, `done COUNT` when it is asked for.

    Attributes:
        done: how many were done since that was told.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.done = 0
        self._say = say
        self._begun = b""
        self._waiting: SimpleQueue[tuple[Request, Sleeper]] = SimpleQueue()
        self._sleepers: set[Sleeper] = set()
        self._changing = threading.Condition()
        for number in range(MOST_AT_ONCE):
            threading.Thread(target=self._work, name=f"desk {number}", daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """Whether anything is under way that nobody waits for any more."""
        with self._changing:
            return not all(each.waits for each in self._sleepers)

    def take(self, data: bytes) -> None:
        """Takes what was read from the pipe: lines, the last of which may not be whole."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > select.PIPE_BUF:
            self._begun = b""
        for line in lines:
            try:
                request = parse(line)
                sleeper = Sleeper(request)
            except (ValueError, OSError) as error:
                self._say(f"garbage {error}")
            else:
                self._begin(request, sleeper)

    def report(self) -> None:
        """Tells how many were done, if any were."""
        with self._changing:
            done, self.done = self.done, 0
        if done:
            self._say(f"done {done}")

    def finish(self, seconds: float) -> None:
        """Waits until all is done, but not for long."""
        with self._changing:
            self._changing.wait_for(lambda: not self._sleepers, seconds)

    def _begin(self, request: Request, sleeper: Sleeper) -> None:
        with self._changing:
            if len(self._sleepers) < MOST_AT_ONCE:
                self._sleepers.add(sleeper)
                self._waiting.put((request, sleeper))
                return
        sleeper.answer(NOT_DONE)
        self._say(f"left {MOST_AT_ONCE} are under way")

    def _work(self) -> None:
        while True:
            request, sleeper = self._waiting.get()
            answer = NOT_DONE
            try:
                with contextlib.suppress(create.Untouched):
                    put_port(request, sleeper)
                answer = DONE
            except Exception as error:  # noqa: BLE001 - whatever it is, `create.py` tells it
                self._say(f"left {type(error).__name__}: {error}")
            with self._changing:
                self.done += answer == DONE
                self._sleepers.remove(sleeper)
                sleeper.answer(answer)
                self._changing.notify()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A new named pipe, root's alone, and both of its ends in one descriptor.

    Raises:
        OSError: it cannot be made.
    """
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    # For writing, too: else it would end with the first who asks.
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    with contextlib.suppress(OSError):
        fcntl(pipe, F_SETPIPE_SZ, CAPACITY_BYTES)
    try:
        yield pipe
    finally:
        if is_still(path, pipe):
            owner(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        os.close(pipe)


def is_still(path: Path, pipe: int) -> bool:
    """Whether nobody has put another there, or taken it away."""
    with contextlib.suppress(OSError):
        return os.path.samestat(path.lstat(), os.fstat(pipe))
    return False


def owner(path: Path) -> Path:
    """The file that says which process has a pipe, and where; who waited in vain empties it."""
    return path.with_name(f"{path.name}.owner")


def announce(path: Path, pipe: int) -> None:
    """Sees to it that it says so.

    Raises:
        OSError: it cannot be written.
    """
    ours = f"{os.getpid()} {pipe}\n"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if owner(path).read_text(encoding="ascii") == ours:
            return
    staged = path.with_name(f"{path.name}.new")
    staged.unlink(missing_ok=True)
    staged.touch(0o600, exist_ok=False)
    staged.write_text(ours, encoding="ascii")
    staged.rename(owner(path))


def say(text: str) -> None:
    """Tells the registrar, unless that does not read: nobody waits for it."""
    line = text.replace("\n", " ")[:MAX_TOLD].encode("utf-8", "replace")
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), line + b"\n")


def serve(path: Path) -> None:
    """Serves until standard input ends, which it does with the registrar.

    Raises:
        OSError: it cannot be done here, or not any more.
    """
    os.close(os.pidfd_open(os.getpid()))  # not before Linux 5.3
    desk = Desk(say)
    life = sys.stdin.fileno()
    with opened(path) as pipe:
        poll = select.poll()
        poll.register(life, select.POLLIN)
        poll.register(pipe, select.POLLIN)
        report_at, ready = 0.0, dict[int, int]()
        while life not in ready:
            if not is_still(path, pipe):
                raise OSError(f"{path} is another one now")
            if not desk.is_stuck:
                announce(path, pipe)
            # The registrar is not woken for each start.
            if time.monotonic() >= report_at:
                desk.report()
                report_at = time.monotonic() + LOOK_SECONDS
            ready = dict(poll.poll(LOOK_SECONDS * 1_000))
            if pipe in ready:
                desk.take(os.read(pipe, CAPACITY_BYTES))
    desk.finish(LEAVE_SECONDS)


def main() -> None:
    """Runs as the registrar's child, which alone heeds the signals that reach both."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(sys.stdout.fileno(), False)
    try:
        serve(Path(*sys.argv[1:]))
    except OSError as error:
        say(f"ends {error}")
    os._exit(0)  # a thread that hangs is not waited for


if __name__ == "__main__":
    main()
