"""What registrator left in etcd, read entry by entry: the instance it means, or why it is none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.metadata import MAX_TEXT_LENGTH, TCP, Metadata

# registrator: bridge/bridge.go, newService: HOST:CONTAINER:PORT, and `:udp` behind it.
ID_PARTS: Final = 3
UDP: Final = "udp"
SHOWN_CHARACTERS: Final = 200


class Imported(Metadata, frozen=True, kw_only=True):
    """Metadata of an instance that no registrar of ours has seen yet.

    Attributes:
        imported: from where; a registrar takes such an instance over, whatever host it names.
    """

    imported: str = "registrator"


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value, as registrator wrote them.

    Attributes:
        key: the whole of it.
        value: `IP:PORT`.
        revision: at which it was last changed, in the terms of the API that it was read by.
    """

    key: str
    value: str
    revision: int


@dataclass(frozen=True, slots=True)
class Move:
    """One entry, and the instance that it becomes."""

    entry: Entry
    key: InstanceKey
    metadata: Imported


@dataclass(frozen=True, slots=True)
class Refusal:
    """One entry that cannot be moved; `why` is for the operator."""

    entry: Entry
    why: str


def services(texts: Iterable[str], env: str) -> dict[str, Service]:
    """Reads `SERVICE=APP` or `SERVICE=APP_ENV`, as the operator writes them.

    Raises:
        Rejected: one is neither, or names a service twice.
    """
    found: dict[str, Service] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not old or not equals or old in found:
            shown = ascii(text[:SHOWN_CHARACTERS])
            raise Rejected(f"--map {shown}: write SERVICE=APP or SERVICE=APP_ENV, once a service")
        found[old] = Service.parse(new) if "_" in new else Service(new, env)
    return found


def read(
    entries: Iterable[Entry], prefix: str, env: str, mapped: Mapping[str, Service]
) -> tuple[list[Move], list[Refusal]]:
    """Judges each entry by itself, sorted by key.

    Args:
        entries: whatever stands below the prefix.
        prefix: registrator's, with a slash on either side.
        env: of services that are not mapped.
        mapped: by registrator's name of the service.
    """
    moves, refusals = [], []
    for entry in sorted(entries, key=lambda entry: entry.key):
        try:
            moves.append(_move(entry, prefix, env, mapped))
        except Rejected as error:
            refusals.append(Refusal(entry, str(error)))
    return moves, refusals


def _move(entry: Entry, prefix: str, env: str, mapped: Mapping[str, Service]) -> Move:
    name, slash, instance_id = entry.key.removeprefix(prefix).partition("/")
    if not entry.key.startswith(prefix) or not slash or "/" in instance_id:
        raise Rejected(f"is no {prefix}SERVICE/ID")
    host, container, protocol = _parts(instance_id)
    service = mapped.get(name) or Service(name, env)
    endpoint = Endpoint.parse(entry.value)
    return Move(
        entry,
        InstanceKey(service, endpoint),
        Imported(name=container, host=host, state="up", protocol=protocol),
    )


def _parts(instance_id: str) -> tuple[str, str, str]:
    """Host, container and protocol; without a host where the user named the id (SERVICE_ID)."""
    if not instance_id.isprintable():
        raise Rejected("has an id with characters that cannot be printed")
    whole, colon, last = instance_id.rpartition(":")
    udp = bool(colon) and last == UDP
    protocol = UDP if udp else TCP
    parts = (whole if udp else instance_id).split(":")
    if len(parts) != ID_PARTS or not parts[2].isdecimal():
        return "", instance_id[:MAX_TEXT_LENGTH], protocol
    return parts[0][:MAX_TEXT_LENGTH], parts[1][:MAX_TEXT_LENGTH], protocol
