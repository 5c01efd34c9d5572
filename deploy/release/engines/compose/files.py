"""What is kept of an environment between two runs: files by their mark, and a rollout begun."""

import hashlib
import json
import re
from pathlib import Path
from typing import Final

import msgspec

from wharfinger.errors import Unavailable
from wharfinger.files import write_atomically

MARK_LABEL: Final = "wharfinger.rendered"
RELEASE_LABEL: Final = "wharfinger.release"
_MARK_DIGITS: Final = 12
_MARK: Final = re.compile(rf"[0-9a-f]{{{_MARK_DIGITS}}}", re.ASCII)
_PRIVATE: Final = 0o600
_UNMARKED: Final = "unmarked"  # what was started by hand, without us
_ROLLOUT: Final = "rollout.json"


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """What ran before a rollout, for the way back.

    Attributes:
        mark: of its containers.
        image: of them.
        release: of them.
        replicas: how many.
    """

    mark: str
    image: str
    release: str
    replicas: int


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout that was begun, and not ended yet.

    Attributes:
        mark: of what shall run.
        former: what ran; None for nothing.
    """

    mark: str
    former: Former | None = None


def marked(text: str) -> str:
    """The mark of what a file asks for: containers with another one are of another release."""
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_DIGITS]


def marking(service: str, mark: str) -> str:
    """A second file, which has each container carry its mark."""
    labels = {MARK_LABEL: mark}
    return json.dumps({"version": "2.4", "services": {service: {"labels": labels}}}, indent=1)


class Kept:
    """The private folder of one environment.

    Every method raises Unavailable where the disk does not do as asked.

    Args:
        folder: is made when something is kept.
        service: of the one service.
    """

    def __init__(self, folder: Path, service: str) -> None:
        self._folder = folder
        self._service = service

    def keep(self, mark: str, text: str) -> tuple[Path, Path]:
        """Writes both files of a release; gives their paths."""
        stem = mark or _UNMARKED
        first, second = self._folder / f"{stem}.yml", self._folder / f"{stem}.mark.yml"
        self._write(first, text)
        self._write(second, marking(self._service, mark))
        return first, second

    def text(self, mark: str) -> str | None:
        """The file of a release that was kept; None where it was not, or by another machine."""
        if not _MARK.fullmatch(mark):
            return None
        try:
            return (self._folder / f"{mark}.yml").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self._folder}: {error}") from error

    def begin(self, begun: Begun) -> None:
        """Notes a rollout before it changes anything."""
        self._write(self._folder / _ROLLOUT, msgspec.json.encode(begun).decode())

    def begun(self) -> Begun | None:
        """A rollout that was cut off; None where none was, or what stands there is damaged."""
        try:
            return msgspec.json.decode((self._folder / _ROLLOUT).read_bytes(), type=Begun)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error}") from error

    def forget(self) -> None:
        """Forgets the rollout alone."""
        try:
            (self._folder / _ROLLOUT).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error}") from error

    def end(self, mark: str) -> None:
        """Forgets the rollout, and the files of all other releases."""
        self.forget()
        try:
            for file in self._folder.glob("*.yml"):
                if file.name.partition(".")[0] != mark:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._folder}: {error}") from error

    def _write(self, path: Path, text: str) -> None:
        # Variables may hold what others must not read.
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, text.encode(), mode=_PRIVATE)
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror or error}") from error
