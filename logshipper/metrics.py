"""What Prometheus is told of the shipper."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from logshipper.account import Standing, summed
from logshipper.model import Tally

PREFIX: Final = "wharfinger_logshipper"
MAX_LOGS: Final = 1000
LOSS_REASONS: Final = (
    "rotated",
    "truncated",
    "removed",
    "corrupt",
    "zeroed",
    "refused",
    "dead_letters_full",
    "spool",
)


class Metrics:
    """The counters; those of losses stand at 0 from the start, so that an alarm can be set."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", text, labels, registry=registry)

        self.lost_bytes = counter(
            "lost_bytes_total", "Bytes that were gone before they could be shipped", "reason"
        )
        self.losses = counter("losses_total", "How often that happened", "reason")
        self.rejected_documents = counter(
            "rejected_documents_total", "Documents that a sink will never take", "sink"
        )
        self.delivered_documents = counter(
            "delivered_documents_total", "Documents that a sink acknowledged", "sink"
        )
        self.read_bytes = counter("read_bytes_total", "Bytes read from logs", "sink")
        self.undecoded_lines = counter(
            "undecoded_lines_total", "Lines that were no JSON, shipped as raw text", "sink"
        )
        self.shipped_events = counter(
            "shipped_events_total", "Events of daemons that a sink acknowledged", "sink", "daemon"
        )
        self.missed_events = counter(
            "missed_events_total",
            "Events that a daemon no longer had when they were to be shipped",
            "sink",
            "daemon",
        )
        self.retries = counter("retries_total", "Requests that had to be made again", "sink")
        self.dropped_lines = counter(
            "dropped_lines_total", "Lines that a filter or a limit left out", "sink", "reason"
        )
        self.unread_lines = counter(
            "unread_lines_total",
            "Lines shipped whole, as parse or time did not fit",
            "sink",
            "what",
        )
        self.redactions = counter(
            "redactions_total",
            "Secrets taken out of lines, by the rule that found them",
            "sink",
            "rule",
        )
        self.spooled_bytes = counter(
            "spooled_bytes_total", "Bytes of deleted logs that were copied into the spool", "sink"
        )
        self.spool_failures = counter(
            "spool_failures_total", "How often the spool could not be written", "sink"
        )
        self.spool_bytes = gauge("spool_bytes", "Bytes on disk that the spool takes", "sink")
        self.dead_letters = gauge(
            "dead_letters", "Documents that a sink refused, and that wait to be sent again", "sink"
        )
        self.dead_letter_bytes = gauge("dead_letter_bytes", "Bytes on disk that they take", "sink")
        for reason in LOSS_REASONS:
            self.lost_bytes.labels(reason)
            self.losses.labels(reason)

    def count(self, sink: str, tally: Tally) -> None:
        """Adds what was counted among lines."""
        for counter, found in (
            (self.dropped_lines, tally.dropped),
            (self.unread_lines, tally.unread),
            (self.redactions, tally.redacted),
        ):
            for kind, number in found.items():
                counter.labels(sink, kind).inc(number)


class LogCollector(Collector):
    """Reads how logs stand when it is asked for: a removed container leaves no stale series.

    Of each sink, the thousand worst containers at most are listed.

    Args:
        standings: of all logs in all sinks.
    """

    def __init__(self, standings: Callable[[], Iterable[Standing]]) -> None:
        self._standings = standings

    def collect(self) -> Iterator[Metric]:
        """The samples of each log and sink."""
        names = ("sink", "container")
        lag_bytes = _gauge("lag_bytes", "Bytes of a log that a sink does not hold yet", *names)
        lag_seconds = _gauge("lag_seconds", "Age of the oldest line among them", *names)
        unlisted = _gauge(
            "unlisted_containers", "Those without series, as there are too many", "sink"
        )
        lost = _counter("log_lost_bytes", "Bytes of a log that were lost", *names, "reason")
        retries = _counter("log_retries", "Requests made again with lines of a log", *names)
        rejected = _counter("log_rejected_documents", "Documents refused for good", *names)
        sinks: dict[str, list[Standing]] = {}
        for each in self._standings():
            sinks.setdefault(each.sink, []).append(each)
        for sink, logs in sinks.items():
            standings = summed(logs)
            if len(standings) > MAX_LOGS:
                standings.sort(key=lambda each: each.badness, reverse=True)
            unlisted.add_metric((sink,), max(0, len(standings) - MAX_LOGS))
            for each in standings[:MAX_LOGS]:
                key = (sink, each.container_id)
                if not each.ended:
                    lag_bytes.add_metric(key, each.lag_bytes)
                    lag_seconds.add_metric(key, each.lag_seconds)
                if each.account is not None:
                    for reason, size_bytes in each.account.lost_bytes.items():
                        lost.add_metric((*key, reason), size_bytes)
                    retries.add_metric(key, each.account.retries)
                    rejected.add_metric(key, each.account.rejected)
        yield from (lag_bytes, lag_seconds, lost, retries, rejected, unlisted)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
