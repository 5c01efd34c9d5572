"""What to go back to: the last good content of each file, and which files are in doubt."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from discovery.publish.journal import Doubt, Journal
from discovery.publish.swap import Swap
from discovery.publish.work import Work
from wharfinger.files import PRIVATE_MODE, write_atomically


class LastGood:
    """Owns one content of each resource that was confirmed, and the journal of what is not.

    Args:
        state_dir: the daemon's own folder, which survives.
    """

    def __init__(self, state_dir: Path) -> None:
        self._journal = Journal(state_dir)
        self._folder = state_dir / "good"
        self._doubtful: set[str] = set()
        self._astray: dict[str, Doubt] = {}
        self._unwritten: dict[str, bytes] = {}  # confirmed, but the disk would not have it

    def recover(self) -> tuple[str, ...]:
        """Puts back what a crash left unconfirmed; gives the names of those resources.

        One that cannot be put back holds no other: see `mend`.

        Raises:
            OSError: the state folder cannot be read or written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        doubts = self._journal.read()
        self._doubtful.update(doubt.resource for doubt in doubts)
        with contextlib.suppress(OSError):
            self._put_back(doubts)
        return tuple(doubt.resource for doubt in doubts if doubt.resource not in self._astray)

    def is_doubtful(self, resource: str) -> bool:
        """Whether its file was in doubt and has not been confirmed since, or not on disk."""
        return resource in self._doubtful or resource in self._unwritten

    def is_astray(self, resource: str) -> bool:
        """Whether what is at its file's place was never confirmed, and must not stay."""
        return resource in self._astray

    def mend(self, resources: Iterable[str]) -> None:
        """Puts back what could not be before: what is astray must not pass for a good one.

        Raises:
            OSError: it still cannot be.
        """
        self._put_back([self._astray[name] for name in resources if name in self._astray])

    def is_in_place(self, work: Work) -> bool:
        """Whether the file is, byte for byte, what was confirmed last."""
        if self.is_doubtful(work.resource.name):
            return False
        content = work.file.content
        return content is not None and content == self._content(work.resource.name)

    def hold(self, work: Work) -> Doubt:
        """Holds on to the file as it is, before it is swapped.

        Raises:
            OSError: it cannot be.
        """
        self._folder.mkdir(parents=True, exist_ok=True)  # somebody may have cleaned up
        existed, good = work.file.remember(), self._folder / work.resource.name
        if existed and not good.exists():
            # Not ours, or from before our state: still the best there is to go back to.
            self.replace(work.resource.name, work.file.dest.read_bytes())
        if existed and work.resource.backup:
            work.file.back_up()
        return Doubt(work.resource.name, str(work.file.dest), existed)

    def note(self, doubts: Sequence[Doubt], *, durable: bool) -> None:
        """Writes the journal: from now on a crash puts these back.

        Args:
            doubts: these.
            durable: a power cut does, too.

        Raises:
            OSError: nothing was noted.
        """
        self._journal.write(doubts, durable=durable)

    def replace(self, resource: str, content: bytes) -> None:
        """Takes this content for the one to go back to.

        Raises:
            OSError: the former one stays.
        """
        write_atomically(self._folder / resource, content, mode=PRIVATE_MODE)
        self._unwritten.pop(resource, None)

    def confirm(self, works: Sequence[Work]) -> None:
        """The new files are what to go back to from now on.

        Raises:
            OSError: a crash would put the ones before back.
        """
        serving = {work.resource.name: work.change.rendered.content for work in works}
        self._unwritten |= serving
        for name, content in serving.items():
            self.replace(name, content)
        self._journal.clear(works[0].resource.name)
        for work in works:
            work.file.forget()
            self._doubtful.discard(work.resource.name)

    def undo(self, works: Sequence[Work], doubts: Sequence[Doubt]) -> None:
        """Puts the files of before back; the journal goes last.

        Raises:
            OSError: not all of it; the next publish or start goes on from there.
        """
        self._put_back(doubts)
        for work in works:
            work.file.forget()
        self._journal.clear(works[0].resource.name)

    def _put_back(self, doubts: Sequence[Doubt]) -> None:
        failed: OSError | None = None
        for doubt in doubts:
            try:
                content = self._content(doubt.resource)
                Swap(Path(doubt.dest)).put_back(content, existed=doubt.existed)
                self._astray.pop(doubt.resource, None)
            except OSError as error:
                self._astray[doubt.resource] = doubt
                self._doubtful.add(doubt.resource)
                failed = failed or error
        if failed is not None:
            raise failed

    def _content(self, resource: str) -> bytes | None:
        if resource in self._unwritten:
            return self._unwritten[resource]
        try:
            return (self._folder / resource).read_bytes()
        except FileNotFoundError:
            return None
