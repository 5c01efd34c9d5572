"""The peers of each snapshot, stamped: of two texts for a service it is plain which is later."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from discovery.builtin import nginxfile
from discovery.builtin.certificates import Certificates
from discovery.builtin.config import NginxConfig
from discovery.builtin.nginxfile import Frame, Seed, Site
from discovery.builtin.pools import Pool
from discovery.model import Route, Service, Snapshot, others


@dataclass(frozen=True, slots=True)
class Noted:
    """The peers of one snapshot.

    Attributes:
        stamp: what was noted later has a higher one.
        revision: of etcd.
        site: what the file is rendered with.
        structure: what only a reload can change.
    """

    stamp: int = 0
    revision: int = 0
    site: Site = field(default_factory=Site)
    structure: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is known of one service: worked out again when it is another object."""

    service: Service
    pool: Pool
    seed: Seed
    structure: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class _Told:
    """What a file is made from, by service."""

    seeds: Mapping[str, Seed] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    structures: tuple[tuple[object, ...], ...] = ()


class Roster:
    """Keeps the pools and their texts; only what changed is judged again.

    Attributes:
        certificates: of the virtual hosts.
    """

    def __init__(self) -> None:
        self._nginx: NginxConfig | None = None
        self._stamp = 0
        self._services: tuple[Service, ...] = ()
        self._entries: dict[str, _Entry] = {}
        self._told = _Told()
        self._routes: tuple[tuple[Route, ...], ...] = ()
        self._contested: frozenset[Route] = frozenset()
        self._hosts: frozenset[str] = frozenset()
        self._frame: tuple[tuple[object, ...], Frame] = ((), Frame())
        self.certificates = Certificates(None)

    def configure(self, nginx: NginxConfig | None) -> None:
        """Takes another configuration; everything is judged anew."""
        self._nginx, self._services = nginx, ()
        # The seeds stay: a text that Nginx holds already is not pushed with a later stamp.
        self._entries = {
            name: replace(entry, service=_UNKNOWN) for name, entry in self._entries.items()
        }
        self._frame = ((), Frame())
        self.certificates = Certificates(nginx.tls_dir if nginx else None)

    def pass_over(self, stamp: int) -> None:
        """That one is taken: what is noted from now on is later."""
        self._stamp = max(self._stamp, stamp)

    def note(self, snapshot: Snapshot, *, push: bool, socket: Path, peers_by_reload: bool) -> Noted:
        """The peers of a snapshot, later than all noted before.

        Args:
            snapshot: what is to be served.
            push: the file carries balancer and push endpoint.
            socket: of that endpoint.
            peers_by_reload: see `Site`.
        """
        if self._nginx is None:
            return Noted(revision=snapshot.revision)
        # Milliseconds, since it must outlive the process: Nginx remembers the last one's.
        self._stamp = max(self._stamp + 1, time.time_ns() // 1_000_000)
        self._take(self._nginx, snapshot.services)
        told = self._told
        certificates = self.certificates.of(self._hosts)
        structure = (
            push,
            peers_by_reload,
            socket,
            tuple(sorted(certificates.items())),
            told.structures,
        )
        if self._frame[0] != structure:
            self._frame = (structure, Frame())
        site = Site(
            push=push,
            socket=socket,
            certificates=certificates,
            seeds=told.seeds,
            pools=told.pools,
            peers_by_reload=peers_by_reload,
            # A plain file names its peers.
            frame=self._frame[1] if push else None,
        )
        return Noted(self._stamp, snapshot.revision, site, structure)

    def _take(self, nginx: NginxConfig, services: tuple[Service, ...]) -> None:
        """Judges who is another than before; of a thousand that is one."""
        changed, before = others(self._services, services), self._services
        self._services = services
        if len(services) == len(before) and all(map(self._is_as_ever, changed)):
            for service in changed:
                self._retake(nginx, service)
            return
        routes = tuple(service.routes for service in services)
        if routes != self._routes:
            self._routes = routes
            claims = Counter(route for claimed in routes for route in claimed)
            self._contested = frozenset(route for route, n in claims.items() if n > 1)
            self._hosts = frozenset(route.host for route in claims)
            self._entries = {
                name: replace(entry, structure=()) for name, entry in self._entries.items()
            }
        entries = {}
        for service in services:
            entry = self._entries.get(service.name)
            if entry is None or entry.service is not service:
                entry = self._entry(nginx, service, entry)
            elif not entry.structure:
                entry = replace(entry, structure=_structure(service, entry.pool, self._contested))
            entries[service.name] = entry
        self._entries = entries
        self._told = _Told(
            {name: entry.seed for name, entry in entries.items()},
            {name: entry.pool for name, entry in entries.items()},
            tuple(entry.structure for entry in entries.values()),
        )

    def _is_as_ever(self, service: Service) -> bool:
        """Whether nobody else has to be judged again for it: its name and its routes are known."""
        entry = self._entries.get(service.name)
        return entry is not None and entry.service.routes == service.routes

    def _retake(self, nginx: NginxConfig, service: Service) -> None:
        name, told = service.name, self._told
        before = self._entries[name]
        entry = self._entries[name] = self._entry(nginx, service, before)
        structures = told.structures
        if entry.structure is not before.structure:
            structures = tuple(each.structure for each in self._entries.values())
        # What was noted before stays as it is: somebody may be at it.
        self._told = _Told(
            {**told.seeds, name: entry.seed}, {**told.pools, name: entry.pool}, structures
        )

    def _entry(self, nginx: NginxConfig, service: Service, before: _Entry | None) -> _Entry:
        pool = nginxfile.pools_of(nginx, (service,))[service.name]
        if not pool.peers and before is not None and before.service is not _UNKNOWN:
            # How it was spoken with stays known: the last one's end is no reason to reload.
            pool = replace(before.pool, peers=())
        seed = before.seed if before is not None else None
        if seed is None or seed.pieces != pool.pieces:
            seed = Seed(self._stamp, pool.pieces)
        structure = _structure(service, pool, self._contested)
        if before is not None and structure == before.structure:
            structure = before.structure  # the same object, which is quicker to compare
        return _Entry(service, pool, seed, structure)


_UNKNOWN: Final = Service("", "", "")


def _structure(service: Service, pool: Pool, contested: frozenset[Route]) -> tuple[object, ...]:
    return (
        service.name,
        service.routes,
        # Who has no instance gives way to who has some; nobody else needs to know.
        bool(pool.peers) or contested.isdisjoint(service.routes),
        pool.sticky,
        pool.grpc,
        pool.rule.balance == "least_conn",
    )
