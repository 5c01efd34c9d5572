"""Which container has which port: decisions on plain values, never one port twice."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from wharfinger.errors import Rejected

LOWEST: Final = 1_024
HIGHEST: Final = 65_535
# A port that was just freed still has peers dialling it: Nginx workers on their way out, clients
# with old keep-alive connections. They must not reach another application.
QUARANTINED: Final = 1_000
MAGIC: Final = "wharfinger ports 1"
HEAD: Final = (MAGIC, "range", "taken", "freed")
# How a container learns its port: with-port reads a file, or the runtime put it there as PORT.
SCRIPT: Final = "script"
ENVIRONMENT: Final = "environment"
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """The ports from `first` to `last`, both included.

    Raises:
        Rejected: it is empty, or no range of ports.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.last <= HIGHEST:
            raise Rejected(f"{self} is no range of ports")

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def overlaps(self, other: "PortRange") -> bool:
        """Whether any port is in both."""
        return self.first <= other.last and other.first <= self.last

    @classmethod
    def parse(cls, text: str) -> "PortRange":
        """Reads `20000-29999`.

        Raises:
            Rejected: it is anything else, or reaches below 1024.
        """
        match = _RANGE.fullmatch(text)
        if match is None:
            raise Rejected(f"{text[:40]!r} is not FIRST-LAST")
        found = cls(int(match[1]), int(match[2]))
        if found.first < LOWEST:
            raise Rejected(f"{text!r} reaches below {LOWEST}, where well-known services live")
        return found


def merge_reserved(reserved: str, wanted: PortRange) -> str:
    """Adds a range to the text of `ip_local_reserved_ports`, keeping what others put there.

    The kernel writes and takes `8080,9148-9150` (Documentation/networking/ip-sysctl), sorted or
    not; the result is sorted and has no overlaps.

    Raises:
        Rejected: the text is not of that form; writing it back could lose what it meant.
    """
    ranges = sorted([*_ranges(reserved), wanted])
    merged = [ranges[0]]
    for each in ranges[1:]:
        if each.first <= merged[-1].last + 1:
            merged[-1] = PortRange(merged[-1].first, max(merged[-1].last, each.last))
        else:
            merged.append(each)
    return ",".join(str(r.first) if r.first == r.last else str(r) for r in merged)


def is_reserved(reserved: str, wanted: PortRange) -> bool:
    """Whether the text of `ip_local_reserved_ports` covers the whole range already."""
    return merge_reserved(reserved, wanted) == ",".join(
        str(r.first) if r.first == r.last else str(r) for r in sorted(_ranges(reserved))
    )


def _ranges(text: str) -> Iterator[PortRange]:
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        try:
            yield PortRange(int(first), int(last) if dash else int(first))
        except ValueError as error:
            raise Rejected(f"{part[:40]!r} is neither a port nor a range of ports") from error


