"""What keys of etcd look like to whoever is told of the fleet; each is read as hostile, pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from wharfinger import hostrecord, metadata, orders
from wharfinger.errors import Rejected
from wharfinger.hostrecord import Told
from wharfinger.keys import DEPLOY, InstanceKey, OrderKey, Service
from wharfinger.kv import KeyValue
from wharfinger.metadata import Metadata
from wharfinger.orders import Order

ID_DIGITS: Final = 12
MAX_RELEASE_BYTES: Final = 16_384
MAX_RELEASES: Final = 20
MAX_TEXT_LENGTH: Final = 512
REGISTRAR: Final = "registrar"
MISSING: Final = "missing"
_RELEASES: Final = "releases"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release of a service, as its pipeline tells of it.

    Attributes:
        release: its name.
        image: that it brings.
        digest: of that.
        state: how far it is.
        at: when it began, RFC 3339.
        by: who asked.
        why: what went wrong; empty where nothing did.
        verb: what was asked for; `down` takes the release away.
    """

    release: str
    image: str = ""
    digest: str = ""
    state: Literal["running", "succeeded", "failed", "rolled back"]
    at: str = ""
    by: str = ""
    why: str = ""
    verb: str = ""


_RELEASE: Final = msgspec.json.Decoder(Release)


def instance(
    key: InstanceKey, address: KeyValue | None, described: KeyValue | None
) -> tuple[msgspec.Raw, str]:
    """What is told of an instance, and what is wrong with it; empty where nothing is.

    Args:
        key: of it.
        address: what stands there, which traffic goes by; None for nothing.
        described: what stands beside it; None where no registrar describes it.
    """
    told, problem = Metadata(), ""
    if described is not None:
        try:
            told = metadata.parse(described.value)
        except Rejected as error:
            problem = str(error)
    state = told.state
    if address is None:
        state = MISSING  # nobody is sent there
    elif address.value != key.endpoint.value.encode():
        shown = ascii(address.value[:80].decode(errors="replace"))
        state, problem = MISSING, f"its value is {shown}"
    return msgspec.Raw(
        msgspec.json.encode(
            {
                "key": key.address,
                "host": told.host,
                "container": told.id[:ID_DIGITS],
                "name": told.name,
                "image": told.image,
                "version": told.version,
                "weight": told.weight,
                "tags": told.tags,
                "http_host": told.http_host,
                "http_path": told.http_path,
                "started": told.started,
                "state": state,
            }
        )
    ), problem


def host(records: Mapping[str, Told]) -> msgspec.Raw:
    """What is told of a host.

    Args:
        records: what each of its daemons says of itself.
    """
    daemons = {name: _daemon(record) for name, record in sorted(records.items())}
    own = records.get(REGISTRAR)
    for name, each in (own.beside if own is not None else {}).items():
        # A daemon that speaks for itself knows better.
        daemons.setdefault(
            name,
            {
                "version": each.version,
                "since": each.since,
                "health": each.health,
                "troubles": each.troubles,
            },
        )
    ips = (record.ip for record in (own, *records.values()) if record is not None and record.ip)
    whole = own or Told()
    return msgspec.Raw(
        msgspec.json.encode(
            {
                "ip": next(ips, ""),
                "drained": whole.drained,
                "daemons": daemons,
                "drains": [_all_of(each) for each in whole.drains],
                "drains_more": whole.drains_more,
                "unregistered": whole.unregistered,
                "unregistered_more": whole.unregistered_more,
            }
        )
    )


def order(key: OrderKey, found: Order, *, lapsed: bool = False) -> dict[str, Any]:
    """What is told of an order."""
    return {
        "verb": found.verb,
        "target": found.target,
        "host": key.host,
        "state": "lapsed" if lapsed else found.state,
        "steps": found.steps,
        "by": found.by,
        "at": found.at,
    }


def read_host(value: bytes) -> Told:
    """A host's record.

    Raises:
        Rejected: it is none.
    """
    return hostrecord.parse(value)


def read_order(key: OrderKey, value: bytes) -> Order:
    """An order.

    Raises:
        Rejected: it is none.
    """
    return orders.parse(value, key.host)


def release_key(key: str) -> tuple[str, int] | None:
    """The service and the number of a release's key; None for what else stands below /deploy/.

    Raises:
        Rejected: it is below `releases/`, and not a number.
    """
    service, _, rest = key.removeprefix(DEPLOY).partition("/")
    kind, _, number = rest.partition("/")
    if kind != _RELEASES:
        return None
    if not (number.isascii() and number.isdigit() and len(number) <= 12):  # noqa: PLR2004
        raise Rejected(f"{number[:80]!a} is no release's number")
    return Service.parse(service).name, int(number)


def read_release(value: bytes) -> Release:
    """A release's record.

    Raises:
        Rejected: it is none.
    """
    if len(value) > MAX_RELEASE_BYTES:
        raise Rejected(f"a release of {len(value)} bytes; {MAX_RELEASE_BYTES} are allowed")
    try:
        found = _RELEASE.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"release: {error}") from None
    for said in msgspec.structs.astuple(found):
        if len(said) > MAX_TEXT_LENGTH or not said.isprintable():
            raise Rejected("the release has a text that is long, or cannot be printed")
    return found


def releases(known: Mapping[int, Release]) -> Sequence[Release]:
    """The latest of a service, newest first."""
    return [known[number] for number in sorted(known, reverse=True)[:MAX_RELEASES]]


def _daemon(record: Told) -> dict[str, Any]:
    told: dict[str, Any] = {
        "version": record.version,
        "since": record.since,
        "health": record.health,
        "troubles": record.troubles or ((hostrecord.text(record.why),) if record.why else ()),
    }
    if record.applied_revision is not None:
        told["applied_revision"] = record.applied_revision
    return told


def _all_of(drained: hostrecord.Drained) -> dict[str, str]:
    return msgspec.structs.asdict(drained)
