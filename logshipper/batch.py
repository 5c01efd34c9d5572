"""When documents are enough for a request, and what may be forgotten once it is answered; pure."""

from collections import deque
from dataclasses import dataclass, field

from logshipper.model import Progress, Slice


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full; whichever comes first.

    Attributes:
        size_bytes: of the uncompressed body.
        documents: how many.
        age_seconds: since its first slice was added.
    """

    size_bytes: int = 2 * 2**20
    documents: int = 20_000
    age_seconds: float = 0.2


class Ticket:
    """A slice on its way to the sink, in the ledger of its log."""

    __slots__ = ("progress", "settled", "since", "size_bytes")

    def __init__(self, progress: Progress, size_bytes: int, since: float = 0.0) -> None:
        self.progress = progress
        self.size_bytes = size_bytes
        self.since = since
        self.settled = False


class Ledger:
    """What of one log is on its way: bodies are answered in any order, progress is not."""

    def __init__(self) -> None:
        self._tickets: deque[Ticket] = deque()

    @property
    def in_flight_bytes(self) -> int:
        """How much of the log was read and is not acknowledged."""
        return sum(ticket.size_bytes for ticket in self._tickets)

    @property
    def idle(self) -> bool:
        """Whether everything that was read is acknowledged."""
        return not self._tickets

    @property
    def since(self) -> float | None:
        """Unix seconds of the oldest line that is not acknowledged; None when all are."""
        return self._tickets[0].since if self._tickets else None

    def issue(self, piece: Slice, since: float = 0.0) -> Ticket:
        """Enters a slice, in the order of the log; `since` is the time of its oldest line."""
        ticket = Ticket(piece.progress, piece.read_bytes, since)
        self._tickets.append(ticket)
        return ticket

    def settle(self, ticket: Ticket) -> Progress | None:
        """Marks a slice as acknowledged; gives the log's new progress if that moved it."""
        ticket.settled = True
        progress = None
        while self._tickets and self._tickets[0].settled:
            progress = self._tickets.popleft().progress
        return progress


@dataclass(slots=True)
class Batch:
    """Slices of any logs that go out in one request.

    Attributes:
        begun_at: monotonic seconds of the first slice.
        documents: action line and source line of each.
        tickets: the ledger entry of each slice, with the id of its log.
        size_bytes: of the uncompressed body.
    """

    begun_at: float
    documents: list[bytes] = field(default_factory=list)
    tickets: list[tuple[str, Ticket]] = field(default_factory=list)
    size_bytes: int = 0
    _ends: list[int] = field(default_factory=list)
    _owners: dict[bytes, str] = field(default_factory=dict)

    def add(self, log: str, piece: Slice, ticket: Ticket) -> None:
        """Adds a slice; a batch may pass its limits by one slice."""
        self.documents.extend(piece.documents)
        self.tickets.append((log, ticket))
        self._ends.append(len(self.documents))
        self.size_bytes += piece.size_bytes

    def owner(self, document: bytes) -> str:
        """The id of the log that a document of it is from."""
        if not self._owners:
            begin = 0
            for (log, _), end in zip(self.tickets, self._ends, strict=True):
                self._owners.update(dict.fromkeys(self.documents[begin:end], log))
                begin = end
        return self._owners.get(document, "")

    def due(self, limits: Limits, now: float) -> bool:
        """Whether it shall go out now."""
        return (
            self.size_bytes >= limits.size_bytes
            or len(self.documents) >= limits.documents
            or now >= self.begun_at + limits.age_seconds
        )
