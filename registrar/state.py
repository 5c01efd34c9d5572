"""What survives a restart: assigned ports, who was told to stop, and the lock on all of it."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from registrar import drained, porttable
from registrar.drained import Drains
from registrar.porttable import Assignments, Table
from wharfinger import lock
from wharfinger.errors import Rejected, Unavailable
from wharfinger.files import write_atomically

# The runtime holds the lock for milliseconds, and containers that are starting wait for us.
LOCK_SECONDS: Final = 1.0
LOCK_RETRY_SECONDS: Final = 0.002


class State:
    """The registrar's folder below `host.state_dir`.

    The table of ports in it is written by the runtime, too (`runtime/create.py`), registrar or
    no registrar: both lock, read, decide, write, and unlock. Reading alone needs no lock, as
    the table is replaced as a whole.

    Args:
        folder: is made when it is missing.

    Attributes:
        lease: file of the host's lease.
        began_at_ns: when this life began, Unix time in nanoseconds.
        forgotten: why the assigned ports of the life before are not known; empty when they are.
        damaged: they were there, and could not be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = folder / "ports"
        self._ports_seen: tuple[int, ...] = ()
        self._stops = folder / "stops.json"
        self._drains = folder / "drains.json"
        self.lease = folder / "lease.json"
        self.began_at_ns = time.time_ns()
        self.forgotten = ""
        self.damaged = False

    @contextmanager
    def locked(self, host: str) -> Iterator[None]:
        """Makes this the only registrar on the host's state; the kernel frees the lock.

        Raises:
            Unavailable: another one runs, or the folder cannot be used.
        """
        path = self._folder / "lock"
        with ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock.held(path, f"registrar of host {host}"))
            except OSError as error:
                raise Unavailable(f"{path} cannot be opened: {error.strerror}") from error
            yield

    def load_ports(self) -> Assignments:
        """The assigned ports; none when there were none, or the file is damaged (see `forgotten`).

        Raises:
            Unavailable: the file is there and cannot be read.
        """
        table = self._read_table()
        return Assignments() if table is None else table.assignments

    @property
    def has_table(self) -> bool:
        """Whether the table of ports was there when it was last looked at."""
        return bool(self._ports_seen)

    async def reload_table(self) -> Table | None:
        """The table of ports when somebody else has changed it since it was last read or written.

        None when it is as it was, and when it is not there or damaged: `update_table` makes it
        anew.

        Raises:
            Unavailable: it is there and cannot be read.
        """
        return await asyncio.to_thread(self._reload_table)

    async def update_table(self, decide: Callable[[Table | None], Table]) -> Table:
        """Changes the table of ports, and nobody else at the same time; gives what it is now.

        Args:
            decide: makes the new table from the present one (None: there is none), in a thread.

        Raises:
            Unavailable: it is not on disk, or somebody does not let go of its lock.
        """
        return await asyncio.to_thread(self._update_table, decide)

    def _update_table(self, decide: Callable[[Table | None], Table]) -> Table:
        with self._table_locked():
            before = self._read_table()
            table = decide(before)
            if table != before:
                self._write(self._ports, porttable.encode(table))
                self._ports_seen = self._stamp()
            return table

    def _reload_table(self) -> Table | None:
        return None if self._stamp() == self._ports_seen else self._read_table()

    def _read_table(self) -> Table | None:
        stamp = self._stamp()
        try:
            table = porttable.decode(self._ports.read_bytes())
        except FileNotFoundError:
            self.forgotten = f"{self._ports} is not there"
            stamp = ()
        except OSError as error:
            raise Unavailable(f"{self._ports} cannot be read: {error.strerror}") from error
        except Rejected as error:
            self.forgotten = f"{self._ports}: {error}"
            self.damaged = True
            with suppress(OSError):
                self._ports.rename(self._ports.with_suffix(".damaged"))
            stamp = ()
        else:
            self._ports_seen = stamp
            return table
        self.began_at_ns = time.time_ns()
        self._ports_seen = stamp
        return None

    def _stamp(self) -> tuple[int, ...]:
        """Differs whenever the file was replaced; () when it is not there."""
        try:
            found = self._ports.stat()
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    @contextmanager
    def _table_locked(self) -> Iterator[None]:
        path = self._ports.with_suffix(".lock")
        give_up_at = time.monotonic() + LOCK_SECONDS
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(lock.held(path, "registrar"))
                    break
                except OSError as error:
                    raise Unavailable(f"{path} cannot be used: {error.strerror}") from error
                except Unavailable:
                    if time.monotonic() > give_up_at:
                        raise
                time.sleep(LOCK_RETRY_SECONDS)
            yield

    def load_stops(self) -> dict[str, int]:
        """When containers were told to stop, Unix time in nanoseconds; a lost file is no harm."""
        try:
            return msgspec.json.decode(self._stops.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}

    async def save_stops(self, stops: Mapping[str, int]) -> None:
        """Keeps who was told to stop, for a registrar that is restarted while they drain.

        Raises:
            Unavailable: it is not on disk.
        """
        await self._save(self._stops, msgspec.json.encode(dict(stops)))

    def load_drains(self) -> tuple[Drains, str]:
        """What is drained, and what is wrong with the file that says so; empty when nothing is.

        Raises:
            Unavailable: the file is there and cannot be read.
        """
        try:
            return drained.decode(self._drains.read_bytes()), ""
        except FileNotFoundError:
            return Drains(), ""
        except OSError as error:
            raise Unavailable(f"{self._drains} cannot be read: {error.strerror}") from error
        except Rejected as error:
            with suppress(OSError):
                self._drains.rename(self._drains.with_suffix(".damaged"))
            return Drains(), f"{self._drains}: {error}"

    async def save_drains(self, held: Drains) -> None:
        """Keeps what is drained over a crash; before this returns nobody is told that it is.

        Raises:
            Unavailable: it is not on disk.
        """
        await self._save(self._drains, drained.encode(held))

    async def _save(self, path: Path, data: bytes) -> None:
        await asyncio.to_thread(self._write, path, data)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_atomically(path, data)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
