"""What to serve when etcd forgets: instances lost with their lease stay while they answer."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from discovery.model import Instance, Route, Service, Snapshot, others
from discovery.services.tree import Lost
from wharfinger import keys

# A probe is lost like any packet; three seconds of a dead peer cost a request nothing, since
# Nginx tries the next peer when it cannot connect.
FAILURES_TO_DROP: Final = 3
# How long a host's registrar, back with a new lease, may take to put all its instances again.
RETURN_SECONDS: Final = 15.0
# A service without any instance keeps its (empty) upstream so long: `proxy_pass http://NAME` in
# a file of the user's own must stay valid.
REMEMBER_SECONDS: Final = 7 * 86_400.0
# To note each of a thousand services at each change would take longer than the change.
NOTE_SECONDS: Final = 60.0
# What is on disk of that may be so old.
WRITE_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """An instance that is served although etcd has lost it.

    Attributes:
        lost: what it was.
        since: when it was lost, monotonic seconds.
        failures: probes in a row that it did not answer.
        host_back_since: when its host was first seen registered again; None before.
    """

    lost: Lost
    since: float
    failures: int = 0
    host_back_since: float | None = None


KeptByKey = Mapping[keys.InstanceKey, Kept]


def keep(kept: KeptByKey, lost: Iterable[Lost], now: float) -> KeptByKey:
    """Begins to keep what was lost; until probes say otherwise it is taken to live."""
    return {**kept, **{one.key: Kept(one, now) for one in lost}}


def release(kept: KeptByKey, snapshot: Snapshot, now: float) -> KeptByKey:
    """Lets go of what is registered again, or cannot be what it was.

    An address that another instance claims has a new owner; and a host whose registrar is back
    has put what lives on it.
    """
    if not kept:
        return kept
    claimed = {(i.ip, i.port) for service in snapshot.services for i in service.instances}
    hosts = {i.host for service in snapshot.services for i in service.instances if i.host}
    still = {}
    for key, one in kept.items():
        instance = one.lost.instance
        if (instance.ip, instance.port) in claimed:
            continue
        back = one.host_back_since
        back = (now if back is None else back) if instance.host in hosts else None
        if back is None or now - back < RETURN_SECONDS:
            still[key] = replace(one, host_back_since=back)
    return still


def probed(kept: KeptByKey, answers: Mapping[tuple[str, int], bool]) -> KeptByKey:
    """Counts the probes' answers, by address; lets go of what fails too often."""
    still = {}
    for key, one in kept.items():
        answered = answers.get((one.lost.instance.ip, one.lost.instance.port))
        failures = one.failures if answered is None else 0 if answered else one.failures + 1
        if failures < FAILURES_TO_DROP:
            still[key] = replace(one, failures=failures)
    return still


@dataclass(frozen=True, slots=True)
class Known:
    """A service that had an instance lately.

    Attributes:
        seen_at: when it last had one, seconds since the epoch.
        routes: what it answered below.
    """

    seen_at: float
    routes: tuple[Route, ...] = ()


def remember(
    known: Mapping[str, Known],
    snapshot: Snapshot,
    now: float,
    looked_at: tuple[Service, ...] = (),
) -> Mapping[str, Known]:
    """The services that have an upstream, by name; the same object where that is no news.

    Args:
        known: as it was.
        snapshot: the latest.
        now: seconds since the epoch, since it outlives the process.
        looked_at: services of an earlier call that need no other look.
    """
    news = {
        service.name: Known(now, service.routes)
        for service in others(looked_at, snapshot.services)
        if service.instances and _is_older(known.get(service.name), service, now)
    }
    old = (
        []
        if looked_at
        else [name for name, one in known.items() if now - one.seen_at >= REMEMBER_SECONDS]
    )
    if not news and not old:
        return known
    still = {**known, **news}
    for name in old:
        if name not in news:
            del still[name]
    return still


def _is_older(noted: Known | None, service: Service, now: float) -> bool:
    if noted is None or now - noted.seen_at > NOTE_SECONDS:
        return True
    return noted.routes is not service.routes and noted.routes != service.routes


def is_news(written: Mapping[str, Known], known: Mapping[str, Known]) -> bool:
    """Whether a next life would go wrong by what is on disk: other names, routes, old times."""
    if written.keys() != known.keys():
        return True
    return any(
        one.routes != written[name].routes or one.seen_at - written[name].seen_at > WRITE_SECONDS
        for name, one in known.items()
    )


def served(
    snapshot: Snapshot,
    kept: KeptByKey,
    known: Mapping[str, Known],
    whole: tuple[Service, ...] = (),
) -> Snapshot:
    """The snapshot that templates see: with what is kept, and with remembered empty services.

    Args:
        snapshot: the latest.
        kept: what is kept.
        known: the services that are remembered.
        whole: services that are known, and have instances.
    """
    same = not kept and len(known) == len(snapshot.services)
    if same and all(
        one.instances and one.name in known for one in others(whole, snapshot.services)
    ):
        return snapshot  # as almost always
    services = {service.name: service for service in snapshot.services}
    gone: dict[str, list[Instance]] = defaultdict(list)
    for key, one in kept.items():
        gone[key.service.name].append(one.lost.instance)
    added = sorted(name for name in {**known, **gone} if name not in services)
    held = {name.lower() for name in services} if added else set()
    for name in added:
        # Beside a name that differs by case only, Nginx would refuse it (see `tree`).
        if name.lower() not in held:
            parsed = keys.Service.parse(name)
            services[name] = Service(name, parsed.app, parsed.env)
            held.add(name.lower())
    for name in [n for n, service in services.items() if n in gone or not service.instances]:
        services[name] = _whole(services[name], gone.get(name, ()), known.get(name))
    return replace(snapshot, services=tuple(services[name] for name in sorted(services)))


def _whole(service: Service, gone: Iterable[Instance], known: Known | None) -> Service:
    back = tuple(replace(instance, kept=True) for instance in gone)
    routes = {Route(i.http_host, i.http_path) for i in back if i.http and i.http_host}
    if not service.instances and known is not None:
        routes.update(known.routes)
    return replace(
        service,
        instances=tuple(sorted((*service.instances, *back), key=lambda i: (i.ip, i.port)))
        if back
        else service.instances,
        routes=tuple(sorted({*service.routes, *routes})),
    )
