"""What to make of what was seen: plain values in, findings with their fix out."""

import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wharfinger import metadata
from wharfinger.container import Container
from wharfinger.errors import Finding, Rejected
from wharfinger.keys import HOSTS, INSTANCES, HostKey, InstanceKey
from wharfinger.kv import EndpointStatus, KeyValue
from wharfinger.text import quantity

# A lease is renewed each third of its time, so two renewals may fail. Reads that take a
# hundredth of it are far from that; a write that takes a tenth leaves little for an election.
READ_SHARE: Final = 100
WORST_READ_SHARE: Final = 30
WRITE_SHARE: Final = 10
REVISIONS_BEHIND: Final = 1_000
CLOCK_SECONDS: Final = 2.0
LOSSES_AN_HOUR: Final = 2
PATIENCE_SECONDS: Final = 10.0
START_SCRIPT: Final = "with-port"
MAX_TEXT: Final = 300
START_MEMBER: Final = "start it, or take it out of etcd.endpoints"


@dataclass(frozen=True, slots=True)
class Clock:
    """The kernel's clock, as adjtimex(2) tells it.

    Attributes:
        synchronised: whether something disciplines it.
        error_seconds: how far it may be off, where it is disciplined.
    """

    synchronised: bool
    error_seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """How long etcd took, in seconds."""

    reads: Sequence[float]
    write: float

    def read_at(self, share: float) -> float:
        """The time that this share of the reads stayed below, 0.5 for the median."""
        ordered = sorted(self.reads)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def of_pace(pace: Pace, lease_ttl_seconds: int) -> Iterator[Finding]:
    """What is wrong with etcd's speed, beside the lease that hangs on it."""
    fix = (
        "give etcd a disk of its own (fsync below 10 ms), look at its CPU and the way there; or "
        "raise registrar.lease_ttl_seconds"
    )
    for what, took, share in (
        ("half of the reads take more than", pace.read_at(0.5), READ_SHARE),
        ("the slowest of 20 reads took", pace.read_at(0.99), WORST_READ_SHARE),
        ("a write took", pace.write, WRITE_SHARE),
    ):
        limit = lease_ttl_seconds / share
        if took > limit:
            problem = f"slow: {what} {took:.3f} s; {limit:.3f} s suit a lease of "
            yield Finding("etcd", f"{problem}{lease_ttl_seconds} s", fix)


def of_members(members: Sequence[EndpointStatus]) -> Iterator[Finding]:
    """What is wrong with single members."""
    newest = max((each.revision for each in members), default=0)
    for each in members:
        if each.why:
            # One that answers, and refuses, says what to mend.
            fix = "as the finding says" if ": " in each.why else START_MEMBER
            yield Finding("etcd.endpoints", f"{each.endpoint}: {each.why}", fix)
        elif newest - each.revision > REVISIONS_BEHIND:
            behind = newest - each.revision
            problem = f"{each.endpoint} is {behind} revisions behind the newest member"
            fix = "look at its disk and network: it serves old answers and slows the cluster down"
            yield Finding("etcd.endpoints", problem, fix)


def of_clock(clock: Clock | None, docker_ahead_seconds: float | None) -> Iterator[Finding]:
    """What is wrong with the time on this host; etcd has no clock to compare it with."""
    if clock is not None and not clock.synchronised:
        yield Finding(
            "clock",
            "the kernel says that nothing keeps it right (STA_UNSYNC); how far it is off is not "
            "known",
            "run chrony or systemd-timesyncd (`timedatectl set-ntp true`); in a guest whose "
            "clock its host keeps, this may be left as it is",
        )
    elif clock is not None and clock.error_seconds > CLOCK_SECONDS:
        problem = f"it may be off by {clock.error_seconds:.1f} s"
        yield Finding("clock", problem, "look at what chrony or systemd-timesyncd says")
    if docker_ahead_seconds is not None and abs(docker_ahead_seconds) > CLOCK_SECONDS:
        problem = f"that of Docker differs from this process's by {docker_ahead_seconds:+.1f} s"
        yield Finding("clock", problem, "set both from one source of time")