@dataclass(frozen=True, slots=True)
class Assignments:
    """The ports that are given away, by container id, and those freed last, oldest first.

    Attributes:
        ports: by container id.
        freed: ports that rest.
        in_environment: ids of the containers to which the runtime gave the port as PORT.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    freed: tuple[int, ...] = ()
    in_environment: frozenset[str] = frozenset()

    def assign(
        self, container_id: str, within: PortRange, is_free: Callable[[int], bool]
    ) -> "Assignments":
        """Gives a container a port of its own; one that has a port keeps it.

        Ports that were never used, or not for long, go first; then the one freed longest ago.

        Args:
            container_id: who gets it.
            within: where it may lie.
            is_free: whether nothing on the host listens on a port or is bound to it.

        Raises:
            Rejected: no port is left.
        """
        if container_id in self.ports:
            return self
        taken = set(self.ports.values())
        resting = set(self.freed)
        fresh = (port for port in within if port not in resting)
        rested = (port for port in self.freed if port in within)
        for candidates in (fresh, rested):
            for port in candidates:
                if port not in taken and is_free(port):
                    return self._with(container_id, port)
        raise Rejected(
            f"no port is left: all {len(within)} of registrar.port_range {within} are assigned "
            "to containers or used by other processes"
        )

    def give(
        self,
        container_id: str,
        within: PortRange,
        is_free: Callable[[int], bool],
        word: int | None,
    ) -> "Assignments":
        """Gives a container the port that it was told before, if that is nobody else's, or another.

        Args:
            container_id: who gets it.
            within: where another may lie.
            is_free: whether another may be given.
            word: what it was told; None when nobody knows.

        Raises:
            Rejected: no port is left.
        """
        if word is not None and word not in self.ports.values():
            return self.adopt(container_id, word)
        return self.assign(container_id, within, is_free)

    def adopt(self, container_id: str, port: int) -> "Assignments":
        """Notes down a port that a container was given in a life that we have forgotten.

        Raises:
            Rejected: another container has it.
        """
        holder = next((c for c, p in self.ports.items() if p == port), container_id)
        if holder != container_id:
            raise Rejected(f"port {port} is that of container {holder[:12]}")
        return self._with(container_id, port)

    def release(self, container_id: str) -> "Assignments":
        """Takes the port back; it rests behind all others before it is given again."""
        if container_id not in self.ports:
            return self
        kept = {c: p for c, p in self.ports.items() if c != container_id}
        freed = (*self.freed, self.ports[container_id])
        return Assignments(kept, freed[-QUARANTINED:], self.in_environment - {container_id})

    def _with(self, container_id: str, port: int) -> "Assignments":
        rest = {c: p for c, p in self.ports.items() if c != container_id}
        freed = tuple(each for each in self.freed if each != port)
        return Assignments(
            {**rest, container_id: port}, freed, self.in_environment - {container_id}
        )


@dataclass(frozen=True, slots=True)
class Table:
    """All that the registrar and the runtime must agree on, each able to do without the other.

    Attributes:
        within: the range to give ports from.
        taken: ports that are somebody's though no container was given them: declared, or still in
            etcd for this host.
        assignments: who was given which.
    """

    within: PortRange
    taken: frozenset[int] = frozenset()
    assignments: Assignments = field(default_factory=Assignments)


def encode(table: Table) -> bytes:
    """The table as it is kept on disk: lines of text, which `runtime/create.py` reads as well.

    `range FIRST-LAST`, `taken PORT...`, `freed PORT...` with the one freed last at the end, then
    a line `port PORT ID WAY` for each container, and `end`, which a file that was cut off lacks.
    """
    held = table.assignments
    lines = [
        MAGIC,
        f"range {table.within}",
        " ".join(["taken", *map(str, sorted(table.taken))]),
        " ".join(["freed", *map(str, held.freed)]),
        *(
            f"port {port} {who} {ENVIRONMENT if who in held.in_environment else SCRIPT}"
            for who, port in held.ports.items()
        ),
        "end",
        "",
    ]
    return "\n".join(lines).encode()


def decode(data: bytes) -> Table:
    """Reads what `encode` wrote, or the runtime.

    Raises:
        Rejected: it is damaged, or says that two containers have one port.
    """
    lines = data.decode("ascii", "replace").split("\n")
    if lines[0] != MAGIC:
        raise Rejected(f"the table of ports begins with {lines[0][:40]!a}, not with {MAGIC!r}")
    if lines[-2:] != ["end", ""] or len(lines) < len((*HEAD, "end", "")):
        raise Rejected("the table of ports is cut off")
    within, taken, freed = (
        _words(name, line) for name, line in zip(HEAD[1:], lines[1:], strict=False)
    )
    ports: dict[str, int] = {}
    in_environment = set()
    for line in lines[len(HEAD) : -2]:
        port, who, way = _entry(line)
        ports[who] = port
        if way == ENVIRONMENT:
            in_environment.add(who)
    if len(set(ports.values())) != len(lines) - len(HEAD) - 2:
        raise Rejected("the table of ports names one port or one container twice")
    return Table(
        within=PortRange.parse(" ".join(within)),
        taken=frozenset(map(_port, taken)),
        assignments=Assignments(
            ports, tuple(dict.fromkeys(map(_port, freed))), frozenset(in_environment)
        ),
    )


def _words(name: str, line: str) -> list[str]:
    first, *words = line.split(" ")
    if first != name:
        raise Rejected(f"the table of ports has {line[:40]!a} where {name!r} belongs")
    return words


def _entry(line: str) -> tuple[int, str, str]:
    words = _words("port", line)
    if len(words) != len(("port", "container", "way")):
        raise Rejected(f"the table of ports has {line[:40]!a} where a container's port belongs")
    port, container_id, way = words
    if not _CONTAINER_ID.fullmatch(container_id):
        raise Rejected(f"the table of ports has {container_id[:80]!a}, which is no container's id")
    if way not in (SCRIPT, ENVIRONMENT):
        raise Rejected(f"the table of ports has {way[:40]!a}, which is no way to tell a port")
    return _port(port), container_id, way


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) <= HIGHEST:
        raise Rejected(f"the table of ports has {text[:40]!a}, which is no port")
    return int(text)
