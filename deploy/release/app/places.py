"""What one engine cannot do, and what would collide inside of a container."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from deploy.release.app.model import App, EngineName, Environment

SECRETS: Final = "/run/secrets"
# Written by `deploy.release.render.labels`.
LABELS: Final = frozenset(
    f"wharfinger.{name}"
    for name in (
        *(
            "app",
            "env",
            "port",
            "port.pool",
            "drain",
            "release",
            "host",
            "path",
            "ignore",
            "serving",
        ),
        *("check", "check.interval", "check.timeout", "check.rise", "check.fall", "check.grace"),
    )
)
_LABEL_OF_OTHERS: Final = re.compile(
    # Of one port, registrars would take it for another service.
    r"(com\.docker|io\.rancher|wharfinger\.[0-9]+)\..*",
    re.ASCII,
)
# swarmkit, isValidDNSName; the service goes by `<stack>_<service>`.
_SWARM: Final = re.compile(r"[A-Za-z0-9]([-_]*[A-Za-z0-9]+)*", re.ASCII)
# Rancher's names of stacks and services (rancher#9601, rancher#9043, rancher#680).
_DNS_LABEL: Final = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", re.ASCII)
_LONGEST: Final = 63
# What `render.project` may add.
_DIGEST_LENGTH: Final = 9


def is_reserved(label: str) -> bool:
    """Whether an author may not say a label."""
    return label in LABELS or _LABEL_OF_OTHERS.fullmatch(label) is not None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be.

    Attributes:
        keys: from the top to the value that it is about.
        problem: in a sentence without a full stop.
        fix: what to do about it.
    """

    keys: tuple[str | int, ...]
    problem: str
    fix: str


def problems(app: App, environment: Environment) -> Iterator[Problem]:
    """What is wrong with one environment, in no order."""
    at = ("environments", environment.name)
    match environment.engine:
        case EngineName.COMPOSE:
            yield from _compose(at, environment)
        case EngineName.SWARM:
            yield from _swarm(at, app, environment)
        case EngineName.RANCHER:
            yield from _rancher(at, app, environment)
    yield from _variables(at, app, environment)
    yield from _mounts(at, app, environment)


def _compose(at: tuple[str, ...], environment: Environment) -> Iterator[Problem]:
    if environment.hosts:
        problem = "compose runs on one host"
        yield Problem((*at, "hosts"), problem, "take it out, or use swarm")
    if environment.everywhere:
        problem = "compose runs on one host"
        yield Problem((*at, "everywhere"), problem, "write replicas: 1, or use swarm")


def _rancher(at: tuple[str, ...], app: App, environment: Environment) -> Iterator[Problem]:
    if environment.docker:
        problem = "Rancher is not asked through Docker"
        yield Problem((*at, "docker"), problem, "take it out, set RANCHER_URL")
    if not _DNS_LABEL.fullmatch(app.name):
        yield Problem(
            (*at, "engine"),
            f"Rancher has no service called {app.name!r}, since it becomes a name of DNS",
            "use letters, digits, and '-' between them, in app",
        )
    length = len(app.name) + len(environment.name) + 1 + _DIGEST_LENGTH
    yield from _too_long(at, "a stack of Rancher", length)


def _swarm(at: tuple[str, ...], app: App, environment: Environment) -> Iterator[Problem]:
    if not _SWARM.fullmatch(app.name):
        yield Problem(
            (*at, "engine"),
            f"a Swarm has no service called {app.name!r}",
            "use letters, digits, '-' and '_' in app",
        )
    length = 2 * len(app.name) + len(environment.name) + 2 + _DIGEST_LENGTH
    yield from _too_long(at, "a Swarm's service", length)


def _too_long(at: tuple[str, ...], what: str, length: int) -> Iterator[Problem]:
    if length > _LONGEST:
        problem = f"{what} would have a name of {length} characters, not {_LONGEST}"
        yield Problem((*at, "engine"), problem, "use shorter names of app and environment")


def _variables(at: tuple[str, ...], app: App, environment: Environment) -> Iterator[Problem]:
    taken = {app.port.env: "carries the port", "PORT": "carries the port"}
    if app.build.java:
        taken["JAVA_HOME"] = "is where the host's JDK is mounted"
    for keys, names in (
        (("variables",), app.variables),
        ((*at, "variables"), environment.variables),
        ((*at, "secrets"), environment.secrets),
    ):
        for name in names:
            if name in taken:
                yield Problem((*keys, name), f"{taken[name]}", "take it out, or use key `port`")
    for name in environment.secrets:
        if name in environment.variables or name in app.variables:
            yield Problem((*at, "secrets", name), "is a variable, too", "keep one of the two")


def _mounts(at: tuple[str, ...], app: App, environment: Environment) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, volume in enumerate(environment.volumes):
        inside = volume.split(":")[1].rstrip("/") or "/"
        place: tuple[str | int, ...] = (*at, "volumes", index)
        if inside in seen:
            yield Problem(place, f"{inside} is mounted twice", "keep one")
        elif inside == "/":
            yield Problem(place, "would hide the whole image", "mount a folder below /")
        elif environment.secrets and (inside == "/run" or f"{inside}/".startswith(f"{SECRETS}/")):
            yield Problem(place, f"{SECRETS} is where secrets are", "mount it elsewhere")
        elif inside in {"/dev", "/dev/shm"} and app.port.fixed is None:  # noqa: S108  of a container
            # A file that outlives a start would tell the port of an earlier one.
            problem = "the registrar tells the port in the container's own /dev/shm"
            yield Problem(place, problem, "mount it elsewhere")
        seen[inside] = index
