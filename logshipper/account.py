"""What has befallen each log in one sink: losses, retries, refusals; bounded and forgotten."""

import re
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from logshipper.batch import Batch
from logshipper.model import Loss

# What a removed container lost must be seen by whoever asks once a minute; not for ever.
KEEP_SECONDS: Final = 600.0
MAX_ENDED: Final = 100
_LONG_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(slots=True)
class Account:
    """Of one log; empty ones are not kept.

    Attributes:
        name: the container's; empty if nobody knew it.
        lost_bytes: by reason.
        retries: requests made again that held lines of it.
        rejected: its documents that the sink will never take.
        ended_at: monotonic seconds; None as long as the log is there.
    """

    name: str = ""
    lost_bytes: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    rejected: int = 0
    ended_at: float | None = None

    def told(self) -> dict[str, object]:
        """For `/status`."""
        return {
            "lost_bytes": dict(self.lost_bytes),
            "retries": self.retries,
            "rejected": self.rejected,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """How one log stands in one sink at one moment.

    Attributes:
        sink: its name.
        container_id: whose log.
        called: the container, for people.
        lag_bytes: of its files that the sink does not hold yet.
        lag_seconds: age of the oldest line among them.
        trouble: why it cannot be read now; empty when it can.
        account: what has befallen it, if anything has.
        ended: the log is gone, and only its account is left.
        whose: the container that it is of, or `host`; empty where its id says so.
    """

    sink: str
    container_id: str
    called: str
    lag_bytes: int = 0
    lag_seconds: float = 0.0
    trouble: str = ""
    account: Account | None = None
    ended: bool = False
    whose: str = ""

    @property
    def badness(self) -> tuple[int, int, float]:
        """What sorts the worst to the end."""
        lost = sum(self.account.lost_bytes.values()) if self.account else 0
        return lost, self.lag_bytes, self.lag_seconds

    def plus(self, other: "Standing") -> "Standing":
        """Both as if they were one log."""
        accounts = [each.account for each in (self, other) if each.account is not None]
        account = Account()
        for each in accounts:
            for reason, size_bytes in each.lost_bytes.items():
                account.lost_bytes[reason] = account.lost_bytes.get(reason, 0) + size_bytes
            account.retries += each.retries
            account.rejected += each.rejected
        return replace(
            self,
            lag_bytes=self.lag_bytes + other.lag_bytes,
            lag_seconds=max(self.lag_seconds, other.lag_seconds),
            account=account if accounts else None,
            ended=self.ended and other.ended,
        )


def called(container_id: str, name: str) -> str:
    """A container for people: its name if it is known, and as much of its id as Docker shows."""
    return f"{name} ({label(container_id)})" if name else label(container_id)


def label(container_id: str) -> str:
    """A log in few characters, and no other's: what stands behind an id names a file."""
    found = _LONG_ID.match(container_id)
    return container_id[:12] + container_id[found.end() :] if found else container_id


def summed(standings: Iterable[Standing]) -> list[Standing]:
    """How each container stands in one sink with all its logs.

    Whoever writes in a container names its files: they must not become names of series.
    """
    found: dict[str, Standing] = {}
    for each in standings:
        whose = label(each.whose or each.container_id).partition(":")[0]
        before = found.get(whose)
        found[whose] = replace(each, container_id=whose) if before is None else before.plus(each)
    return list(found.values())


class Accounts:
    """The accounts of all logs of one sink.

    An account outlives its log by ten minutes, and a hundred of them at most: whoever starts a
    thousand containers a minute must not fill the shipper or Prometheus.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    def of(self, container_id: str) -> Account:
        """A log's account, opened if need be."""
        return self._accounts.setdefault(container_id, Account())

    def find(self, container_id: str) -> Account | None:
        """A log's account, if anything has befallen it."""
        return self._accounts.get(container_id)

    def lost(self, container_id: str, name: str, loss: Loss) -> None:
        """Enters a loss."""
        account = self.of(container_id)
        account.name = name or account.name
        account.lost_bytes[loss.reason] = account.lost_bytes.get(loss.reason, 0) + loss.size_bytes

    def ended(self, living: Container[str]) -> Iterator[tuple[str, Account]]:
        """Those whose logs are gone, but that are kept for now; forgets the older ones.

        Args:
            living: the ids of the logs that are there.
        """
        now = self._clock()
        ended: list[tuple[float, str]] = []
        for container_id, account in self._accounts.items():
            if container_id in living:
                account.ended_at = None
            else:
                account.ended_at = now if account.ended_at is None else account.ended_at
                ended.append((account.ended_at, container_id))
        ended.sort(reverse=True)
        for number, (ended_at, container_id) in enumerate(ended):
            account = self._accounts[container_id]
            told = account.lost_bytes or account.rejected
            if number >= MAX_ENDED or now - ended_at > KEEP_SECONDS or not told:
                del self._accounts[container_id]
            else:
                yield container_id, account


@dataclass(frozen=True, slots=True)
class Consignment:
    """A batch on its way: enters what befalls it into the accounts of its logs.

    Attributes:
        batch: what is sent.
        accounts: of its sink.
        lose: told the container and what of its log was lost.
    """

    batch: Batch
    accounts: Accounts
    lose: Callable[[str, Loss], None]

    def retried(self) -> None:
        """A request of it has to be made again."""
        for container_id in {each for each, _ in self.batch.tickets}:
            self.accounts.of(container_id).retries += 1

    def refused(self, documents: Sequence[bytes], dropped_bytes: int) -> None:
        """The sink will never take these; older dead letters had to go for them."""
        for document in documents:
            self.accounts.of(self.batch.owner(document)).rejected += 1
        if dropped_bytes:
            why = "older dead letters had to go for lines of it that were refused"
            self.lose(self.batch.owner(documents[0]), Loss("dead_letters_full", dropped_bytes, why))
