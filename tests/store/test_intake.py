"""What waits to be committed, and for how long."""

import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from logshipper.store.engine.intake import GROUP_LINES, Batch, Intake
from logshipper.store.lines import documents
from logshipper.store.lines.times import Arrival
from logshipper.store.metrics import Metrics

LINE = documents.document({"message": "m"}, "", Arrival.of(0))
PATIENCE_SECONDS = 20


@pytest.fixture
def intake() -> Iterator[Intake]:
    """One that lingers for as long as no test waits."""
    made = Intake(2**20, Metrics(CollectorRegistry()), linger_seconds=3600)
    yield made
    made.stop()


class Collecting:
    """One call of `collect`, in a thread as the writer's."""

    def __init__(self, intake: Intake) -> None:
        self.batches: list[Batch] | None = None
        self._intake = intake
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.batches = self._intake.collect(PATIENCE_SECONDS)

    def ends(self, timeout_seconds: float = PATIENCE_SECONDS) -> bool:
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()


def test_a_line_that_comes_alone_does_not_wait(intake: Intake) -> None:
    intake.offer("t", [LINE])
    first = Collecting(intake)
    assert first.ends()
    assert first.batches is not None
    assert len(first.batches) == 1


def test_lines_close_behind_a_commit_wait_for_company(intake: Intake) -> None:
    intake.offer("t", [LINE])
    assert Collecting(intake).ends()
    intake.offer("t", [LINE])
    second = Collecting(intake)
    assert not second.ends(0.05)
    intake.offer("t", [LINE] * GROUP_LINES)
    assert second.ends()
    assert second.batches is not None
    assert [len(batch.documents) for batch in second.batches] == [1, GROUP_LINES]


def test_nobody_waits_when_it_stops(intake: Intake) -> None:
    intake.offer("t", [LINE])
    assert Collecting(intake).ends()
    intake.offer("t", [LINE])
    second = Collecting(intake)
    intake.stop()
    assert second.ends()
    assert second.batches is not None
    assert intake.collect(0) is None
