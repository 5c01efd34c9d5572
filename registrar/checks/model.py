"""What a health check asks, of whom, and what became of it: plain values."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from wharfinger.text import printable, shortened

WHY_CHARACTERS: Final = 160
SHELL: Final = ("/bin/sh", "-c")


class CheckKind(Enum):
    """What must hold, beyond the container running, before an instance is registered."""

    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"
    GRPC = "grpc"
    DOCKER = "docker"
    SCRIPT = "script"
    NONE = "none"


# Docker runs its HEALTHCHECK itself, and tells; of the others each is ours to run.
UNPROBED: Final = frozenset({CheckKind.DOCKER, CheckKind.NONE})
WEB: Final = frozenset({CheckKind.HTTP, CheckKind.HTTPS})
OVER_TCP: Final = frozenset({CheckKind.TCP, CheckKind.GRPC, *WEB})


@dataclass(frozen=True, slots=True)
class Check:
    """What an instance is asked, how often, and how many answers in a row decide.

    Attributes:
        kind: how it is asked.
        path: of the HTTP request, with its query.
        host: the request's Host header, and the name asked for in TLS; empty for the address.
        method: of the HTTP request.
        statuses: the first and the last of each range of HTTP statuses that are good.
        body: what the first 64 KiB of the HTTP body must hold; empty for anything.
        service: asked of `grpc.health.v1.Health`; empty for the server as a whole.
        tls: gRPC over TLS.
        script: run by the container's own shell; exit code 0 is good.
        arguments: run in the container without a shell, in place of `script`.
        interval_seconds: between two probes of what is decided.
        timeout_seconds: a probe that takes longer has failed.
        rise: successes in a row that make it pass.
        fall: failures in a row that make it fail.
        grace_seconds: after the container's start, in which failures decide nothing.
        initially_passing: registered before the first probe has answered.
    """

    kind: CheckKind = CheckKind.TCP
    path: str = "/"
    host: str = ""
    method: str = "GET"
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)
    body: str = ""
    service: str = ""
    tls: bool = False
    script: str = ""
    arguments: tuple[str, ...] = ()
    interval_seconds: float = 10.0
    timeout_seconds: float = 5.0
    rise: int = 1
    fall: int = 3
    grace_seconds: float = 0.0
    initially_passing: bool = False

    @property
    def probed(self) -> bool:
        """Whether it is ours to run."""
        return self.kind not in UNPROBED


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint of one run of a container, and what it is asked.

    Attributes:
        started_at_ns: of this run, Unix time in nanoseconds; another run is another target.
        ip: an address, never a name: a probe goes nowhere else.
    """

    container_id: str
    started_at_ns: int
    ip: str
    port: int
    check: Check

    def __hash__(self) -> int:
        # A plan asks for all of them each tick; the sixteen fields of a check part nobody.
        return hash((self.container_id, self.started_at_ns, self.port))


@dataclass(frozen=True, slots=True)
class Answer:
    """What one probe found.

    Attributes:
        good: None when it could not be asked, through no fault of the container's.
        why: short and printable.
    """

    good: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a target stands.

    Attributes:
        passing: None until enough probes have answered.
        why: what the latest probe found, short and printable.
        successes: in a row, of the latest probes.
        failures: in a row, of the latest probes that counted.
    """

    passing: bool | None
    why: str
    successes: int = 0
    failures: int = 0


def words(target: Target) -> tuple[str, ...]:
    """The command of a script check.

    A shell finds SERVICE_IP and SERVICE_PORT in its environment: nothing is written into what
    it parses. Without a shell nobody else would fill them in.
    """
    if target.check.script:
        return (*SHELL, target.check.script)
    return tuple(
        word.replace("$SERVICE_IP", target.ip).replace("$SERVICE_PORT", str(target.port))
        for word in target.check.arguments
    )


def environment(target: Target) -> dict[str, str]:
    """What a script check finds in its environment, beside the container's own variables."""
    return {"SERVICE_IP": target.ip, "SERVICE_PORT": str(target.port)}


def shown(text: str) -> str:
    """Whatever the other side said, fit for one line of a terminal."""
    return shortened(printable(" ".join(text[: 4 * WHY_CHARACTERS].split())), WHY_CHARACTERS)
