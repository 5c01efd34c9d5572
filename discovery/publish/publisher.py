"""Files on disk: staged, checked, swapped in whole, reloaded, confirmed; or put back."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from discovery.publish import commands
from discovery.publish.changes import Change, Outcome, Reader
from discovery.publish.commands import Ran
from discovery.publish.history import History
from discovery.publish.journal import Doubt
from discovery.publish.lastgood import LastGood
from discovery.publish.swap import Swap
from discovery.publish.work import Work, leave
from discovery.resources.resources import Resource
from wharfinger.errors import Rejected, Unavailable, WharfingerError

__all__ = ["Change", "Outcome", "Publisher", "Reader"]

# Hundreds of resources begin at once, and a process may have 1024 files open; but those that
# hang must not hold up the rest.
COMMANDS_AT_ONCE: Final = 100


class Publisher:
    """Owns the destination files, and one generation of each to go back to.

    A check command that names the staged file (`{{.src}}`) runs before anything is swapped. One
    that does not, like `nginx -t`, can only judge files where they are, together with all that
    Nginx includes beside them; a copy of that tree is no answer, since relative paths, globs and
    the command itself belong to the operator. So the new file is swapped in, checked, and
    swapped back before anybody is told to read it: a running Nginx looks at its files only when
    it is told to reload, and refuses a bad one even then. What could go wrong is a crash in
    between. Hence the journal: it is on disk before the first rename and goes when the new
    files are confirmed; a start that finds it puts the last good files back first of all, and
    whatever was in doubt is checked and reloaded again even if it looks equal.

    Args:
        state_dir: the daemon's own folder, which survives.
        reader: of a resource, where one can be asked.
        keep_staged: a file that did not pass stays beside its destination, to be looked at.

    Attributes:
        news: set when a file is new that has no reload command of its own.
    """

    def __init__(
        self,
        state_dir: Path,
        reader: Callable[[Resource], Reader | None],
        *,
        keep_staged: bool = False,
    ) -> None:
        self._last_good = LastGood(state_dir)
        self._history = History(state_dir)
        self.keep_staged = keep_staged
        self._reader = reader
        self._running = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self.news = asyncio.Event()

    async def recover(self) -> tuple[str, ...]:
        """Puts back what a crash left unconfirmed; gives the names of those resources.

        One that cannot be put back holds no other: its next publish begins with that.

        Raises:
            Unavailable: the state folder cannot be read or written.
        """
        try:
            return await asyncio.to_thread(self._last_good.recover)
        except OSError as error:
            raise Unavailable(f"the last good files cannot be put back: {error}") from error

    def differs(self, change: Change) -> bool:
        """Whether there is anything to do: another content or owner, or a doubt from a crash."""
        resource = change.resource
        if self._last_good.is_doubtful(resource.name):
            return True
        try:
            # Every time, not from memory: somebody may have written there.
            if Swap(resource.dest).content != change.rendered.content:
                return True
            stat = resource.dest.stat()
        except OSError:
            return True
        wanted = (resource.uid, resource.gid, resource.mode)
        there = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777)
        return any(want not in (None, has) for want, has in zip(wanted, there, strict=True))

    async def publish(self, changes: Sequence[Change]) -> tuple[Outcome, ...]:
        """Brings each change into service, or leaves its last good file there.

        Resources with one reload command are checked as a set and reloaded once; if the set
        fails, each is tried alone, so that one bad resource holds no other back.
        """
        groups: dict[str, list[Change]] = {}
        for change in changes:
            groups.setdefault(change.resource.reload_cmd or change.resource.name, []).append(change)
        outcomes: list[Outcome] = []
        for group in groups.values():
            done = await self._publish_set(group)
            if len(group) > 1 and any(outcome.error for outcome in done):
                done = [(await self._publish_set([change]))[0] for change in group]
            outcomes.extend(done)
            if self.keep_staged:
                failed = {o.resource for o in done if o.error and not o.swapped}
                await asyncio.to_thread(leave, [c for c in group if c.resource.name in failed])
        return tuple(outcomes)

    async def serve(self, change: Change) -> Outcome:
        """Has a file served that is in place and was checked; puts nothing back."""
        work = Work(change)
        try:
            await self._check(work, staged=False)
            await self._serve([work])
        except WharfingerError as error:
            return work.failed(error, swapped=True)
        return Outcome(change.resource.name, commands=tuple(work.ran))

    def rewrite(self, change: Change) -> bool:
        """Replaces the file for whoever reads it next: nobody is told, nothing is checked.

        Returns:
            Whether it was done; not where the file is not what was confirmed last.
        """
        work = Work(change)
        try:
            if not self._last_good.is_in_place(work):
                return False
            work.stage()
            work.file.sync()
            work.file.swap()
            self._last_good.replace(change.resource.name, change.rendered.content)
            work.file.forget()
        except OSError:
            return False
        return True

    async def reload(self, resource: Resource) -> Ran:
        """Runs the reload command, for a file that is in place already."""
        return await self._run(resource, resource.reload_cmd, resource.reload_timeout_seconds)

    async def _publish_set(self, changes: Sequence[Change]) -> list[Outcome]:
        works = [Work(change) for change in changes]
        failed: list[Outcome] = []
        astray = [name for work in works if self._last_good.is_astray(name := work.resource.name)]
        try:
            if astray:
                await asyncio.to_thread(self._last_good.mend, astray)
        except OSError as error:
            return [work.failed(error) for work in works]
        for work in works:
            if not commands.names_source(work.resource.check_cmd):
                continue
            try:
                await asyncio.to_thread(work.stage)
                await self._check_and_sync(work)
            except (OSError, WharfingerError) as error:
                failed.append(work.failed(error))
        if failed:
            # Of a set that is not whole nothing is swapped: the caller tries each alone.
            names = {outcome.resource for outcome in failed}
            rest = [work for work in works if work.resource.name not in names]
            failed += [work.failed(Rejected("another of its set failed")) for work in rest]
            for work in works:
                work.file.forget()
            return failed
        return await self._swap_and_serve(works)

    async def _swap_and_serve(self, works: list[Work]) -> list[Outcome]:
        doubts: list[Doubt] = []
        try:
            # One hop to a thread for all of it: on a busy host each costs milliseconds.
            await _whole(self._swap, works, doubts)
            for work in works:
                await self._check(work, staged=False)
        except (OSError, WharfingerError) as error:
            return await self._undone(works, doubts, error)
        except asyncio.CancelledError:
            # A stop in the middle of a check: what was not confirmed must not stay.
            await self._undone(works, doubts, Rejected("stopped"))
            raise
        try:
            await self._serve(works)
        except Unavailable as error:
            # Nobody runs who could read it: a good file may wait for them.
            return await self._kept(works, error)
        except (OSError, WharfingerError) as error:
            outcomes = await self._undone(works, doubts, error)
            if works[0].resource.reload_cmd:
                await self.reload(works[0].resource)
            return outcomes
        return await self._kept(works)

    async def _serve(self, works: list[Work]) -> None:
        """Reloads once for all of them, and asks those who can be asked.

        Raises:
            Unavailable: the reload failed since nobody runs; the files are good.
            Rejected: it failed, or the new files do not serve.
        """
        first, began = works[0], time.clock_gettime(time.CLOCK_BOOTTIME)
        readers = [(work, reader) for work in works if (reader := self._reader(work.resource))]
        if first.resource.reload_cmd:
            ran = await self.reload(first.resource)
            first.ran.append(ran)
            if not ran.good:
                if readers and not any([await reader.running() for _, reader in readers]):
                    raise Unavailable(f"{ran.why} (nothing answers: does it run?)")
                raise Rejected(ran.why)
        for work, reader in readers:
            await reader.confirm(work.change.rendered, began)

    async def _check_and_sync(self, work: Work) -> None:
        """Checks what is staged while it goes to disk, which can take as long."""
        syncing = asyncio.create_task(asyncio.to_thread(work.file.sync))
        try:
            await self._check(work, staged=True)
        finally:
            await syncing

    async def _check(self, work: Work, *, staged: bool) -> None:
        resource = work.resource
        if not resource.check_cmd or commands.names_source(resource.check_cmd) != staged:
            return
        ran = await self._run(
            resource, resource.check_cmd, resource.check_timeout_seconds, src=work.file.staged
        )
        work.ran.append(ran)
        if not ran.good:
            raise Rejected(ran.why)

    async def _run(
        self, resource: Resource, command: str, timeout_seconds: float, *, src: Path | None = None
    ) -> Ran:
        words = commands.words_of(
            command, src=src or resource.dest, dest=resource.dest, shell=resource.shell
        )
        async with self._running:
            return await commands.run(words, timeout_seconds=timeout_seconds)

    def _swap(self, works: list[Work], doubts: list[Doubt]) -> None:
        """Stages what is not staged yet, writes the journal, swaps; `doubts` tells how far."""
        for work in works:
            if not commands.names_source(work.resource.check_cmd):
                work.stage()
                work.file.sync()
            doubts.append(self._last_good.hold(work))
        # What passed its check before it was swapped in may stay there after a power cut; what is
        # yet to be checked may not.
        unchecked = any(not commands.names_source(work.resource.check_cmd) for work in works)
        self._last_good.note(doubts, durable=unchecked)
        for work in works:
            work.file.swap()

    async def _kept(self, works: list[Work], error: Unavailable | None = None) -> list[Outcome]:
        """The new files stay, and are what to go back to from now on."""
        try:
            await _whole(self._keep, works)
        except OSError as full:
            # They serve, but a crash now would put the ones before back: say so, try again.
            error = error or Unavailable(f"the new file cannot be kept: {full}")
        if not all(work.resource.reload_cmd for work in works):
            self.news.set()
        return [Outcome(work.resource.name, error, commands=tuple(work.ran)) for work in works]

    def _keep(self, works: list[Work]) -> None:
        self._last_good.confirm(works)
        for work in works:
            self._history.keep(work.resource.name, work.change.rendered.content)

    async def _undone(
        self, works: list[Work], doubts: list[Doubt], error: OSError | WharfingerError
    ) -> list[Outcome]:
        try:
            await asyncio.to_thread(self._last_good.undo, works, doubts)
        except OSError as full:
            error = Rejected(f"{error}; and the last good file cannot be put back: {full}")
        return [work.failed(error) for work in works]


async def _whole(work: Callable[..., None], *arguments: object) -> None:
    """Does it in a thread, to its end: a stop must not leave the thread swapping behind it."""
    task = asyncio.create_task(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
