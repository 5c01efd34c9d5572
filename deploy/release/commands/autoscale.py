"""`deploy autoscale ENV`: as many instances as wharf.yaml's rule asks for, until it is stopped."""

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from deploy.release import showing
from deploy.release.app.model import App, Autoscale, Environment
from deploy.release.autoscale.asking import Whom, address, look
from deploy.release.autoscale.rates import Look, figures
from deploy.release.autoscale.rule import Decision, Judged, decide
from deploy.release.commands import changing, flags, scale
from deploy.release.commands.opening import opened
from deploy.release.commands.rollout import Rollout
from deploy.release.commands.site import Site, environment_of, service_of
from deploy.release.engines.instances import Instances
from deploy.release.records.lock import LockHeld, holder_of
from deploy.release.records.record import Record
from deploy.release.records.releases import Releases
from wharfinger.errors import ConfigError, Exit, Finding, Unavailable, WharfingerError
from wharfinger.operator.verbs import Verbs

LOOK_SECONDS: Final = 10.0
INTERRUPTED: Final = "interrupted; what it has begun, `deploy scale {environment}` goes on with"


def add_to(verbs: Verbs) -> None:
    """Adds `autoscale` to the command."""
    what = "run as many instances as the environment's autoscale rule asks for, until it is stopped"
    parser = verbs.add("autoscale", _autoscale, what, interrupted=INTERRUPTED)
    flags.add_environment(parser)
    parser.add_argument("--dry-run", action="store_true", help="look once, say what it asks for")
    parser.add_argument(
        "--every",
        type=flags.seconds,
        default=LOOK_SECONDS,
        metavar="SECONDS",
        help=f"between two looks ({LOOK_SECONDS:g})",
    )
    flags.add_app(parser)
    flags.add_asker(parser)


async def _autoscale(parsed: argparse.Namespace) -> Exit:
    async with opened(parsed) as (site, app):
        environment = environment_of(app, parsed.environment)
        scaling = Scaling(site, app, environment, rule_of(environment))
        await asyncio.sleep(await scaling.begin(parsed.every))
        if parsed.dry_run:
            decision = await scaling.decide()
            told = {"ok": True, "environment": environment.name, "why": decision.why}
            told |= {"from": scaling.current, "to": decision.count}
            text = f"{environment.name}: {scaling.current} to {decision.count}: {decision.why}"
            showing.result(told, as_json=parsed.json, text=text)
            return Exit.OK
        while True:
            await scaling.turn()
            await asyncio.sleep(parsed.every)


def rule_of(environment: Environment) -> Autoscale:
    """The environment's rule.

    Raises:
        ConfigError: it has none.
    """
    if environment.autoscale is None:
        where = f"environments.{environment.name}.autoscale"
        fix = "write `autoscale: {min: 2, max: 6, cpu: 70%}` there"
        raise ConfigError([Finding(where, "there is no rule to scale by", fix, "wharf.yaml")])
    return environment.autoscale


@dataclass(slots=True)
class Scaling:
    """One environment, look by look.

    Attributes:
        site: whatever is outside.
        app: of wharf.yaml.
        environment: one of its.
        rule: its.
        current: how many instances shall be, as of the last decision.
    """

    site: Site
    app: App
    environment: Environment
    rule: Autoscale
    current: int = 0
    _before: Look | None = None
    _looks: tuple[Judged, ...] = ()
    _changed_at: float | None = None
    _said: set[str] = field(default_factory=set)
    _saying: set[str] = field(default_factory=set)

    async def begin(self, every_seconds: float) -> float:
        """Looks for the first time; gives how long to wait for the second.

        Raises:
            Unavailable: nothing has been released there, or etcd does not answer.
        """
        await self._record()
        _, self._before = await self._look()
        self._forget()
        return min(every_seconds, LOOK_SECONDS)

    async def turn(self) -> None:
        """Looks, and scales where that is to be; a scaler that ends scales nothing."""
        try:
            decision = await self.decide()
            if decision.count != self.current:
                await self.change(decision)
        except Unavailable as error:
            # What was not looked at is no calm.
            self._looks = ()
            self._once(f"{error}: looked at again later")

    async def decide(self) -> Decision:
        """What the figures since the look before ask for.

        Raises:
            Unavailable: nothing has been released there, or etcd does not answer.
        """
        record = await self._record()
        instances, now = await self._look()
        before, self._before = self._before or now, now
        self.current = record.replicas
        decision = decide(
            self.rule,
            record.replicas,
            figures(before, now, instances),
            self._looks,
            now=time.monotonic(),
            changed_at=self._changed_at,
        )
        self._looks = decision.looks
        self._forget()
        return decision

    async def change(self, decision: Decision) -> None:
        """Scales, and tells of it; who else changes the environment goes first."""
        progress, name = self.site.progress, self.environment.name
        service = service_of(self.app, self.environment)
        if (holder := await holder_of(self.site.etcd, service)) is not None:
            self._once(f"{holder} changes it just now: looked at again later")
            return
        progress.step(f"{name}: {self.current} to {decision.count}: {decision.why}")
        wanted = Rollout(self.site, self.app, self.environment, "scale")
        choose = scale.choosing(
            self.site, self.app, self.environment, decision.count, reason=decision.why
        )
        try:
            await changing.change(wanted, choose)
        except LockHeld as error:
            progress.step(f"{error}: looked at again later")
        except WharfingerError as error:
            # The next look finds what has become of it.
            progress.step(f"not done: {error}")
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # It came while the lock was freed, where it does no harm; nothing may follow it.
            raise asyncio.CancelledError
        # Not at once again, whatever came of it.
        self._changed_at, self._looks = time.monotonic(), ()

    async def _record(self) -> Record:
        service = service_of(self.app, self.environment)
        history = await Releases(self.site.etcd, service, on_remark=self._once).history()
        return scale.to_scale(history, self.environment)

    async def _look(self) -> tuple[list[str], Look]:
        service = service_of(self.app, self.environment)
        there = Instances(self.site.etcd, service, by=self.site.by, tell=self.site.progress.step)
        held, hosts = await there.held(), await there.hosts()
        ports = self.site.config.deploy

        def at(host: str, port: int) -> str:
            return address(hosts.ips.get(host, ""), host, port)

        whom = Whom(
            registrars={h: at(h, ports.registrar_port) for h in sorted({e.host for e in held})},
            edges={h: at(h, ports.discovery_port) for h in sorted(hosts.discoveries)}
            if self.rule.requests_per_second is not None
            else {},
        )
        told = await look(service.name, whom)
        for trouble in told.troubles:
            self._once(trouble)
        return [each.key.endpoint.value for each in held], told

    def _once(self, trouble: str) -> None:
        """Says what is wrong when it begins, not at every look."""
        if trouble not in self._said | self._saying:
            self.site.progress.step(trouble)
        self._saying.add(trouble)

    def _forget(self) -> None:
        """What is not wrong any more is said again when it is."""
        self._said, self._saying = self._saying, set()
