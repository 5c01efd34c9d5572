"""From the fields that a sender gave to the document that is kept, for every way in."""

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from logshipper.store.lines import times
from logshipper.store.lines.times import Arrival
from logshipper.store.lines.words import index_text, plain
from logshipper.store.model import (
    MAX_EXTRA_BYTES,
    MAX_LABEL_CHARACTERS,
    MAX_MESSAGE_BYTES,
    STREAM_FIELDS,
    Document,
    Line,
    Stream,
)
from wharfinger import levels
from wharfinger.errors import Rejected

T = TypeVar("T")

_SOURCE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{1,64}", re.ASCII)
_OFFSET_DIGITS: Final = 15  # below 2**60: fits SQLite's integer
_MAX_DEPTH: Final = 32
_MAX_PARTS: Final = 1_000_000
_UNUSABLE: Final = re.compile("[\ud800-\udfff]")


_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def decode(raw: bytes) -> dict[str, Any]:
    """The fields of one JSON object; text that is not UTF-8 is mended rather than lost.

    Raises:
        Rejected: it is no JSON object.
    """
    # A list of nothing takes three bytes there and eighty here.
    if len(raw) > _MAX_PARTS and raw.count(b"[") + raw.count(b"{") > _MAX_PARTS:
        raise Rejected(f"holds more than {_MAX_PARTS} lists and objects")
    fields = parsed(raw, _decoder)
    if type(fields) is not dict:
        raise Rejected("is not a JSON object")
    return fields


