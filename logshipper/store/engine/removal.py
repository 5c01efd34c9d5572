"""Applies retention: days go when they are too old or too many, and stay while in doubt."""

from collections.abc import Callable, Sequence

from logshipper.store.engine import clock, retention
from logshipper.store.engine.clock import Clock
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.retention import DayFile, Limits
from logshipper.store.engine.timekeeper import Timekeeper
from logshipper.store.lines import times
from logshipper.store.metrics import Metrics


class Removal:
    """Which days a store has, and which it has let go.

    Args:
        folder: where the day files are.
        timekeeper: says what time it is.
        metrics: what to count.
        forget: is told of a day before it is removed.
        removed: is told of it afterwards.

    Attributes:
        excess: why retention cannot keep its limit; empty if it can.
        doubt: why retention does not go by the clock; empty if it does.
        highest_ns: the highest time that was ever believed; 0 before it is asked.
        strays: files that lines are in and that nothing reads, and what to do about each.
    """

    def __init__(
        self,
        folder: Folder,
        timekeeper: Timekeeper,
        metrics: Metrics,
        forget: Callable[[str, int], None],
        removed: Callable[[DayFile], None],
    ) -> None:
        self.excess = ""
        self.doubt = ""
        self.highest_ns = 0
        self.strays: dict[str, str] = {}
        self._folder = folder
        self._timekeeper = timekeeper
        self._metrics = metrics
        self._forget = forget
        self._removed = removed
        self._first_day = 0
        self._floor: dict[str, int] = {}

    def first_day(self, tenant: str) -> int:
        """The oldest day of which lines are still taken."""
        return max(self._first_day, self._floor.get(tenant, 0))

    def apply(self, limits: Limits) -> None:
        """Removes the days that are too old or too many, and what a crash left of such a removal.

        A file that cannot be removed is no reason to refuse lines; `excess` says so.
        """
        known = self._timekeeper.ask()
        self.highest_ns = known.highest_ns
        self._first_day = retention.first_day(known.now_ns, limits.retention_days)
        failed: list[OSError] = []
        try:
            self._folder.remove_leftovers(self._first_day)
        except OSError as error:
            failed.append(error)
        try:
            self.excess = self._applied(known, limits, failed)
        except OSError as error:
            failed.append(error)
        if failed:
            self.excess = f"days cannot be removed: {failed[0]}"

    def _applied(self, known: Clock, limits: Limits, failed: list[OSError]) -> str:
        """Removes them, past those that cannot be; why it is not enough, if it is not."""
        self.strays = self._folder.strays()
        files = self._folder.files()
        self.doubt = self._doubted(known, files, limits)
        gone = retention.expired(files, known.now_ns, limits.retention_days, limits.retention_bytes)
        for file in gone:
            self._forget(file.tenant, file.day)
            # A late line must not bring back a day that went for its bytes.
            self._floor[file.tenant] = max(self._floor.get(file.tenant, 0), file.day + 1)
            try:
                self._folder.remove(file)
            except OSError as error:
                failed.append(error)
            else:
                self._removed(file)
        left = self._folder.files() if failed else [file for file in files if file not in gone]
        size = sum(file.size for file in left)
        self._metrics.disk.set(size)
        self._metrics.days.set(len(left))
        over = limits.retention_bytes is not None and size > limits.retention_bytes
        return f"today alone has {size} bytes, more than retention_bytes" if over else ""

    def _doubted(self, known: Clock, files: Sequence[DayFile], limits: Limits) -> str:
        machine_ns = self._timekeeper.machine_ns
        first = retention.first_day(machine_ns, limits.retention_days)
        kept = sum(self._first_day <= file.day < first for file in files)
        return clock.doubt(known, machine_ns, kept)


def named(file: DayFile) -> dict[str, object]:
    """A removed day, as an event tells of it."""
    return {"tenant": file.tenant, "day": times.day_name(file.day), "bytes": file.size}
