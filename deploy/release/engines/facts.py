"""A container as `docker inspect` tells of it, as far as a release depends on it; pure."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec

from wharfinger.errors import Unavailable
from wharfinger.text import printable, shortened

HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"
PAUSED: Final = "paused"
_ID_DIGITS: Final = 12
_PROBE_CHARACTERS: Final = 300
_FRAMES_TOLD: Final = 5


class _Part(msgspec.Struct, frozen=True, rename="pascal"):
    """One object of Docker's."""


class _Probe(_Part, frozen=True, rename="pascal"):
    exit_code: int = 0
    output: str = ""


class _Health(_Part, frozen=True, rename="pascal"):
    status: str = ""
    log: Sequence[_Probe] | None = None


class _State(_Part, frozen=True, rename="pascal"):
    status: str = ""
    exit_code: int = 0
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    error: str = ""
    started_at: str = ""
    health: _Health | None = None


class _Config(_Part, frozen=True, rename="pascal"):
    image: str = ""
    labels: Mapping[str, str] | None = None


class _Inspected(_Part, frozen=True, rename="pascal"):
    id: str
    name: str = ""
    created: str = ""
    restart_count: int = 0
    state: _State = _State()
    config: _Config = _Config()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One container at one moment.

    Attributes:
        id: 64 hexadecimal digits.
        name: without the leading slash.
        image: as it was asked for.
        labels: of it.
        created: when, RFC 3339; sorts.
        status: Docker's word: created, running, paused, restarting, removing, exited, dead.
        exit_code: of the last run.
        out_of_memory: whether the kernel ended that.
        error: why it could not be started.
        restarts: how often Docker has started it again by itself.
        health: of its HEALTHCHECK; empty without one.
        probe: what the latest probe of that said.
        started: when the last run began, RFC 3339.
    """

    id: str
    name: str = ""
    image: str = ""
    labels: Mapping[str, str] = {}
    created: str = ""
    status: str = "running"
    exit_code: int = 0
    out_of_memory: bool = False
    error: str = ""
    restarts: int = 0
    health: str = ""
    probe: str = ""
    started: str = ""

    @property
    def runs(self) -> bool:
        """Whether its program is there; one that Docker starts again and again is not."""
        return self.status in ("running", PAUSED)

    @property
    def described(self) -> str:
        """Its state in words."""
        said = [f"{self.name or self.id[:_ID_DIGITS]} is {self.status}"]
        # Of a run that goes on there is none yet, and the one before is forgotten.
        if not self.runs:
            said.append(f"exit code {self.exit_code}")
        if self.out_of_memory:
            said.append("out of memory")
        if self.restarts:
            said.append(f"restarted {self.restarts} time{'s' * (self.restarts > 1)}")
        if self.health:
            said.append(f"its HEALTHCHECK says {self.health}")
        if self.error:
            said.append(printable(shortened(self.error, _PROBE_CHARACTERS)))
        return ", ".join(said)


_DECODER: Final = msgspec.json.Decoder(list[_Inspected])


def parse(text: str) -> tuple[Facts, ...]:
    """Reads what `docker inspect` printed, the oldest container first.

    Raises:
        Unavailable: it is no such thing.
    """
    try:
        several = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable(f"docker inspect printed what cannot be read: {error}") from None
    return tuple(sorted(map(_facts, several), key=lambda each: (each.created, each.id)))


def failure(found: Facts, reason: str, lines: Sequence[str]) -> str:
    """Why one does not run, with what it said last; several lines.

    Args:
        found: of it.
        reason: what was waited for in vain, or a registrar's word; may be empty.
        lines: the last that it wrote.
    """
    said = [found.described + (f": {printable(reason)}" if reason else "")]
    if found.probe:
        said.append(f"  its last probe said: {printable(found.probe)}")
    said += [f"  | {printable(line)}" for line in lines]
    return "\n".join(said if lines else [*said, "  it has written nothing"])


def telling(lines: Sequence[str], *, at_most: int) -> tuple[str, ...]:
    """Of what a container wrote last, what tells most: the end, and of a long trace its beginning.

    What is wrong stands above the frames of a stack, which every language sets in.

    Args:
        lines: more than may be told, the last ones.
        at_most: as many of them.
    """
    if len(lines) <= at_most:
        return tuple(lines)
    told: list[str] = []
    for set_in, several in groupby(lines, lambda line: line[:1].isspace()):
        run = list(several)
        left_out = len(run) - _FRAMES_TOLD
        # In place of one line nothing is gained.
        if set_in and left_out > 1:
            run[_FRAMES_TOLD:] = [f"    ... {left_out} more lines"]
        told += run
    return tuple(told[-at_most:])


def _facts(found: _Inspected) -> Facts:
    health = found.state.health or _Health()
    probes = health.log or ()
    return Facts(
        id=found.id,
        name=found.name.lstrip("/"),
        image=found.config.image,
        labels=found.config.labels or {},
        created=found.created,
        status=found.state.status,
        exit_code=found.state.exit_code,
        out_of_memory=found.state.oom_killed,
        error=found.state.error,
        restarts=found.restart_count,
        health="" if health.status == "none" else health.status,
        probe=shortened(probes[-1].output.strip(), _PROBE_CHARACTERS) if probes else "",
        started=found.state.started_at,
    )
