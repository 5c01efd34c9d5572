"""What the registrar tells of its host in etcd, within bounds, and how strictly it is read."""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Annotated, Final

import msgspec

from wharfinger.errors import Rejected
from wharfinger.metadata import HostRecord
from wharfinger.text import printable, shortened

# Each reader of the fleet holds one a host, and each change of one goes to all of them.
MAX_BYTES: Final = 16_000
MAX_READ_BYTES: Final = 65_536
MAX_DRAINS: Final = 200
MAX_UNREGISTERED: Final = 50
MAX_TROUBLES: Final = 20
# Of one daemon, as JSON: a host tells of three, and of more than that.
_MAX_TROUBLES_BYTES: Final = 4_000
MAX_BESIDE: Final = 8
MAX_TEXT_LENGTH: Final = 160
_MAX_READ_LENGTH: Final = 512

_Text = Annotated[str, msgspec.Meta(max_length=_MAX_READ_LENGTH)]
_Troubles = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=MAX_TROUBLES)]


class Drained(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instance that is kept out of etcd on request.

    Attributes:
        key: its address key, as it was; empty for a container that had none.
        endpoint: `IP:PORT` of that.
        service: `<APP>_<ENV>` of that.
        name: of the container.
        since: when, RFC 3339.
        by: who asked.
    """

    key: _Text = ""
    endpoint: _Text = ""
    service: _Text = ""
    name: _Text = ""
    since: _Text = ""
    by: _Text = ""


class Unregistered(msgspec.Struct, frozen=True, kw_only=True):
    """A container that asks for a place in etcd and has none, and why."""

    name: _Text
    reason: _Text


class Beside(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another daemon of the host, which tells etcd nothing itself.

    Attributes:
        health: as of its /healthz; `unreachable` where it does not answer.
        version: of it; empty where it does not answer.
        since: when it began, RFC 3339.
        troubles: each check that is red, with its reason.
    """

    health: _Text
    version: _Text = ""
    since: _Text = ""
    troubles: _Troubles = ()


class RegistrarRecord(HostRecord, frozen=True, kw_only=True, omit_defaults=True):
    """What a registrar says of itself and of its host.

    Attributes:
        drained: whether the whole host is.
        drains: instances that are kept out on request.
        drains_more: how many more there are than could be told.
        unregistered: containers that are not in etcd, and why; drained ones are not among them.
        unregistered_more: how many more there are than could be told.
        beside: daemons of this host that do not speak to etcd, by name.
    """

    drained: bool = False
    drains: tuple[Drained, ...] = ()
    drains_more: int = 0
    unregistered: tuple[Unregistered, ...] = ()
    unregistered_more: int = 0
    beside: Mapping[str, Beside] = {}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A record of any daemon, as a reader takes it; what it does not know is passed over."""

    version: _Text = ""
    since: _Text = ""
    health: _Text = ""
    ip: _Text = ""
    why: Annotated[str, msgspec.Meta(max_length=MAX_BYTES)] = ""
    troubles: _Troubles = ()
    applied_revision: int | None = None
    drained: bool = False
    drains: Annotated[tuple[Drained, ...], msgspec.Meta(max_length=MAX_DRAINS)] = ()
    drains_more: Annotated[int, msgspec.Meta(ge=0)] = 0
    unregistered: Annotated[
        tuple[Unregistered, ...], msgspec.Meta(max_length=MAX_UNREGISTERED)
    ] = ()
    unregistered_more: Annotated[int, msgspec.Meta(ge=0)] = 0
    beside: Annotated[dict[_Text, Beside], msgspec.Meta(max_length=MAX_BESIDE)] = {}


_DECODER: Final = msgspec.json.Decoder(Told)


def text(said: str) -> str:
    """Words of anybody's for a record: short, and harmless on a terminal."""
    return printable(shortened(said, MAX_TEXT_LENGTH))[: 2 * MAX_TEXT_LENGTH]


def troubles(checks: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Red checks, by name and reason, as a record has them."""
    found = [text(f"{name}: {why}") for name, why in checks]
    sizes = accumulate(len(msgspec.json.encode(each)) for each in found)
    fit = sum(size <= _MAX_TROUBLES_BYTES for size in sizes)
    if len(found) <= min(fit, MAX_TROUBLES):
        return tuple(found)
    kept = found[: min(fit, MAX_TROUBLES - 1)]
    return (*kept, f"and {len(found) - len(kept)} more")


def encode(record: RegistrarRecord) -> bytes:
    """The value below /wharfinger/hosts/, of `MAX_BYTES` at most: lists lose their ends."""
    drains, unregistered = record.drains[:MAX_DRAINS], record.unregistered[:MAX_UNREGISTERED]
    while True:
        value = msgspec.json.encode(
            msgspec.structs.replace(
                record,
                drains=drains,
                drains_more=len(record.drains) - len(drains),
                unregistered=unregistered,
                unregistered_more=len(record.unregistered) - len(unregistered),
            )
        )
        if len(value) <= MAX_BYTES or not (drains or unregistered):
            return value
        if len(unregistered) > len(drains) // 4:
            unregistered = unregistered[: len(unregistered) * 3 // 4]
        else:
            drains = drains[: len(drains) * 3 // 4]


def parse(value: bytes) -> Told:
    """Reads a record of any daemon, trusting nobody who wrote it.

    Raises:
        Rejected: it is no such JSON, too long, or says what cannot be printed.
    """
    if len(value) > MAX_READ_BYTES:
        raise Rejected(f"a host's record of {len(value)} bytes; {MAX_READ_BYTES} are allowed")
    try:
        told = _DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"host record: {error}") from None
    if not all(map(str.isprintable, _texts(msgspec.to_builtins(told)))):
        raise Rejected("the host's record has characters that cannot be printed")
    return told


def _texts(value: object) -> Iterable[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for key, each in value.items():
                yield str(key)
                yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)
