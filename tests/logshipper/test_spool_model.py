"""Tail, spool and checkpoint through any lives: crashes at any point, torn writes, full disks."""

import errno
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logshipper.checkpoint import Checkpoint
from logshipper.folder import close_from
from logshipper.logfile import open_folder, open_log
from logshipper.model import Chunk, Position, Progress, SavedLog
from logshipper.rotation import chain
from logshipper.segment import Segment
from logshipper.spool import Spool
from logshipper.tail import Tail
from tests.logshipper.dockerlog import CONTAINER, DockerLog

LIMIT_BYTES = 2**30
# A life that ends before anything has happened shows nothing.
LIFE_STEPS = 6


class Lives(RuleBasedStateMachine):
    """A log, the lives of a shipper that reads it, and what its sink holds.

    Whatever a life did, each line ends in the sink under one id, unless it was nowhere but in a
    deleted file of a life that ended before it could copy that.
    """

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="wf-spool-"))
        self.log = DockerLog(self.root / "containers", max_files=2)
        self.log.path.touch()
        self.state = self.root / "state"
        self.sink: dict[str, bytes] = {}
        self.way: list[Chunk] = []
        self.may_lose: set[bytes] = set()
        self.written: set[bytes] = set()
        self.safe: set[bytes] = set()
        self.removed = False
        self.live()

    def live(self) -> None:
        self.checkpoint = Checkpoint(self.state)
        self.logs = self.checkpoint.load()
        self.saved: dict[str, SavedLog] = dict(self.logs)
        self.spool = Spool(self.state / "spool", LIMIT_BYTES)
        self.tail = Tail(
            str(self.log.folder),
            self.log.base,
            saved=self.logs.get(CONTAINER),
            spooled=self.spool.of(CONTAINER),
        )
        self.tail.look()
        self.age = 0

    @invariant()
    def grow_older(self) -> None:
        self.age = getattr(self, "age", 0) + 1

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        try:
            self.deliver_all()
            held = set(self.sink.values())
            assert self.written - self.may_lose <= held
            assert held <= self.written
            assert len(held) == len(self.sink), "a line came under two ids"
        finally:
            self.tail.close()
            self.spool.close()
            shutil.rmtree(self.root)

    @precondition(lambda self: not self.removed)
    @rule(count=st.integers(1, 5))
    def write(self, count: int) -> None:
        before = self.log.path.stat().st_size
        self.log.write_numbered(count)
        self.written |= set(self.log.path.read_bytes()[before:].splitlines(keepends=True))

    @precondition(lambda self: not self.removed)
    @rule(files=st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=4))
    def rotate(self, files: list[tuple[int, bool]]) -> None:
        for count, compress in files:
            self.write(count)
            self.log.rotate(compress=compress)
            self.tail.look()

    @precondition(lambda self: not self.removed and len(self.written) > 20)
    @rule()
    def remove(self) -> None:
        self.log.remove()
        self.removed = True
        self.tail.look()

    @rule(count=st.integers(1, 3))
    def read(self, count: int) -> None:
        for _ in range(count):
            chunk = self.tail.read()
            if chunk is not None:
                self.way.append(chunk)

    @precondition(lambda self: self.way)
    @rule()
    def deliver(self) -> None:
        chunk = self.way.pop(0)
        offset = chunk.offset
        for line in chunk.data.splitlines(keepends=True):
            identity = f"{chunk.generation.token}.{offset:x}"
            assert self.sink.setdefault(identity, line) == line, "an id stands for two lines"
            offset += len(line)
        self.logs[CONTAINER] = self.tail.saved(Progress(chunk.end))

    @precondition(lambda self: self.way and self.age > LIFE_STEPS)
    @rule()
    def deliver_and_lose_the_answer(self) -> None:
        chunk, logs = self.way[0], dict(self.logs)
        self.deliver()
        self.way.insert(0, chunk)
        self.logs = logs
        self.crash(torn_copies=0, staged=b"")

    @rule()
    def save(self) -> None:
        self.checkpoint.save(self.logs)
        self.saved = dict(self.logs)

    @rule()
    def sync(self) -> None:
        self.save()
        self.checkpoint.sync()
        self.spool.release(self.saved)

    @rule()
    def store(self) -> None:
        self.tail.spool_deleted(partial(self.spool.store, CONTAINER, route=None), self.acknowledged)
        for segment in self.spool.of(CONTAINER):
            text = Segment(segment.path)
            self.safe |= set(text.pread(text.start, 2**20).splitlines(keepends=True))
            text.close()
        # From here on nothing depends on this life: not even what was read and is on its way.
        assert self.written - self.may_lose - set(self.sink.values()) <= self.somewhere()

    @rule(stored=st.binary(max_size=40))
    def store_on_a_full_disk(self, stored: bytes) -> None:
        def full(*_: object, **__: Any) -> Segment | None:
            (self.state / "spool" / "000000000099.segment.staged").write_bytes(stored)
            raise OSError(errno.ENOSPC, "No space left on device")

        try:
            self.tail.spool_deleted(full, self.acknowledged)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - it need not be raised

    @precondition(lambda self: self.age > LIFE_STEPS)
    @rule(torn_copies=st.sampled_from([0, 0, 0, 1, 2]), staged=st.binary(max_size=40))
    def crash(self, torn_copies: int, staged: bytes) -> None:
        """Ends a life; the copies of the checkpoint may be torn, and a segment half written."""
        self.tail.close()
        self.spool.close()
        self.way.clear()
        self.may_lose |= self.written - set(self.sink.values()) - self.somewhere() - self.safe
        for name in ("checkpoint", "checkpoint.previous")[:torn_copies]:
            path = self.state / name
            if path.exists():
                path.write_bytes(path.read_bytes()[: len(staged)])
        (self.state / "spool" / "000000000077.segment.staged").write_bytes(staged)
        self.live()

    @property
    def acknowledged(self) -> Position | None:
        saved = self.logs.get(CONTAINER)
        return saved.progress.resume if saved else None

    def deliver_all(self) -> None:
        while self.way:
            self.deliver()
        while (chunk := self.tail.read()) is not None:
            self.way.append(chunk)
            self.deliver()

    def somewhere(self) -> set[bytes]:
        """The lines that are in a file with a name: Docker's, or the spool's."""
        files: list[Any] = [Segment(path) for path in (self.state / "spool").glob("*.segment")]
        if not self.removed:
            folder = open_folder(str(self.log.folder))
            names = chain(self.log.base, [p.name for p in self.log.folder.iterdir()])
            files += [open_log(folder, name) for name in names]
            os.close(folder)
        found: set[bytes] = set()
        for file in files:
            start = getattr(file, "start", 0)
            found |= set(file.pread(start, file.size() - start).splitlines(keepends=True))
        close_from(files, 0)
        return found


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
