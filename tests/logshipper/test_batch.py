"""When a batch goes out, and that acknowledgements in any order move progress in one."""

from hypothesis import given
from hypothesis import strategies as st

from logshipper.batch import Batch, Ledger, Limits
from logshipper.model import Position, Progress, Slice

LIMITS = Limits(size_bytes=100, documents=3, age_seconds=0.2)


def piece(end: int, *documents: bytes) -> Slice:
    return Slice(documents, Progress(Position(0, end)), 10)


def test_a_batch_goes_out_when_it_is_large() -> None:
    batch, ledger = Batch(begun_at=0.0), Ledger()
    batch.add("c", piece(1, b"x" * 99), ledger.issue(piece(1)))
    assert not batch.due(LIMITS, 0.0)
    batch.add("c", piece(2, b"x"), ledger.issue(piece(2)))
    assert batch.due(LIMITS, 0.0)


def test_a_batch_goes_out_when_it_has_many_documents() -> None:
    batch, ledger = Batch(begun_at=0.0), Ledger()
    batch.add("c", piece(1, b"a", b"b"), ledger.issue(piece(1)))
    assert not batch.due(LIMITS, 0.0)
    batch.add("c", piece(2, b"c"), ledger.issue(piece(2)))
    assert batch.due(LIMITS, 0.0)


def test_a_batch_goes_out_when_it_is_old() -> None:
    batch = Batch(begun_at=10.0)
    assert not batch.due(LIMITS, 10.1)
    assert batch.due(LIMITS, 10.2)


@given(st.permutations(range(8)))
def test_progress_never_passes_what_is_not_acknowledged(order: list[int]) -> None:
    ledger = Ledger()
    tickets = [ledger.issue(piece(n + 1)) for n in range(8)]
    settled: set[int] = set()
    latest = 0
    for number in order:
        progress = ledger.settle(tickets[number])
        settled.add(number)
        reached = next((n for n in range(8) if n not in settled), 8)
        if progress is not None:
            latest = progress.read.offset
        assert latest == reached
    assert ledger.idle
    assert ledger.in_flight_bytes == 0
