"""What one thing that a container asks for comes to, from what was observed of that container."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from registrar import listening
from registrar.checks.model import OVER_TCP, CheckKind, Outcome, Target
from registrar.checks.progress import UNASKED
from registrar.listening import Readiness
from registrar.model import (
    Action,
    Ask,
    Assign,
    Identify,
    Instance,
    Out,
    Ready,
    Reassign,
    Refused,
    Seen,
    Tell,
    Verdict,
    Waiting,
    Wanted,
)
from registrar.view import View
from wharfinger.errors import Rejected
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.metadata import MAX_TEXT_LENGTH, Metadata

BY_SIGNAL: Final = 128
CACHED: Final = 4_096


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, what is to be done meanwhile, and what is to be checked, if it passed before."""

    verdict: Verdict
    actions: tuple[Action, ...] = ()
    target: Target | None = None
    stands: bool = False


def judge(seen: Seen, ask: Ask, view: View) -> Judged:
    """Judges by nothing but these: where they are the same, so is what comes of it."""
    if why := _why_out(seen):
        return Judged(_ended(seen, ask, why, view))
    if isinstance(ask, Refused):
        return Judged(ask)
    port = ask.port or view.port(seen.container.id)
    if port is None:
        return _portless(seen)
    # One that has its port already is told of it as a courtesy to its start script.
    has_its_port = ask.port is not None or view.in_environment(seen.container.id)
    judged = (_declared if has_its_port else _assigned)(seen, ask, port, view)
    # Last of all: a drained container is given its port and started like any other.
    drained = view.drained(seen.container.id)
    if isinstance(judged.verdict, Ready) and drained:
        return replace(judged, verdict=Out(drained))
    return judged


def _portless(seen: Seen) -> Judged:
    if seen.trouble:
        return Judged(Refused(seen.trouble))
    return Judged(Waiting("is given a port"), (Assign(seen.container.id),))


def _why_out(seen: Seen) -> str:
    container = seen.container
    if not container.running:
        return f"is not running ({container.state or 'state unknown'})"
    if seen.stopping is not None:
        return "was told to stop"
    if container.paused:
        return "is paused"
    return ""


def _ended(seen: Seen, ask: Ask, why: str, view: View) -> Verdict:
    """Out, unless its owner wants an instance that failed to stay where it was."""
    if seen.container.running or isinstance(ask, Refused):
        return Out(why)
    port = ask.port or view.port(seen.container.id)
    failed = not _succeeded(seen.container.exit_code)
    stays = ask.deregister == "never" or (ask.deregister == "on-success" and failed)
    if port is None or not stays:
        return Out(why)
    try:
        instance = _instance(seen, ask, port, view)
    except Rejected:
        return Out(why)
    if view.registered(instance.key) != instance.holder:
        return Out(why)
    return Ready(instance, f"{why}, and stays: wharfinger.deregister is {ask.deregister}")


def _succeeded(exit_code: int) -> bool:
    """Whether a container ended well, or by a signal (registrator, `-deregister on-success`)."""
    return exit_code == 0 or bool(exit_code & BY_SIGNAL)


def _assigned(seen: Seen, wanted: Wanted, port: int, view: View) -> Judged:
    readiness = listening.judge(seen.container.id, wanted.ip or view.ip, port, view)
    if readiness.ready or readiness.unknown:
        return _checked(seen, wanted, port, readiness, view)
    if seen.told == port:
        return Judged(Waiting(readiness.why))
    if readiness.foreign:
        # It has not been told yet: it can still be given one that it will be able to bind.
        return Judged(Waiting(readiness.why), (Reassign(seen.container.id),))
    if seen.trouble:
        return Judged(Refused(seen.trouble))
    tell = Tell(seen.container.id, port, wanted.drain_seconds)
    return Judged(Waiting("is told its port"), (tell,))


def _declared(seen: Seen, wanted: Wanted, port: int, view: View) -> Judged:
    readiness = Readiness(ready=True)
    # Whoever else listens there would answer the check in its stead.
    if wanted.port is None or (wanted.on_host_network and wanted.check.kind in OVER_TCP):
        readiness = listening.judge(seen.container.id, wanted.ip or view.ip, port, view)
    judged = _checked(seen, wanted, port, readiness, view)
    if seen.container.network_mode == "host" and seen.told is None and not seen.trouble:
        # An image with the start script waits for its port, and learns how long to drain; one
        # without it takes no notice, so that failing to tell it is no reason to refuse.
        tell = Tell(seen.container.id, port, wanted.drain_seconds)
        return replace(judged, actions=(*judged.actions, tell))
    return judged


def _checked(seen: Seen, wanted: Wanted, port: int, readiness: Readiness, view: View) -> Judged:
    if readiness.unknown:
        identify = Identify(seen.container.id, readiness.unknown)
        return Judged(Waiting(readiness.why), (identify,))
    if not readiness.ready:
        return Judged(Waiting(readiness.why))
    try:
        instance = _instance(seen, wanted, port, view)
    except Rejected as refusal:
        return Judged(Refused(str(refusal)))
    if wanted.check.kind is CheckKind.DOCKER:
        healthy = seen.container.health == "healthy"
        says = f"its health check says {seen.container.health or 'nothing'!r}"
        return Judged(Ready(instance) if healthy else Out(says))
    # That it listens here was seen just now, and is seen again with each tick.
    if not wanted.check.probed or (wanted.check.kind is CheckKind.TCP and wanted.on_host_network):
        return Judged(Ready(instance))
    at, run = instance.key.endpoint, seen.container.started_at_ns
    target = Target(seen.container.id, run, at.ip, at.port, wanted.check)
    # A registrar that has just been started knows nothing; what stands in etcd passed before.
    before = view.registered(instance.key)
    stands = before == instance.holder
    verdict = _answered(instance, view.outcome(target), stands=stands)
    return Judged(verdict, target=target, stands=stands)


def _answered(instance: Instance, outcome: Outcome | None, *, stands: bool) -> Verdict:
    if outcome is not None and outcome.passing is False:
        return Out(f"its check fails: {outcome.why}")
    if stands or (outcome is not None and outcome.passing):
        return Ready(instance)
    why = UNASKED if outcome is None else outcome.why
    return Waiting(f"its check has not passed yet: {why}")


def _instance(seen: Seen, wanted: Wanted, port: int, view: View) -> Instance:
    container = seen.container
    metadata = Metadata(
        id=container.id,
        name=_printable(container.name),
        image=_printable(container.image),
        host=view.host,
        weight=wanted.weight,
        tags=wanted.tags,
        version=wanted.version,
        http_host=wanted.http_host,
        http_path=wanted.http_path,
        started=_time(container.started_at_ns),
        protocol=wanted.protocol,
        attributes=dict(wanted.attributes),
    )
    return Instance(_key(wanted.service, wanted.ip or view.ip, port), metadata)


# Every plan asks for the same again; checking an address costs more than all else in a plan.
@lru_cache(maxsize=CACHED)
def _key(service: Service, ip: str, port: int) -> InstanceKey:
    return InstanceKey(service, Endpoint(ip, port))


def _printable(text: str) -> str:
    return (text if text.isprintable() else ascii(text))[:MAX_TEXT_LENGTH]


@lru_cache(maxsize=CACHED)
def _time(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 10**6 / 1_000, UTC)
    return moment.isoformat(timespec="milliseconds")
