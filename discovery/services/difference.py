"""What of one snapshot is otherwise in a later one, and whether somebody can see it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

from discovery.model import Service, Snapshot
from discovery.services.texts import differing

PAIRS: Final = 8


class Difference:
    """Of two snapshots; nothing of it is worked out before somebody asks.

    Args:
        before: the earlier.
        after: the later.
    """

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self._before = before
        self._after = after

    @property
    def anew(self) -> bool:
        """Whether etcd was listed in between: then everything is looked at again.

        That is how often what a template asks of the machine (DNS, files, the time) is news.
        """
        return self._before.listing != self._after.listing

    @cached_property
    def services(self) -> frozenset[str]:
        """The names of those that came, went, or have anything else in them."""
        return frozenset(self._services)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the user's own, and of the addresses of instances."""
        addresses = chain.from_iterable(
            _keys(before) ^ _keys(after) for before, after in self._services.values()
        )
        return frozenset((*differing(self._before.values, self._after.values), *addresses))

    @cached_property
    def raw(self) -> frozenset[str]:
        """The keys of instances and of their metadata that have another text."""
        return frozenset(differing(self._before.raw, self._after.raw))

    @cached_property
    def _services(self) -> Mapping[str, tuple[Service | None, Service | None]]:
        before = {service.name: service for service in self._before.services}
        after = {service.name: service for service in self._after.services}
        # Most are the very same object, which is quick to see.
        changed = [
            name
            for name, service in after.items()
            if before.get(name) is not service and before.get(name) != service
        ]
        gone = before.keys() - after.keys()
        return {name: (before.get(name), after.get(name)) for name in (*changed, *gone)}


class Differences:
    """Keeps those that were asked for last: hundreds of resources ask for the same."""

    def __init__(self) -> None:
        self._known: tuple[tuple[Snapshot, Snapshot, Difference], ...] = ()

    def between(self, before: Snapshot, after: Snapshot) -> Difference:
        """The difference of these two."""
        for one, other, known in self._known:
            if one is before and other is after:
                return known
        made = Difference(before, after)
        self._known = ((before, after, made), *self._known[: PAIRS - 1])
        return made


@dataclass(frozen=True, slots=True)
class Sight:
    """What can make a rendered text another one.

    Attributes:
        keys: of etcd, each for itself.
        folders: all keys that begin so; each ends in a slash.
        raw: what stands at instances' keys is seen unchecked.
        services: names of the typed services that it asked for; None for all there are.
    """

    keys: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    raw: bool = False
    services: frozenset[str] | None = frozenset()

    def meets(self, difference: Difference) -> bool:
        """Whether anything of it is within sight."""
        if difference.anew or self._holds(difference.keys):
            return True
        if self.raw and self._holds(difference.raw):
            return True
        if self.services is None:
            return bool(difference.services)
        return bool(self.services) and not self.services.isdisjoint(difference.services)

    def _holds(self, keys: Iterable[str]) -> bool:
        return any(key in self.keys or key.startswith(self.folders) for key in keys)


def _keys(service: Service | None) -> set[str]:
    return {f"/{service.name}/{one.key}" for one in service.instances} if service else set()
