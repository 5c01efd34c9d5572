"""Records the calls by which a process changes a disk, and plants faults in them, by strace."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.stack.calls import (
    Call,
    Closed,
    Made,
    Opened,
    Renamed,
    Resized,
    Synced,
    Unlinked,
    Wrote,
)

# All that changes a file or a name; one that `_understood` does not know fails the test.
_TRACED: Final = (
    "openat,creat,close,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,"
    "fsync,fdatasync,sync_file_range,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,"
    "rmdir,link,linkat,symlink,symlinkat,sendfile,copy_file_range,splice,dup,dup2,dup3"
    ",pread64"  # changes nothing, and can be made to fail
)
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)\) += (\S+)(.*)")
_UNFINISHED: Final = re.compile(r"(\d+) +(\w+\(.*) <unfinished \.\.\.>")
_RESUMED: Final = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


def recorded(command: Sequence[str], log: Path, *faults: str) -> list[str]:
    """The command that runs `command` and writes its calls to `log`.

    Args:
        command: the program.
        log: the file.
        faults: as strace's `inject` takes them, such as `fdatasync:error=EIO:when=3`.
    """
    strace = shutil.which("strace")
    assert strace, "strace is missing: .ci/setup installs it"
    planted = [part for fault in faults for part in ("-e", f"inject={fault}")]
    options = ["-f", "-qq", "-xx", "-s", "4194304", "-o", str(log), "-e", f"trace={_TRACED}"]
    return [strace, *options, *planted, *command]


def read(log: Path) -> Iterator[Call]:
    """The calls of a log that succeeded, and syncs that did not, in the order of their ends."""
    begun: dict[str, str] = {}
    with log.open(encoding="ascii") as lines:
        for raw in lines:
            line = raw.rstrip("\n")
            if found := _UNFINISHED.fullmatch(line):
                begun[found[1]] = found[2]
                continue
            if found := _RESUMED.fullmatch(line):
                line = f"{found[1]} {begun.pop(found[1])}{found[2]}"
            if (found := _LINE.fullmatch(line)) and (call := _understood(*found.groups()[1:])):
                yield call


def _understood(name: str, text: str, result: str, _comment: str) -> Call | None:
    if result == "?":
        return None  # the process was killed in it: what it would have done is not known
    arguments, number = [_unquoted(argument) for argument in text.split(", ")], int(result, 0)
    if name in {"fsync", "fdatasync"}:
        return Synced(int(arguments[0]), failed=number < 0)
    if number < 0 or name == "pread64":
        return None
    made = _MADE.get(name)
    if made is None:
        raise ValueError(f"a call that the model of the disk does not know: {name}({text})")
    return made(arguments, number)


def _opened(arguments: list[str], number: int) -> Call:
    _, path, flags, *_ = arguments
    return Opened(number, path, "O_CREAT" in flags, "O_TRUNC" in flags, "O_APPEND" in flags)


def _written(arguments: list[str], number: int) -> Call:
    descriptor, data, _, *offset = arguments
    place = int(offset[0]) if offset else None
    return Wrote(int(descriptor), data.encode("latin-1")[:number], place)


def _allocated(arguments: list[str], _number: int) -> Call:
    descriptor, mode, offset, length = arguments
    if mode != "0":
        raise ValueError(f"a hole, which the model of the disk does not know: mode {mode}")
    return Resized(int(descriptor), int(offset) + int(length), grow=True)


_MADE: Final[dict[str, Callable[[list[str], int], Call]]] = {
    "openat": _opened,
    "close": lambda arguments, _: Closed(int(arguments[0])),
    "pwrite64": _written,
    "write": _written,
    "ftruncate": lambda arguments, _: Resized(int(arguments[0]), int(arguments[1])),
    "fallocate": _allocated,
    "unlink": lambda arguments, _: Unlinked(arguments[0]),
    "rename": lambda arguments, _: Renamed(arguments[0], arguments[1]),
    "mkdir": lambda arguments, _: Made(arguments[0]),
}


def _unquoted(argument: str) -> str:
    """A string of the trace, a character for each byte; anything else as it is."""
    found = _STRING.fullmatch(argument)
    if found is None:
        return argument
    assert not found[2], "strace has cut a string"
    return bytes.fromhex(found[1].replace("\\x", "")).decode("latin-1")
