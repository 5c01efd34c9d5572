"""What became of this host's keys: told, counted, and when each was taken out."""

from collections.abc import Callable, Collection, Iterable
from typing import Final, assert_never

from registrar.model import Contested, Deregister, Register
from registrar.registry.records import Write
from wharfinger.events import Events
from wharfinger.keys import InstanceKey

REMOVALS_REMEMBERED: Final = 10_000


class Ledger:
    """An account of all writes of this life.

    Args:
        events: where each is told.

    Attributes:
        contested: by address, the other host that holds a key which one of ours asks for.
        registrations: how many instances were put.
        deregistrations: how many were taken out.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._removed: dict[str, int] = {}
        self.contested: dict[str, str] = {}
        self.registrations = 0
        self.deregistrations = 0

    def removed_at(self, key: InstanceKey) -> int | None:
        """The revision at which this life took an instance out; None when it did not."""
        return self._removed.get(key.address)

    def written(
        self, change: Write, revision: int, known: Collection[str], why: Callable[[str], str]
    ) -> None:
        """One change that etcd has taken.

        Args:
            change: what was done.
            revision: at which.
            known: the keys that were there before.
            why: tells the reason of a deregistration by the container's id.
        """
        match change:
            case Register(instance):
                self._removed.pop(instance.key.address, None)
                new = instance.key.address not in known
                self.registrations += new
                self._events.emit(
                    "instance registered" if new else "instance put right",
                    key=instance.key.address,
                    container=instance.metadata.id[:12],
                    name=instance.metadata.name,
                )
            case Deregister(key, container_id):
                self._remember(key.address, revision)
                self.deregistrations += 1
                self._events.emit(
                    "instance deregistered",
                    key=key.address,
                    container=container_id[:12],
                    why=why(container_id),
                )
            case _:
                assert_never(change)

    def withdrawn(self, instances: int) -> None:
        """All of this host was taken out."""
        self.deregistrations += instances
        self._events.emit("host withdrawn", instances=instances)

    def contest(self, contested: Iterable[Contested]) -> None:
        """All that is contested now; only what is news is told."""
        before, self.contested = self.contested, {}
        for each in contested:
            address = each.instance.key.address
            self.contested[address] = each.host
            if before.get(address) != each.host:
                self._events.emit(
                    "instance contested",
                    "error",
                    key=address,
                    container=each.instance.metadata.id[:12],
                    why=f"host {each.host!r} holds the key: two hosts have one address or one name",
                )

    def _remember(self, address: str, revision: int) -> None:
        self._removed.pop(address, None)
        self._removed[address] = revision
        while len(self._removed) > REMOVALS_REMEMBERED:
            del self._removed[next(iter(self._removed))]