def of_reservation(port_range: str, reserved: str) -> Iterator[Finding]:
    """Whether the kernel keeps the registrar's ports for it.

    Args:
        port_range: FIRST-LAST.
        reserved: the text of ip_local_reserved_ports.
    """
    first, last = map(int, port_range.split("-"))
    covered: set[int] = set()
    for part in filter(None, reserved.strip().split(",")):
        low, _, high = part.partition("-")
        covered.update(range(max(first, int(low)), min(last, int(high or low)) + 1))
    if missing := last - first + 1 - len(covered):
        both = ",".join(filter(None, [reserved.strip(), port_range]))
        yield Finding(
            "registrar.port_range",
            f"{quantity(missing, 'port')} of {port_range} not reserved in the kernel: an outgoing "
            "connection may take what lies in the ephemeral range",
            "run the registrar as root, which reserves them, or "
            f"`sysctl -w net.ipv4.ip_local_reserved_ports={both}`",
        )


def of_addresses(
    items: Mapping[str, KeyValue], host: str, written_ip: str | None, docker0: Iterable[str]
) -> Iterator[Finding]:
    """Instances of this host at addresses that others cannot reach.

    Args:
        items: what stands in etcd.
        host: this host's name.
        written_ip: of the configuration; alone in the cluster, that may be a loopback one.
        docker0: the addresses of Docker's bridge on this host.
    """
    bridge = set(docker0)
    others = any(map(_is_other(host), items))
    for key, kv in items.items():
        if not key.startswith(INSTANCES):
            continue
        try:
            instance, told = InstanceKey.parse(key), metadata.parse(kv.value)
        except Rejected:
            continue
        ip = instance.endpoint.ip
        if told.host != host:
            continue
        if ipaddress.ip_address(ip).is_loopback and (others or ip != written_ip):
            what = "a loopback address"
        elif ip in bridge:
            what = "the address of docker0"
        else:
            continue
        yield Finding(
            instance.address,
            f"{ip} is {what}: no other host reaches it",
            "write host.ip, host.interface or host.cidr, or mend the label wharfinger.ip",
        )


def of_start_script(
    containers: Iterable[Mapping[str, Any]],
    described: Mapping[str, Container],
    have_port: Collection[str],
    now_ns: int,
) -> Iterator[Finding]:
    """Containers that were given a port and cannot have heard of it.

    Args:
        containers: as the registrar's /status tells them.
        described: as Docker describes them, by id.
        have_port: ids of those that were started with PORT: the runtime's, above all.
        now_ns: Unix time in nanoseconds.
    """
    for each in containers:
        container = described.get(str(each.get("id")))
        if each.get("state") not in ("waiting", "refused") or container is None:
            continue
        if not isinstance(each.get("port"), int) or container.network_mode != "host":
            continue
        if not container.running or container.id in have_port or _has_start_script(container):
            continue
        if now_ns - container.started_at_ns < PATIENCE_SECONDS * 1e9:
            continue
        yield Finding(
            f"container {container.name[:MAX_TEXT]}",
            f"image {container.image[:MAX_TEXT]} is not started by {START_SCRIPT}, so that it "
            f"has not learnt its port {each['port']}: {str(each.get('why'))[:MAX_TEXT]}",
            f'make it the entrypoint (ENTRYPOINT ["{START_SCRIPT}"]), or declare a port with '
            "the label wharfinger.port or the variable PORT",
        )


def of_flapping(losses: object, lease_ttl_seconds: int) -> Iterator[Finding]:
    """Whether the host's lease ends again and again."""
    if isinstance(losses, int) and losses >= LOSSES_AN_HOUR:
        yield Finding(
            "etcd lease",
            f"it was lost {losses} times in the last hour: all instances of this host left etcd "
            "each time",
            f"raise registrar.lease_ttl_seconds ({lease_ttl_seconds}), or look for what delays "
            "etcd: its disk, an overloaded host, a network that breaks",
        )


def deduplicated(findings: Iterable[Finding]) -> list[Finding]:
    """Each problem once: several daemons meet the same etcd; the one with a fix is kept."""
    found: list[Finding] = []
    for new in findings:
        same = [at for at, held in enumerate(found) if _same(held, new)]
        if not same:
            found.append(new)
        elif new.fix and not found[same[0]].fix:
            found[same[0]] = new
    return found


def _same(one: Finding, other: Finding) -> bool:
    """Whether one says what the other says, perhaps with the fix in the same sentence."""
    if one.where != other.where:
        return False
    return one.problem.startswith(other.problem) or other.problem.startswith(one.problem)


def _has_start_script(container: Container) -> bool:
    return any(word.rpartition("/")[2] == START_SCRIPT for word in container.command)


def _is_other(host: str) -> Callable[[str], bool]:
    def other(key: str) -> bool:
        if not key.startswith(HOSTS):
            return False
        try:
            return HostKey.parse(key).host != host
        except Rejected:
            return False

    return other
