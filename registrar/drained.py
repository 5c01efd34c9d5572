"""Who is kept out of etcd on request, and which container a person means: plain decisions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from wharfinger.errors import Conflict, Rejected
from wharfinger.keys import Endpoint, InstanceKey
from wharfinger.text import shortened

MIN_ID_DIGITS: Final = 4
MAX_LISTED: Final = 20
FORMAT: Final = 1
_DRAINED: Final = "drained by "
_HOST: Final = "host "
DRAINED: Final = (_DRAINED, _HOST + _DRAINED)
"""How a reason begins that is a drain's; others may quote what a container says."""
_ID_PREFIX: Final = re.compile(rf"[0-9a-f]{{{MIN_ID_DIGITS},64}}", re.ASCII)
_CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request to stay out of etcd.

    Attributes:
        by: who asked.
        since: when, RFC 3339.
        keys: the address keys that the container had then; they name it while it is out.
    """

    by: str
    since: str
    keys: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """For the container's owner."""
        return f"{_DRAINED}{self.by} since {self.since}"


class Drains(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is drained on this host.

    Attributes:
        format: of this record.
        host: the whole host, with what will be started on it.
        containers: by id.
    """

    format: int = FORMAT
    host: Drain | None = None
    containers: Mapping[str, Drain] = {}

    def of_host(self, drain: Drain | None) -> "Drains":
        """With the whole host drained, or no more; single containers stay as they are."""
        return Drains(host=drain, containers=self.containers)

    def of_container(self, container_id: str, drain: Drain | None) -> "Drains":
        """With one container drained, or no more."""
        kept = {key: held for key, held in self.containers.items() if key != container_id}
        return Drains(
            host=self.host, containers=kept if drain is None else {**kept, container_id: drain}
        )

    def only(self, existing: Iterable[str]) -> "Drains":
        """Without containers that are gone."""
        kept = set(existing)
        held = {key: drain for key, drain in self.containers.items() if key in kept}
        return self if len(held) == len(self.containers) else Drains(self.format, self.host, held)

    def out(self, existing: Iterable[str]) -> dict[str, str]:
        """Of the containers that exist, those that are kept out, and why."""
        found = {}
        for container_id in existing:
            drain = self.containers.get(container_id)
            if drain is not None:
                found[container_id] = drain.why
            elif self.host is not None:
                found[container_id] = f"{_HOST}{self.host.why}"
        return found


def encode(drains: Drains) -> bytes:
    """As they are kept on disk."""
    return msgspec.json.format(msgspec.json.encode(drains), indent=1) + b"\n"


def decode(data: bytes) -> Drains:
    """Reads what `encode` wrote.

    Raises:
        Rejected: it is damaged, or of another version.
    """
    try:
        found = msgspec.json.decode(data, type=Drains)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"the drains cannot be read: {error}") from error
    if found.format != FORMAT:
        raise Rejected(f"the drains are in format {found.format}; {FORMAT} is known")
    if not all(map(_CONTAINER_ID.fullmatch, found.containers)):
        raise Rejected("the drains hold what is no container id")
    for drain in (*found.containers.values(), *([found.host] if found.host else [])):
        for key in drain.keys:
            try:
                InstanceKey.parse(key)
            except Rejected as error:
                raise Rejected(f"the drains hold what is no key: {error}") from error
    return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """A container that somebody may mean.

    Attributes:
        id: of the container.
        name: of the container.
        keys: address keys that it has in etcd, or had when it was drained.
    """

    id: str
    name: str
    keys: tuple[str, ...] = ()

    @property
    def endpoints(self) -> frozenset[str]:
        """Its `IP:PORT`s."""
        return frozenset(InstanceKey.parse(key).endpoint.value for key in self.keys)


def meant(text: str, candidates: Iterable[Candidate]) -> Candidate:
    """The container that is meant: by id, name, key, `IP:PORT`, or the beginning of its id.

    They are tried in this order, as Docker does: a whole id is no other's name.

    Raises:
        Rejected: none is; the message says which there are.
        Conflict: several are.
    """
    known = list(candidates)
    key = _address_key(text)
    ways = (
        lambda one: one.id == text,
        lambda one: one.name == text,
        lambda one: key in one.keys,
        lambda one: _endpoint(text) in one.endpoints,
        lambda one: bool(_ID_PREFIX.fullmatch(text)) and one.id.startswith(text),
    )
    for way in ways:
        found = [one for one in known if way(one)]
        if len(found) > 1:
            raise Conflict(f"{shortened(text, 80)!a} is not one but several: {_listed(found)}")
        if found:
            return found[0]
    there = f"there are {_listed(known)}" if known else "there is none on this host"
    raise Rejected(f"no instance {shortened(text, 80)!a}; {there}")


def _address_key(text: str) -> str:
    try:
        return InstanceKey.parse(text).address
    except Rejected:
        return ""


def _endpoint(text: str) -> str:
    try:
        return Endpoint.parse(text).value
    except Rejected:
        return ""


def _listed(found: Iterable[Candidate]) -> str:
    names = sorted(f"{one.name or '?'} ({one.id[:12]})" for one in found)
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
