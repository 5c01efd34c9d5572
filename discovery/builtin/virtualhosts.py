"""Which server and location answers for which service, in Nginx's words."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from discovery.model import Rejection, Route, Service

# A longer name does not fit a bucket of 64 bytes, Nginx's default, and would be fatal to the
# whole configuration (ngx_hash_init); a bucket size of our own would collide with the user's.
# Regular expressions are not hashed.
MAX_HASHED_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class Location:
    """What is served below one path of a virtual host.

    Attributes:
        path: as claimed.
        service: that answers.
    """

    path: str
    service: Service

    @property
    def locations(self) -> tuple[str, ...]:
        """The location's arguments: `/a` means itself and what is below, but not `/ab`."""
        return ("/",) if self.path == "/" else (f"= {self.path}", f"{self.path}/")


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """One server block.

    Attributes:
        host: the name that it answers to, perhaps with a leading `*.`.
        routes: sorted by path.
    """

    host: str
    routes: tuple[Location, ...]

    @property
    def server_name(self) -> str:
        """The name as Nginx takes it, quoted where it must be."""
        if len(self.host) <= MAX_HASHED_LENGTH:
            return self.host
        escaped = self.host.replace(".", r"\.")
        pattern = ".+" + escaped.removeprefix("*") if self.host.startswith("*.") else escaped
        return f'"~^{pattern}$"'

    @property
    def serves_root(self) -> bool:
        """Whether it has a service for every path."""
        return any(route.path == "/" for route in self.routes)


def http_services(services: Iterable[Service]) -> tuple[Service, ...]:
    """The services with those instances alone that an upstream of an http block can take.

    One that has none left stays, as any service without instances does: a server block of the
    user's own may name its upstream.
    """
    return tuple(
        service
        if all(each.http for each in service.instances)
        else replace(service, instances=tuple(i for i in service.instances if i.http))
        for service in services
    )


def virtual_hosts(
    services: Iterable[Service],
) -> tuple[tuple[VirtualHost, ...], tuple[Rejection, ...]]:
    """All virtual hosts by name, and the claims that another service's claim shut out.

    A service that has instances goes before one that has none; else the first by name.
    """
    taken: dict[Route, Service] = {}
    refused = []
    for service in sorted(services, key=lambda s: (not s.instances, s.name)):
        for route in service.routes:
            first = taken.setdefault(route, service)
            if first is not service and service.instances:
                reason = f"{route.host}{route.path} is served by {first.name} already"
                refused.append(Rejection(f"/{service.name}/", reason))
    hosts: dict[str, list[Location]] = {}
    for route in sorted(taken):
        hosts.setdefault(route.host, []).append(Location(route.path, taken[route]))
    return tuple(VirtualHost(host, tuple(hosts[host])) for host in hosts), tuple(refused)
