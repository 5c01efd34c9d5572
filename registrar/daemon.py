"""The registrar's wiring: Docker in, ports and etcd out, one plan in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from registrar import ofhost
from registrar.beside import Neighbours
from registrar.census import Census
from registrar.checks.metrics import Meter
from registrar.checks.probes import Prober
from registrar.checks.schedule import Schedule
from registrar.config import Config
from registrar.drains import orders
from registrar.drains.absences import Absences
from registrar.drains.commands import Commands
from registrar.drains.departures import Departures
from registrar.drains.requests import Requests
from registrar.host import addresswatch, rights
from registrar.host.claim import Claim
from registrar.host.hostlock import HostLock
from registrar.host.hostrecord import OwnRecord
from registrar.lingering import linger
from registrar.massguard import MassGuard
from registrar.metrics import LeaseLosses, measure
from registrar.observer import Observer
from registrar.ofhost import OfHost
from registrar.planner import Planner
from registrar.ports import reservation, warmth
from registrar.ports.berths import Berths
from registrar.ports.warmth import Warmth
from registrar.registry import presence
from registrar.registry.publisher import Publisher
from registrar.registry.registry import Registry
from registrar.serving import Serving
from registrar.state import State
from registrar.status import describe
from registrar.usage import Usage
from registrar.wakefulness import Wakefulness
from wharfinger import certificatewatch, control, lease, neighbours
from wharfinger.dockerd import Docker
from wharfinger.etcd import Etcd
from wharfinger.keys import host_key
from wharfinger.lease import HostLease
from wharfinger.scope import Scope

STALE_SECONDS: Final = 15.0
BESIDE: Final = ("logshipper", "logstore")


class Registrar:
    """Gives containers their ports, and keeps etcd true about those that serve.

    Raises:
        Unavailable: another registrar runs on this host, or its state cannot be read.
    """

    name = "registrar"

    def __init__(self, config: Config, scope: Scope) -> None:
        self._config = config
        self._scope = scope
        host = config.host.name
        self._lock = contextlib.ExitStack()
        self._host_lock = HostLock()
        self._lock.enter_context(self._host_lock.held(config))
        self._state = state = State(config.host.state_dir / self.name)
        self._lock.enter_context(state.locked(host))
        health, events = scope.health, scope.events
        self._docker_check = health.check("docker", stale_after_seconds=STALE_SECONDS)
        self._lease_check = health.check("etcd lease", stale_after_seconds=STALE_SECONDS)
        self._registry_check = health.check("registry", stale_after_seconds=STALE_SECONDS)
        ports_check = health.check("ports", stale_after_seconds=STALE_SECONDS)
        self._census = Census(state.load_stops(), lambda: self._config.registrar.ways)
        self._etcd = Etcd(config.etcd)
        self._claim = Claim(
            self._etcd, host=host, key=host_key(host, self.name), saved=lease.load(state.lease)
        )
        self._registry = Registry(self._etcd, host, events, self._claim)
        self._berths = Berths(
            state,
            self._census,
            events,
            within=lambda: self._config.registrar.ports,
            published=self._published_ports,
            changed=self._replan,
            proc=config.host.proc_dir,
        )
        self._lease = HostLease(
            self._etcd,
            ttl_seconds=config.registrar.lease_ttl_seconds,
            path=state.lease,
            owner=host,
            on_lost=lambda: self._wakefulness.doubt("the lease was lost"),
            on_change=self._lease_changed,
            on_alive=self._lease_check.ok,
            on_trouble=self._lease_check.fail,
        )
        self._publisher = Publisher(
            self._registry,
            self._lease,
            self._registry_check,
            host_key=host_key(host, self.name),
            host_record=OwnRecord(
                health,
                ip=lambda: self._planner.ip,
                machine=self._claim.machine,
                started_at=scope.started_at,
                of_host=self._of_host,
            ),
            metrics=scope.metrics,
            doubt=lambda: self._census.doubt,
        )
        self._meter = Meter(scope.metrics)
        self._docker = Docker(config.docker)
        scope.add_routes(Usage(self._docker, lambda: self._planner.verdicts).routes())
        self._prober = Prober(self._docker)
        self._checks = Schedule(self._prober, on_change=self._replan, on_probed=self._meter.probed)
        self._observer = Observer(self._docker, self._census, self._docker_check, self._wake)
        self._wakefulness = Wakefulness(
            self._census,
            events,
            lease_ttl_seconds=config.registrar.lease_ttl_seconds,
            ask=self._observer.doubt,
            changed=self._wake,
            proc=config.host.proc_dir,
        )
        self._guard = MassGuard(health.check("mass loss"), events, settled=self._replan)
        self._departures = Departures(
            self._etcd,
            self._registry,
            self._census,
            lease=lambda: self._lease.id,
            ports=lambda: self._berths.assignments.ports,
        )
        self._absences = Absences(
            state=state,
            census=self._census,
            registry=self._registry,
            berths=self._berths,
            departures=self._departures,
            events=events,
            replan=self._replan,
        )
        self._planner = Planner(
            host=host,
            census=self._census,
            berths=self._berths,
            state=state,
            events=events,
            check=ports_check,
            publish=self._publisher.want,
            checks=self._checks,
            spare=self._guard.spare,
            drained=self._absences.out,
        )
        self._requests = Requests(
            host,
            self._absences,
            self._departures,
            self._registry,
            lambda: self._planner.verdicts,
        )
        self._serving = Serving(
            self._etcd,
            self._census,
            self._registry,
            verdicts=lambda: self._planner.verdicts,
            events=events,
            proc=config.host.proc_dir,
        )
        # Discovery speaks to etcd itself.
        urls = neighbours.urls(scope.config_path)
        self._beside = Neighbours({name: urls[name] for name in BESIDE if name in urls})
        self._warmth = Warmth(config.host.runtime_dir, events, scope.metrics)
        self._lease_losses = LeaseLosses(scope.metrics)
        self._keeping: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._meter.watch(self._checks, self._prober.scripts)
        measure(scope.metrics, self._planner, self._berths, self._registry, self._range_size)

    async def start(self) -> None:
        """Assigns ports as soon as Docker answers; ready when etcd has been made true once."""
        await self._scope.enter(self._closing())
        certificatewatch.begin(self._scope, self._config.etcd)
        self._scope.spawn("host lock", self._host_lock.serve())
        for who in self._host_lock.strangers:
            self._scope.events.emit("host lock taken by a stranger", "warning", who=who)
        for lacking in rights.findings(self._config.host):
            self._scope.events.emit("rights missing", "warning", why=str(lacking))
        if self._state.forgotten:
            level = "error" if self._state.damaged else "info"
            self._scope.events.emit("ports unknown", level, why=self._state.forgotten)
        await self._serve_commands()
        await self._reserve()
        if warmth.is_of_use():
            self._scope.spawn("warm process", self._warmth.run())
        await self._scope.enter(self._docker)
        await self._scope.enter(self._prober)
        self._observe()
        await self._claim.settle(self._lease_check.fail)
        self._scope.spawn("planner", self._planner.run())
        self._scope.spawn("checks", self._checks.run())
        self._scope.spawn("mass guard", self._guard.run())
        await presence.take_up(self._claim, self._lease, self._registry, self._lease_check)
        self._keeping = self._scope.spawn("lease", self._lease.keep())
        await self._planner.take_up(self._registry.holders)
        self._publishing = self._scope.spawn("publisher", self._publisher.run())
        self._scope.spawn("serving", self._serving.run())
        self._scope.spawn("neighbours", self._beside.run())
        if self._config.registrar.orders:
            self._take_orders()
        await self._publisher.synced.wait()

    async def drain(self) -> None:
        """With `on_stop = "revoke"` takes all of this host out of etcd; else leaves it there."""
        await linger(self._census, self._config.registrar.linger_seconds)
        if self._config.registrar.on_stop != "revoke" or self._keeping is None:
            return
        for task in (self._publishing, self._keeping):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await presence.leave(self._registry, self._lease, self._scope.events)

    def status(self) -> dict[str, Any]:
        """Every container that asks for something, its port, and what became of it."""
        return {
            "host": self._config.host.name,
            "ip": self._planner.ip,
            "lease": f"{self._lease.id:x}",
            "lease_remaining_seconds": self._lease.remaining_seconds(),
            "port_range": self._config.registrar.port_range,
            "ports_assigned": len(self._berths.assignments.ports),
            "instances": [key.address for key in self._registry.instances],
            "contested": self._registry.ledger.contested,
            "denied": self._registry.denials.reasons,
            "kept": [key.address for key in self._guard.kept],
            "host_drained": self._absences.drains.host is not None,
            "leases_lost_last_hour": self._lease_losses.last_hour(),
            "containers": describe(
                self._census.containers, self._berths.assignments.ports, self._planner.verdicts
            ),
        }

    async def reload(self, config: Config) -> None:
        """Takes up another port range, `on_stop`, ways to read labels; given ports stay given."""
        self._config = config
        await self._reserve()
        self._census.reread()
        self._census.forgive()
        self._planner.wake()

    @contextlib.asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._absences.close()
            await self._berths.close()
            await self._etcd.close()
            self._lock.close()

    def _observe(self) -> None:
        health, events = self._scope.health, self._scope.events
        address, host, settle = health.check("address"), self._config.host, self._planner.settle
        self._scope.spawn("address", addresswatch.follow(host, address, events, settle))
        self._scope.spawn("docker", self._observer.follow())
        self._scope.spawn("inspections", self._observer.inspect())
        self._scope.spawn("wakefulness", self._wakefulness.run())

    async def _serve_commands(self) -> None:
        commands = Commands(self._requests, self._absences)
        await control.serve(self._scope, self._config.host, commands.routes())
        self._scope.spawn("absences", self._absences.run())

    def _take_orders(self) -> None:
        check = self._scope.health.check("orders", stale_after_seconds=orders.STALE_SECONDS)
        host, events = self._config.host.name, self._scope.events
        taking = orders.Orders(self._etcd, host, self._requests, check, events)
        self._scope.spawn("orders", taking.run())

    async def _reserve(self) -> None:
        ports = self._config.registrar.ports
        proc = self._config.host.proc_dir
        self._planner.note = await reservation.keep(ports, self._scope.events, proc)

    def _of_host(self) -> OfHost:
        containers, held = self._census.containers, self._absences.drains
        return OfHost(
            drained=held.host is not None,
            drains=ofhost.drains(held, containers, self._berths.assignments.ports),
            unregistered=ofhost.unregistered(
                containers, self._planner.verdicts, self._planner.waited_seconds()
            ),
            beside=self._beside.told,
        )

    def _replan(self) -> None:
        self._planner.doubt()

    def _wake(self) -> None:
        self._planner.wake()

    def _lease_changed(self, lease_id: int) -> None:
        self._lease_losses.count()
        self._scope.events.emit("lease replaced", "warning", lease=f"{lease_id:x}")
        self._publisher.lease_changed(lease_id)

    def _published_ports(self) -> list[int] | None:
        if self._publishing is None:  # etcd has not been read yet
            return None
        return [key.endpoint.port for key in self._registry.instances]

    def _range_size(self) -> int:
        return len(self._config.registrar.ports)
