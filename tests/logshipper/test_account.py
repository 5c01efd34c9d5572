"""What befalls logs is kept by log, shown for a while when the log is gone, and bounded."""

from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from logshipper.account import KEEP_SECONDS, MAX_ENDED, Account, Accounts, Consignment, Standing
from logshipper.batch import Batch, Ticket
from logshipper.metrics import MAX_LOGS, LogCollector
from logshipper.model import Loss, Position, Progress, Slice
from logshipper.sinkconfig import BulkConfig
from tests.logshipper.sending import Sending
from tests.logshipper.strict_sink import StrictSink, status

PROGRESS = Progress(Position(0, 1))


def identifier(number: int) -> str:
    return f"{number:064x}"[::-1]


def told(*standings: Standing) -> str:
    registry = CollectorRegistry()
    registry.register(LogCollector(lambda: standings))
    return generate_latest(registry).decode()


def test_an_account_outlives_its_log_for_a_while() -> None:
    now = [0.0]
    accounts = Accounts(lambda: now[0])
    accounts.lost("a", "web", Loss("rotated", 7, "w"))
    accounts.lost("a", "", Loss("rotated", 5, "w"))
    accounts.of("b").retries = 3
    assert list(accounts.ended({"a", "b"})) == []
    now[0] = 10.0
    # A removed log to which nothing bad happened leaves nothing.
    assert [(key, each.name) for key, each in accounts.ended({})] == [("a", "web")]
    assert accounts.find("b") is None
    now[0] += KEEP_SECONDS + 1
    assert list(accounts.ended({})) == []
    assert accounts.find("a") is None


def test_many_that_end_fill_nothing() -> None:
    now = [0.0]
    accounts = Accounts(lambda: now[0])
    for number in range(3 * MAX_ENDED):
        accounts.lost(identifier(number), "", Loss("removed", 1, "w"))
        now[0] += 0.1
        kept = list(accounts.ended({}))
    assert len(kept) == MAX_ENDED
    assert kept[0][0] == identifier(3 * MAX_ENDED - 1)


def test_a_consignment_finds_whose_document_was_refused() -> None:
    accounts, losses, batch = Accounts(), [], Batch(0.0)
    for log, documents in (("a", (b"1", b"2")), ("b", ()), ("c", (b"3",))):
        batch.add(log, Slice(documents, PROGRESS, 1), Ticket(PROGRESS, 1))
    consignment = Consignment(batch, accounts, lambda log, loss: losses.append((log, loss)))
    consignment.retried()
    consignment.refused([b"3"], 0)
    consignment.refused([b"2"], 99)
    found = {log: accounts.of(log) for log in "abc"}
    assert {log: each.retries for log, each in found.items()} == {"a": 1, "b": 1, "c": 1}
    assert {log: each.rejected for log, each in found.items()} == {"a": 1, "b": 0, "c": 1}
    assert [(log, loss.reason, loss.size_bytes) for log, loss in losses] == [
        ("a", "dead_letters_full", 99)
    ]


def test_series_are_there_for_logs_and_their_losses() -> None:
    account = Account("web", {"rotated": 7}, retries=2, rejected=1)
    text = told(
        Standing("main", "a" * 64, "web", 5, 2.5, account=account),
        Standing("main", "b" * 64, "gone", account=account, ended=True),
    )
    key = f'container="{"a" * 12}"'
    assert f'wharfinger_logshipper_lag_bytes{{{key},sink="main"}} 5.0' in text
    assert f'wharfinger_logshipper_lag_seconds{{{key},sink="main"}} 2.5' in text
    lost = f'log_lost_bytes_total{{{key},reason="rotated",sink="main"}} 7.0'
    assert f"wharfinger_logshipper_{lost}" in text
    assert f'wharfinger_logshipper_log_retries_total{{{key},sink="main"}} 2.0' in text
    assert f'log_rejected_documents_total{{{key},sink="main"}} 1.0' in text
    gone = f'container="{"b" * 12}"'
    assert f"lag_bytes{{{gone}" not in text
    assert f'log_lost_bytes_total{{{gone},reason="rotated",sink="main"}} 7.0' in text


def test_more_logs_than_the_bound_leave_the_best_out() -> None:
    standings = [Standing("main", identifier(n), "", lag_bytes=n) for n in range(MAX_LOGS + 50)]
    text = told(*standings)
    assert text.count("wharfinger_logshipper_lag_bytes{") == MAX_LOGS
    assert 'unlisted_containers{sink="main"} 50.0' in text
    assert f'container="{identifier(MAX_LOGS + 49)[:12]}"' in text
    assert f'container="{identifier(10)[:12]}"' not in text


def test_all_files_of_a_container_have_one_series() -> None:
    account = Account("web", {"rotated": 7}, retries=2, rejected=1)
    text = told(
        Standing("s", "a" * 64, "", 5, 1.0, account=account),
        Standing("s", "a" * 64 + ":/var/log/x", "", 6, 9.0),
        Standing("s", "a" * 64 + ":/var/log/y", "", 7, 2.0, account=account),
        Standing("s", "host:/var/log/z", "", 3),
    )
    assert "/var/log" not in text
    assert f'lag_bytes{{container="{"a" * 12}",sink="s"}} 18.0' in text
    assert f'lag_seconds{{container="{"a" * 12}",sink="s"}} 9.0' in text
    assert f'lost_bytes_total{{container="{"a" * 12}",reason="rotated",sink="s"}} 14.0' in text
    assert f'log_retries_total{{container="{"a" * 12}",sink="s"}} 4.0' in text
    assert 'lag_bytes{container="host",sink="s"} 3.0' in text
    assert text.count("logshipper_lag_bytes{") == 2
    assert account.retries == 2


class Recorder:
    """Who is told what befalls a delivery."""

    def __init__(self) -> None:
        self.retries = 0
        self.documents: list[bytes] = []
        self.dropped_bytes = 0

    def retried(self) -> None:
        self.retries += 1

    def refused(self, documents: Sequence[bytes], dropped_bytes: int) -> None:
        self.documents += documents
        self.dropped_bytes += dropped_bytes


async def test_a_delivery_tells_of_retries_refusals_and_letters_that_had_to_go(
    tmp_path: Path,
) -> None:
    async with StrictSink() as sink:
        sending = Sending(BulkConfig(url=sink.url), tmp_path)
        sending.letters._limit_bytes = 1000
        sink.poison = "poison"
        sink.moods = [status(503), status(503)]
        documents = sending.documents("good", "poison " + "x" * 400, "fine")
        told = Recorder()
        try:
            await sending.delivery.deliver(documents, told)
            assert told.retries == 2
            assert told.documents == [documents[1]]
            assert told.dropped_bytes == 0
            for number in range(1, 6):
                again = sending.documents("poison " + "y" * 400, begin=number * 1000)
                await sending.delivery.deliver(again, told)
            assert len(told.documents) == 6
            assert told.dropped_bytes > 0
        finally:
            await sending.delivery.close()