def parsed(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """What a decoder makes of JSON; text that is not UTF-8 is mended rather than lost.

    Raises:
        Rejected: it is no JSON, or not what the decoder wants.
    """
    try:
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return decoder.decode(_mended(bytes(raw)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"is not what is expected: {str(error)[:120]}") from None
    except RecursionError:
        raise Rejected("is nested too deeply") from None


def document(fields: dict[str, Any], identity: str, arrival: Arrival) -> Document:
    """The document of one set of fields, which are used up.

    Args:
        fields: what the sender gave.
        identity: its id, empty if it has none.
        arrival: when they came.

    Raises:
        Rejected: its time cannot be understood.
    """
    late: dict[str, Any] = {}
    time_ns = _time(fields, arrival, late)
    message = _message(fields)
    return _composed(time_ns, message, fields, late, identity)


def stated(
    fields: dict[str, Any], message: str, time_ns: int, identity: str, arrival: Arrival
) -> Document:
    """The document of a protocol in which text and time have places of their own.

    Args:
        fields: the others, which are used up. What is called like one of our own and is no
            label or level is kept beside it.
        message: the text.
        time_ns: its time.
        identity: its id, empty if it has none.
        arrival: when they came.
    """
    late: dict[str, Any] = {}
    if time_ns > arrival.latest_ns:
        late["original_time"] = times.text(time_ns)
        time_ns = arrival.at_ns
    return _composed(time_ns, message, fields, late, identity)


def _composed(
    time_ns: int, message: str, fields: dict[str, Any], late: dict[str, Any], identity: str
) -> Document:
    stream = _stream(fields)
    level = _level(fields, message)
    if len(message) * 4 > MAX_MESSAGE_BYTES:
        message = _cut(message, late)
    extra, text = b"", message
    if fields or late:
        fields.update(late)
        extra = _extra(fields)
        text = "\n".join((message, *values(fields)))
    source, offset = split_id(identity)
    line = Line(time_ns, stream, level, message, extra)
    return Document(line, index_text(plain(text)), source, offset)


def kept(line: Line, copy: int = -1) -> Document:
    """The document of a line that is in a store already, or was: as it is, without an id."""
    other = _decoder.decode(line.extra) if line.extra else {}
    text = "\n".join((line.message, *values(other))) if other else line.message
    return Document(line, index_text(plain(text)), "", -1, copy)


def split_id(identity: str) -> tuple[str, int]:
    """Source and offset of an id `<container>.<generation>.<hex offset>`, else itself and -1."""
    source, _, digits = identity.rpartition(".")
    if source and is_source(source) and len(digits) <= _OFFSET_DIGITS:
        try:
            offset = int(digits, 16)
        except ValueError:
            return identity, -1
        # Only the one spelling that the shipper writes: int() takes 0X1F, +1 and 1_0 as well.
        if offset >= 0 and f"{offset:x}" == digits:
            return source, offset
    return identity, -1


def values(fields: object, depth: int = 0) -> Iterator[str]:
    """The texts of all values inside, for the index and for the search that follows it."""
    match fields:
        case str():
            yield fields
        case dict() | list() if depth < _MAX_DEPTH:
            for value in fields.values() if isinstance(fields, dict) else fields:
                yield from values(value, depth + 1)
        case bool():
            yield "true" if fields else "false"
        case int() | float():
            yield str(fields)


def _mended(raw: bytes) -> str:
    """JSON that msgspec refuses and a person would not: bad UTF-8, lone surrogates, NaN."""
    try:
        value = json.loads(
            raw.decode("utf-8", "replace"),
            strict=False,
            parse_float=_finite,
            parse_constant=lambda _name: None,
        )
        return _UNUSABLE.sub("\ufffd", json.dumps(value, ensure_ascii=False))
    except RecursionError:
        raise Rejected("is nested too deeply") from None
    except ValueError as error:
        raise Rejected(f"is not JSON: {str(error)[:120]}") from None


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _time(fields: dict[str, Any], arrival: Arrival, late: dict[str, Any]) -> int:
    given = fields.pop("@timestamp", None)
    name = "@timestamp"
    if given is None:
        given, name = fields.pop("time", None), "time"
    if given is None:
        return arrival.at_ns
    time_ns = times.parse(given)
    if time_ns is None:
        raise Rejected(f"{name} {str(given)[:64]!r} is neither RFC 3339 nor an epoch number")
    if time_ns > arrival.latest_ns:
        late["original_time"] = given
        return arrival.at_ns
    return time_ns


def _message(fields: dict[str, Any]) -> str:
    message = fields.pop("message", None)
    if message is None and type(fields.get("log")) is str:
        # Docker's own records end each line with its newline.
        message = fields.pop("log").removesuffix("\n")
    if message is None:
        return ""
    return message if type(message) is str else _encoder.encode(message).decode()


def _level(fields: dict[str, Any], message: str) -> int:
    given = fields.get("level")
    if type(given) is str:
        level = levels.level_of(given)
        if level or not given:
            del fields["level"]
        return level
    return levels.detect(plain(message))


def _stream(fields: dict[str, Any]) -> Stream:
    app, env, host = fields.pop("app", ""), fields.pop("env", ""), fields.pop("host", "")
    container, stream = fields.pop("container", ""), fields.pop("stream", "")
    if type(app) is type(env) is type(host) is type(container) is type(stream) is str:
        return labels(app, env, host, container, stream)
    given = dict(zip(STREAM_FIELDS, (app, env, host, container, stream), strict=True))
    # Filebeat sends host and container as objects; the name is the label, all of it is kept.
    fields.update({key: value for key, value in given.items() if isinstance(value, dict | list)})
    return labels(*(_label(value) for value in given.values()))


def _label(value: object) -> str:
    match value:
        case str():
            return value
        case dict():
            return next((v for k in ("name", "id") if isinstance(v := value.get(k), str)), "")
        case bool() | int() | float():
            return str(value)
        case _:
            return ""


@lru_cache(maxsize=4096)
def labels(app: str, env: str, host: str, container: str, stream: str) -> Stream:
    """The stream with these labels, each cut to what one may be."""
    cut = MAX_LABEL_CHARACTERS
    return Stream(app[:cut], env[:cut], host[:cut], container[:cut], stream[:cut])


def _cut(message: str, late: dict[str, Any]) -> str:
    data = message.encode()
    if len(data) <= MAX_MESSAGE_BYTES:
        return message
    late["truncated_bytes"] = len(data) - MAX_MESSAGE_BYTES
    return data[:MAX_MESSAGE_BYTES].decode(errors="ignore") + " [cut]"


def _extra(fields: dict[str, Any]) -> bytes:
    """The other fields as JSON; whole fields are left out where all would be too much."""
    data = _encoder.encode(fields)
    if len(data) <= MAX_EXTRA_BYTES:
        return data
    left = MAX_EXTRA_BYTES - 64
    for name in list(fields):
        size = len(_encoder.encode(name)) + len(_encoder.encode(fields[name])) + 2
        if size > left:
            del fields[name]
        else:
            left -= size
    fields["truncated_fields_bytes"] = len(data) - len(_encoder.encode(fields))
    return _encoder.encode(fields)


@lru_cache(maxsize=4096)
def is_source(source: str) -> bool:
    """Whether an id may begin so to be one of a source and an offset."""
    return _SOURCE.fullmatch(source) is not None
