"""What the store counts, for /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "wharfinger_logstore"


class Metrics:
    """The store's series; each may be changed from any thread.

    Args:
        registry: where they are published.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{_PREFIX}_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{_PREFIX}_{name}", text, registry=registry)

        self.accepted = counter("accepted_lines_total", "Lines committed.")
        self.duplicates = counter("duplicate_lines_total", "Lines that were stored already.")
        self.expired = counter("expired_lines_total", "Lines older than the retention.")
        self.rejected = counter("rejected_lines_total", "Lines that could not be understood.")
        self.refused = counter("refused_requests_total", "Requests answered with 429.", "reason")
        self.messages = counter("message_characters_total", "Characters of messages committed.")
        self.queries = counter("queries_total", "Queries answered.", "endpoint")
        self.denied = counter("denied_requests_total", "Requests of those who may not.", "reason")
        self.read = counter("reader_requests_total", "Requests by who reads.", "tenant", "reader")
        self.sent = counter("sender_bytes_total", "Bytes taken by who sent.", "tenant", "sender")
        self.audit_lost = counter(
            "audit_lost_lines_total", "Lines that the audit file does not have."
        )
        self.queue = gauge("queue_bytes", "Bytes of bodies that wait to be committed.")
        self.disk = gauge("disk_bytes", "Bytes of all day files.")
        self.free = gauge("free_bytes", "Bytes left on the disk.")
        self.days = gauge("day_files", "Day files, of all tenants.")
        self.waiting = gauge("waiting_questions", "Questions that wait for a thread.")
        self.tails = gauge("tails", "Live tails that are open.")
        self.commit_seconds = Histogram(
            f"{_PREFIX}_commit_seconds",
            "From the beginning of a transaction until it is on disk.",
            registry=registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )
        self.search_seconds = Histogram(
            f"{_PREFIX}_search_seconds",
            "From a question to its answer.",
            registry=registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )
