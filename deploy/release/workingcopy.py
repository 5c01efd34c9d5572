"""What a working copy remembers between commands: `.wharf/` beside wharf.yaml, never in Git."""

from pathlib import Path
from typing import Final, TypeVar

import msgspec

from wharfinger.errors import Unavailable
from wharfinger.files import write_atomically

FOLDER: Final = ".wharf"
_MAX_BYTES: Final = 1 << 20

T = TypeVar("T")


class WorkingCopy:
    """The files of one working copy; they spare words on command lines and prove nothing.

    Args:
        folder: that of wharf.yaml.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def read(self, name: str, kind: type[T]) -> T | None:
        """What was written under that name; None where nothing was, or nothing of that kind."""
        try:
            with (self._folder / f"{name}.json").open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_BYTES), type=kind)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def write(self, name: str, value: object) -> None:
        """Remembers it.

        Raises:
            Unavailable: the folder cannot be written.
        """
        try:
            if self._folder.is_symlink():
                raise Unavailable(f"{self._folder} is a link, and leads elsewhere: remove it")
            self._folder.mkdir(exist_ok=True)
            ignore = self._folder / ".gitignore"
            if not ignore.exists():
                write_atomically(ignore, b"*\n", durable=False)
            data = msgspec.json.format(msgspec.json.encode(value)) + b"\n"
            write_atomically(self._folder / f"{name}.json", data, durable=False)
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error.strerror}") from error
