"""All services by name, and what was refused; of a thousand only the one that changed is redone."""

from bisect import bisect_left
from collections.abc import Mapping

from discovery.model import Rejection, Service
from discovery.services.instances import Group


class Roll:
    """Keeps the groups, and their services sorted."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._names: list[str] = []
        self._services: list[Service] = []
        self._rejected: tuple[Rejection, ...] = ()
        self._folded: set[str] = set()
        self._twins = False
        self._stale = False

    def take(self, name: str, group: Group | None) -> None:
        """Takes in the group of that name; None when there is none any more."""
        before = self._groups.pop(name, None)
        if group is not None:
            self._groups[name] = group
        was, now = before.service if before else None, group.service if group else None
        refused = (before.rejected if before else ()) != (group.rejected if group else ())
        if self._twins or refused or (was is None and now and name.lower() in self._folded):
            self._stale = True
        if not self._stale and (was or now):
            self._put(name, was, now)

    def _put(self, name: str, was: Service | None, now: Service | None) -> None:
        at = bisect_left(self._names, name)
        if was is None and now is not None:
            self._names.insert(at, name)
            self._services.insert(at, now)
            self._folded.add(name.lower())
        elif now is None:
            del self._names[at], self._services[at]
            self._folded.remove(name.lower())
        else:
            self._services[at] = now

    def told(self) -> tuple[tuple[Service, ...], tuple[Rejection, ...]]:
        """All services, and all rejections, sorted."""
        if self._stale:
            services, self._rejected, self._twins = _without_twins(self._groups)
            self._services = list(services)
            self._names = [service.name for service in services]
            self._folded = {name.lower() for name in self._names}
            self._stale = False
        return tuple(self._services), self._rejected


def _without_twins(
    groups: Mapping[str, Group],
) -> tuple[tuple[Service, ...], tuple[Rejection, ...], bool]:
    """All services and rejections, and whether two names differed by case only: the older stays.

    Nginx compares the names of upstreams without case (ngx_http_upstream_add): the second one
    would make the whole file invalid.
    """
    services: dict[str, Service] = {}
    rejected: list[Rejection] = []
    twins = False
    for name, group in sorted(groups.items(), key=lambda item: (item[1].since_revision, item[0])):
        rejected.extend(group.rejected)
        if group.service is None:
            continue
        first = services.setdefault(name.lower(), group.service)
        if first is not group.service:
            twins = True
            reason = f"its service differs from {first.name} by case only"
            at = f"/{name}/"
            rejected.extend(Rejection(f"{at}{i.key}", reason) for i in group.service.instances)
    ordered = tuple(sorted(services.values(), key=lambda s: s.name))
    return ordered, tuple(sorted(rejected)), twins
