"""What stands in etcd beside an instance's address, and of a host: one grammar, JSON both ways."""

import re
from collections.abc import Iterable
from itertools import starmap
from typing import Annotated, Final, Literal

import msgspec

from wharfinger.errors import Rejected

MAX_BYTES: Final = 16_384
MAX_TEXT_LENGTH: Final = 512
MAX_WEIGHT: Final = 1_000
MAX_TAGS: Final = 64
MAX_ATTRIBUTES: Final = 32
MAX_ATTRIBUTE_LENGTH: Final = 256
# With everything else at its longest, and each character escaped, it still is below MAX_BYTES.
MAX_ATTRIBUTES_BYTES: Final = 2_048
MAX_HTTP_HOST_LENGTH: Final = 253  # RFC 1035, section 2.3.4
# Nginx keeps the length of a prefix location in one byte (ngx_http_create_locations_tree).
MAX_HTTP_PATH_LENGTH: Final = 200

# All three end up in configuration files: nothing that ends a directive, quotes, or names a
# variable. re.ASCII and fullmatch, as in `keys`.
_DNS_LABEL: Final = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HTTP_HOST: Final = re.compile(rf"(\*\.)?({_DNS_LABEL}\.)*{_DNS_LABEL}", re.ASCII)
_HTTP_PATH: Final = re.compile(r"(/[A-Za-z0-9._~@+-]+)*/?", re.ASCII)
_ATTRIBUTE_NAME: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
_PROTOCOL: Final = re.compile(r"[a-z]{1,16}", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9!%()*+,./:=?@\[\]^_~-]{1,128}", re.ASCII)

TCP: Final = "tcp"

_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a registrar says of an instance; the fields stand in the order in which people read.

    Attributes:
        id: of the container.
        name: of the container.
        image: as it was asked for.
        host: the host that registered it.
        weight: share of the traffic beside the others'; 0 gets none.
        tags: as labelled.
        version: of the image, or as labelled.
        http_host: virtual host that it answers for; empty for none.
        http_path: path prefix of that virtual host; empty for all.
        started: when its container was started, RFC 3339.
        state: `up`.
        protocol: `tcp`, `udp` or `sctp`; not written where it is tcp.
        attributes: whatever else was said of it, by name; written sorted, and not when empty.
    """

    id: _Text = ""
    name: _Text = ""
    image: _Text = ""
    host: _Text = ""
    weight: Annotated[int, msgspec.Meta(ge=0, le=MAX_WEIGHT)] = 1
    tags: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_TAGS)] = ()
    version: _Text = ""
    http_host: str = ""
    http_path: str = ""
    started: _Text = ""
    state: _Text = "up"
    protocol: _Text = TCP
    attributes: dict[str, str] = {}


class HostRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a daemon says of itself below /wharfinger/hosts/; some say more.

    Attributes:
        version: of the daemon.
        since: when it began, RFC 3339.
        health: as of its /healthz.
        ip: the host's address; empty where it does not matter.
        machine: tells machines of one name, and boots of one machine, apart; may be empty.
        troubles: each check that is red, with its reason.
    """

    version: str
    since: str
    health: Literal["healthy", "unhealthy"]
    ip: str = ""
    machine: str = ""
    troubles: tuple[str, ...] = ()


_DECODER: Final = msgspec.json.Decoder(Metadata)


def encode(metadata: Metadata) -> bytes:
    """The value below /wharfinger/instances/; equal bytes for what is equal.

    The fields stand in the order of `Metadata`. The last two are absent where they say nothing,
    so that what was written before they existed is still true to the byte.
    """
    told = msgspec.structs.asdict(metadata)
    if metadata.protocol == TCP:
        del told["protocol"]
    if metadata.attributes:
        told["attributes"] = dict(sorted(metadata.attributes.items()))
    else:
        del told["attributes"]
    return msgspec.json.encode(told)


def parse(value: bytes) -> Metadata:
    """Reads one value below /wharfinger/instances/, trusting nobody who wrote it.

    Fields that nobody knows here, those of a later version, are passed over.

    Raises:
        Rejected: it is no such JSON, or a field has a character that it must not have.
    """
    if len(value) > MAX_BYTES:
        raise Rejected(f"metadata of {len(value)} bytes; {MAX_BYTES} are allowed")
    try:
        read = _DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"metadata: {error}") from None
    for name in ("id", "name", "image", "host", "version", "started", "state"):
        if not str(getattr(read, name)).isprintable():
            raise Rejected(f"{name} has characters that cannot be printed")
    if not _PROTOCOL.fullmatch(read.protocol):
        raise Rejected(f"the protocol {_shown(read.protocol)} is none")
    if len(read.attributes) > MAX_ATTRIBUTES:
        raise Rejected(f"{len(read.attributes)} attributes; {MAX_ATTRIBUTES} are allowed")
    # In this order: what can be printed can be encoded.
    attributes = dict(starmap(attribute, read.attributes.items()))
    if attributes_bytes(attributes.items()) > MAX_ATTRIBUTES_BYTES:
        raise Rejected(f"attributes of more than {MAX_ATTRIBUTES_BYTES} bytes")
    return msgspec.structs.replace(
        read,
        tags=tuple(map(tag, read.tags)),
        http_host=http_host(read.http_host),
        http_path=http_path(read.http_path),
        attributes=attributes,
    )


def attribute(name: str, text: str) -> tuple[str, str]:
    """An attribute's name and value as they are.

    Raises:
        Rejected: the name is none, or the value is long or cannot be printed.
    """
    if not _ATTRIBUTE_NAME.fullmatch(name):
        raise Rejected(f"the attribute {_shown(name)} may hold a-z, 0-9, '_', '.' and '-' only")
    if len(text) > MAX_ATTRIBUTE_LENGTH or not text.isprintable():
        raise Rejected(f"the attribute {name} is {_shown(text)}: long, or not printable")
    return name, text


def attributes_bytes(attributes: Iterable[tuple[str, str]]) -> int:
    """How much of `MAX_ATTRIBUTES_BYTES` they take."""
    return sum(len(name.encode()) + len(text.encode()) for name, text in attributes)


def tag(text: str) -> str:
    """A tag as it is.

    Raises:
        Rejected: it is empty, too long, or has a blank, quote, brace, ';' or the like.
    """
    if not _TAG.fullmatch(text):
        raise Rejected(f"the tag {_shown(text)} holds what a tag must not")
    return text


def http_host(text: str) -> str:
    """The name of a virtual host in lower case, perhaps with a leading `*.`; empty for none.

    Raises:
        Rejected: it is no DNS name.
    """
    host = text.lower()
    # isascii() too: lower() makes an ASCII k of the Kelvin sign.
    if text and not (
        text.isascii() and len(host) <= MAX_HTTP_HOST_LENGTH and _HTTP_HOST.fullmatch(host)
    ):
        raise Rejected(f"the host {_shown(text)} is no DNS name")
    return host


def http_path(text: str) -> str:
    """A path prefix without a final slash, `/` for all; empty where none is given.

    Raises:
        Rejected: it is longer than Nginx takes, climbs, or is no plain path.
    """
    if not text:
        return ""
    if (
        len(text) > MAX_HTTP_PATH_LENGTH
        or not _HTTP_PATH.fullmatch(text)
        or {".", ".."} & set(text.split("/"))
    ):
        raise Rejected(f"the path {_shown(text)} is no plain path such as /cart")
    return text.rstrip("/") or "/"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= MAX_HTTP_HOST_LENGTH else text[:60] + "...")
