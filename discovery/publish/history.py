"""What each resource has served: the latest generations, and one to hold on to."""

import contextlib
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from wharfinger.errors import Rejected
from wharfinger.files import write_atomically

GENERATIONS: Final = 10
_HASH_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, order=True)
class Generation:
    """One content that a resource has served.

    Attributes:
        since: when it came into service, Unix seconds.
        name: names its content.
        path: where it is kept.
    """

    since: float
    name: str
    path: Path


class Hold(msgspec.Struct, frozen=True):
    """A resource that was rolled back, and stays there.

    Attributes:
        generation: its name.
        since: Unix seconds.
        sources: the fingerprint of its template and its file; when that changes the hold ends.
            Empty until a daemon has seen the hold.
    """

    generation: str
    since: float
    sources: str = ""

    def against(self, sources: str) -> "Hold":
        """The same, against these sources."""
        return Hold(self.generation, self.since, sources)


class History:
    """The folder of what was served, and of what is held.

    Args:
        state_dir: the daemon's own folder.

    Attributes:
        holds: the folder of what is held.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "history"
        self.holds = state_dir / "held"

    def keep(self, resource: str, content: bytes) -> None:
        """Remembers that this is served now, and forgets the eldest.

        It never fails: what serves must not be called a failure because nobody can note it.
        """
        name = name_of(content)
        with contextlib.suppress(OSError):
            before = self.generations(resource)
            if before and before[0].name == name:
                return
            folder = self._folder / resource
            folder.mkdir(parents=True, exist_ok=True)
            # Not synced: who waits for this to be served shall not wait for a disk as well. What
            # a power cut tears does not have its name any more (see `content`).
            path = folder / f"{time.time_ns():020}-{name}"
            write_atomically(path, content, mode=0o600, durable=False)
            for old in self.generations(resource)[GENERATIONS:]:
                old.path.unlink(missing_ok=True)

    def resources(self) -> list[str]:
        """Those that have served anything, sorted."""
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self._folder.iterdir())
        return []

    def generations(self, resource: str) -> list[Generation]:
        """What it has served, the latest first.

        Raises:
            OSError: the folder cannot be read.
        """
        found = []
        for path in (self._folder / resource).glob("*-*"):
            at, _, name = path.name.partition("-")
            if at.isdecimal():
                found.append(Generation(int(at) / 1e9, name, path))
        return sorted(found, reverse=True)

    def content(self, resource: str, generation: str) -> bytes:
        """The content of a generation.

        Raises:
            Rejected: it is not kept, or no longer.
        """
        with contextlib.suppress(OSError):
            for one in self.generations(resource):
                if one.name == generation:
                    content = one.path.read_bytes()
                    if name_of(content) == generation:
                        return content
        raise Rejected(f"{resource}: generation {generation} is not kept")

    def hold(self, resource: str, hold: Hold) -> None:
        """Has the resource stay at a generation from now on.

        Raises:
            OSError: it cannot be written.
        """
        self.holds.mkdir(parents=True, exist_ok=True)
        write_atomically(self.holds / resource, msgspec.json.encode(hold), mode=0o600)

    def held(self, resource: str) -> Hold | None:
        """Where it stays; None when it follows etcd.

        Raises:
            Rejected: nobody can say; what was rolled back must not go live for that.
        """
        try:
            return msgspec.json.decode((self.holds / resource).read_bytes(), type=Hold)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        except OSError as error:
            why = error.strerror or error
            raise Rejected(f"{resource}: its hold cannot be read: {why}") from None

    def let_go(self, resource: str) -> bool:
        """Has the resource follow etcd again; says whether it did not.

        Raises:
            OSError: it cannot be written.
        """
        try:
            (self.holds / resource).unlink()
        except FileNotFoundError:
            return False
        return True


def name_of(content: bytes) -> str:
    """Names a content."""
    return hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]
