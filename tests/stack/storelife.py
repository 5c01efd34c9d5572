"""One life of the store's engine as a process of its own, small enough to look at every call."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from logshipper.store.engine import day, schema
from logshipper.store.engine.folder import Folder
from logshipper.store.engine.intake import Intake
from logshipper.store.engine.reader import DayReader, open_day
from logshipper.store.engine.retention import Limits
from logshipper.store.engine.timekeeper import Timekeeper
from logshipper.store.engine.writer import Writer
from logshipper.store.lines import documents
from logshipper.store.lines.times import DAY_NS, Arrival
from logshipper.store.metrics import Metrics
from logshipper.store.model import Busy, Document

TODAY: Final = 20_780
RETENTION_DAYS: Final = 2
# So small that a few lines go through everything that a day file does.
_BLOCK_LINES: Final = 8
_PARTS: Final = 3
_CHECKPOINT_PAGES: Final = 24
_TRIES: Final = 60


class Body(NamedTuple):
    """Lines of one source, numbered, with ids; `day` counts from TODAY."""

    tenant: str
    day: int
    source: str
    first: int
    count: int

    def words(self) -> list[str]:
        """The lines' messages, a word each that no other line has."""
        return [f"{self.source}x{n}" for n in range(self.first, self.first + self.count)]

    def documents(self) -> list[Document]:
        """The lines, as they are sent."""
        time_ns = (TODAY + self.day) * DAY_NS + DAY_NS // 2
        # Half the sources number their lines as the shipper does, the others' ids have no order.
        separator = ".1." if self.source < "m" else "-"
        return [
            documents.document(
                {"message": word, "time": time_ns, "app": self.source, "level": "info"},
                f"{self.source}{separator}{self.first + n:x}",
                Arrival.of(time_ns),
            )
            for n, word in enumerate(self.words())
        ]


class Later(NamedTuple):
    """Time goes on by days, and retention is applied."""

    days: int


class Read(NamedTuple):
    """Somebody reads a day, and goes on: its log then outlives its writer."""

    tenant: str
    day: int


class Closed(NamedTuple):
    """The writer is closed and made anew, as a clean restart does."""


Step = Body | Later | Read | Closed
_STEPS: Final = {step.__name__: step for step in (Body, Later, Read, Closed)}


def command(root: Path, notes: Path, steps: Sequence[Step]) -> list[str]:
    """What runs such a life; it writes to `notes` when a step was acknowledged, or refused."""
    told = json.dumps([[type(step).__name__, *step] for step in steps])
    return [sys.executable, "-m", "tests.stack.storelife", str(root), str(notes), told]


def make_small() -> None:
    """Makes blocks and checkpoints of this process small."""
    opened = schema.open_for_writing

    def open_small(path: Path) -> object:
        connection = opened(path)
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return connection

    for module, name, value in (
        (day, "BLOCK_LINES", _BLOCK_LINES),
        (day, "_PARTS", _PARTS),
        (schema, "open_for_writing", open_small),
    ):
        assert hasattr(module, name)
        setattr(module, name, value)


class Life:
    """A writer, and a clock that moves when it is told."""

    def __init__(self, root: Path, now_day: int = TODAY) -> None:
        self._folder = Folder(root)
        self._now_ns = now_day * DAY_NS + DAY_NS // 2
        self._begin()

    @property
    def why(self) -> str:
        """What health says is wrong with the disk or a file."""
        wrong = {**self._writer.broken.told(), **self._folder.strays()}
        return self._writer.failing or "; ".join(f"{path} {why}" for path, why in wrong.items())

    def send(self, *bodies: Body) -> None:
        """Raises Busy if one was refused."""
        offers = [self._intake.offer(body.tenant, body.documents()) for body in bodies]
        for offer in offers:
            offer.result(timeout=60)

    def tick(self) -> None:
        """Looks at the disk, as the writer does each second."""
        self._writer.tick()

    def later(self, days: int) -> None:
        self._now_ns += days * DAY_NS
        self._writer.removal.apply(self._writer.limits)

    def restart(self) -> None:
        self.close()
        self._begin()

    def close(self) -> None:
        self._writer.close()
        assert self._writer.failure is None, repr(self._writer.failure)

    def _begin(self) -> None:
        metrics, root = Metrics(CollectorRegistry()), self._folder.root
        self._intake = Intake(2**20, metrics, linger_seconds=0)
        self._writer = Writer(
            self._folder,
            self._intake,
            Limits(RETENTION_DAYS),
            metrics,
            timekeeper=Timekeeper(root / "clock", lambda: self._now_ns, lambda: self._now_ns),
        )
        self._writer.start()


def main(root: Path, notes: Path, steps: Sequence[Step]) -> None:
    """Goes through the steps; what is refused is sent again."""
    make_small()
    descriptor = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    life, readers = Life(root), list[DayReader | None]()

    def note(word: str, at: int, why: str = "") -> None:
        os.write(descriptor, f"{word} {at} {why}".strip().encode() + b"\n")

    for at, step in enumerate(steps):
        note("begun", at)
        match step:
            case Body():
                for why in sent(life, step):
                    note("refused", at, why)
            case Later(days):
                life.later(days)
            case Read(tenant, day):
                readers.append(open_day(Folder(root).path(tenant, TODAY + day)))
            case Closed():
                life.restart()
        note("done", at)
    life.close()


def sent(life: Life, body: Body) -> Iterator[str]:
    """Sends a body until it is taken; what health says each time that it is refused.

    Where the disk is well again by the time that health is asked, the refusal must say it.
    """
    for _ in range(_TRIES):
        try:
            life.send(body)
        except Busy as error:
            yield life.why or str(error)
            life.tick()
        else:
            if life.why:
                raise RuntimeError(f"lines are taken, and health says {life.why}")
            return
    raise RuntimeError(f"still refused: {life.why}")


if __name__ == "__main__":
    given = json.loads(sys.argv[3])
    main(Path(sys.argv[1]), Path(sys.argv[2]), [_STEPS[name](*rest) for name, *rest in given])
