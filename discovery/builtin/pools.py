"""What a service's instances ask of Nginx, judged: who gets requests, and by which rule."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from discovery.model import Instance, Service

BALANCES: Final = ("round_robin", "least_conn", "ip_hash", "sticky")
DRAINING: Final = "draining"
MAX_FAILS: Final = 1_000
MAX_FAIL_TIMEOUT_SECONDS: Final = 3_600
_TRUE: Final = frozenset({"1", "true", "yes", "on"})

# In the file and on the socket: primary, backup, draining (only who is bound to it), down.
Role = Literal["p", "b", "d", "x"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How requests are spread, where a service does not say otherwise.

    Attributes:
        balance: one of `BALANCES`.
        max_fails: so many failures take a peer out; 0 never does.
        fail_timeout_seconds: for so long, and within so long.
    """

    balance: str = "round_robin"
    max_fails: int = 1
    fail_timeout_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Peer:
    """An instance as a load balancer sees it; a weight of 0 is a draining one's."""

    address: str
    weight: int
    role: Role

    @property
    def text(self) -> str:
        """In the format that the balancer in Nginx reads; it holds nothing that could be run."""
        return f"{self.address}/{self.weight}/{self.role}"


@dataclass(frozen=True, slots=True)
class Pool:
    """The peers of one service, and the rule among them.

    Attributes:
        name: of the service, and of its upstream.
        rule: see there.
        peers: sorted as the service's instances are.
        grpc: gRPC is spoken with them.
    """

    name: str
    rule: Rule
    peers: tuple[Peer, ...]
    grpc: bool = False

    @property
    def sticky(self) -> bool:
        """Whether a client is bound to a peer by a cookie."""
        return self.rule.balance == "sticky"

    @property
    def cookie(self) -> str:
        """That cookie's name; one for each service, since several may share a host."""
        digest = hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest()
        return f"wharfinger_{digest[:8]}"

    @property
    def serving(self) -> tuple[Peer, ...]:
        """Whom new requests go to while they are well; backups when there is nobody else."""
        return tuple(p for p in self.peers if p.role == "p") or self.backups

    @property
    def backups(self) -> tuple[Peer, ...]:
        """Whom they go to when everybody else fails."""
        return tuple(p for p in self.peers if p.role == "b")

    @property
    def down(self) -> tuple[Peer, ...]:
        """Who gets nothing, but is told of."""
        return tuple(p for p in self.peers if p.role == "x")

    @property
    def head(self) -> str:
        """The rule, in the format that the balancer in Nginx reads."""
        rule = self.rule
        protocol = "grpc" if self.grpc else "http"
        return f"{rule.balance} {rule.max_fails} {rule.fail_timeout_seconds} {protocol}"

    @property
    def pieces(self) -> tuple[str, ...]:
        """Rule and peers in that format; joined by `|` they are its text."""
        return (self.head, *(peer.text for peer in self.peers))


def pool_of(service: Service, rule: Rule) -> Pool:
    """The pool of a service: its instances' tags and attributes go before the rule given.

    `backup`, `down` and `grpc` are tags by themselves; `balance=least_conn`, `max_fails=3` and
    `fail_timeout=30` bring a value. Whatever cannot be read as such is passed over: an instance
    must not be able to break its neighbours.
    """
    instances = service.instances
    return Pool(
        service.name,
        Rule(
            _said(instances, "balance", BALANCES) or rule.balance,
            _number(instances, "max_fails", MAX_FAILS, rule.max_fails),
            _number(instances, "fail_timeout", MAX_FAIL_TIMEOUT_SECONDS, rule.fail_timeout_seconds),
        ),
        tuple(Peer(i.address, i.weight or 1, _role(i)) for i in instances),
        grpc=any(_flag(i, "grpc") for i in instances),
    )


def _role(instance: Instance) -> Role:
    if _flag(instance, "down"):
        return "x"
    if instance.weight == 0 or instance.state == DRAINING:
        return "d"
    return "b" if _flag(instance, "backup") else "p"


def _flag(instance: Instance, name: str) -> bool:
    return name in instance.tags or _value(instance, name).lower() in _TRUE


def _value(instance: Instance, name: str) -> str:
    for tag in instance.tags:
        key, equals, value = tag.partition("=")
        if equals and key == name:
            return value
    return instance.attributes.get(name, "")


def _said(instances: Iterable[Instance], name: str, allowed: tuple[str, ...]) -> str:
    return next((v for i in instances if (v := _value(i, name)) in allowed), "")


def _number(instances: Iterable[Instance], name: str, most: int, default: int) -> int:
    for instance in instances:
        text = _value(instance, name).removesuffix("s")
        if text.isascii() and text.isdecimal() and len(text) <= len(str(most)):
            number = int(text)
            if number <= most and (number or name != "fail_timeout"):
                return number
    return default
