"""Cuts a file of lines into bodies that a store takes, and understands them as the store does."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from logshipper.store.http.protocols import bulk, exported, jsonline, loki
from logshipper.store.http.protocols.jsonline import Names
from logshipper.store.http.protocols.understood import Lines
from logshipper.store.lines import times
from logshipper.store.lines.times import Arrival
from logshipper.store.model import STREAM_FIELDS, Document
from wharfinger import levels
from wharfinger.errors import Rejected

FORMATS: Final = ("exported", "bulk", "loki", "jsonline")
_LINES: Final = 5_000
_BYTES: Final = 4 * 2**20
# However many lines are of one time: then a body is cut there all the same.
_MOST_LINES: Final = 100_000
_MOST_BYTES: Final = 24 * 2**20
_TIME: Final = re.compile(rb'"time":\s*"([^"\\]*)"')
_ACTIONS: Final = frozenset({"create", "index", "update", "delete"})
_REASONS: Final = 20

_decoder = msgspec.json.Decoder()
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class Body:
    """Some lines of a file, as one request.

    Attributes:
        numbers: of its lines in the file, counted from 1; blank ones have none.
        lines: they.
    """

    numbers: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    def take(self, number: int, line: bytes) -> None:
        """Adds a line."""
        self.numbers.append(number)
        self.lines.append(line)
        self.size += len(line) + 1

    @property
    def data(self) -> bytes:
        """What to send."""
        return b"\n".join((*self.lines, b""))


@dataclass(slots=True)
class Parsed:
    """A body, understood.

    Attributes:
        documents: what is good of it.
        bad: how many lines are of no use.
        reasons: the first of these, by their numbers in the file.
    """

    documents: list[Document]
    bad: int
    reasons: list[tuple[int, str]]


def recognised(line: bytes) -> str:
    """In which form a file is, by its first line.

    Raises:
        Rejected: in none that is known.
    """
    try:
        told = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = None
    if not isinstance(told, dict):
        raise Rejected(f"the first line is no JSON object: {line[:60].decode(errors='replace')!r}")
    if isinstance(told.get("streams"), list):
        return "loki"
    if len(told) == 1 and told.keys() <= _ACTIONS:
        return "bulk"
    if all(isinstance(told.get(name), str) for name in ("id", "time", "message")):
        return "exported"
    return "jsonline"


def cut(lines: Iterable[bytes], form: str) -> Iterator[Body]:
    """The bodies that these lines make, where such a file may be cut."""
    body = Body()
    is_border = _BORDERS[form]()
    for number, line in enumerate(lines, 1):
        if not line or line.isspace():
            continue
        border = is_border(line)
        full = len(body.lines) >= _LINES or body.size + len(line) > _BYTES
        packed = len(body.lines) >= _MOST_LINES or body.size + len(line) > _MOST_BYTES
        if body.lines and ((full and border) or packed):
            yield body
            body = Body()
        body.take(number, line)
    if body.lines:
        yield body


def understand(body: Body, form: str, arrival: Arrival) -> Parsed:
    """What is in a body, as the store understands it.

    Raises:
        Rejected: it is too much at once.
    """
    if form == "bulk":
        return _bulk(body, arrival)
    if form == "loki":
        return _loki(body, arrival)
    found = (
        exported.parse(body.data, arrival)
        if form == "exported"
        else jsonline.parse(body.data, arrival, Names())
    )
    reasons = [(body.numbers[place - 1], reason) for place, reason in found.reasons]
    return Parsed(found.documents, found.bad, reasons)


def _bulk(body: Body, arrival: Arrival) -> Parsed:
    found = bulk.parse(body.data, arrival)
    actions = [at for at, is_action in enumerate(map(_bulk_border(), body.lines)) if is_action]
    reasons: list[tuple[int, str]] = []
    for n, item in enumerate(found.items):
        if item.error is not None and len(reasons) < _REASONS:
            at = actions[n] if n < len(actions) else len(body.lines) - 1
            reasons.append((body.numbers[at], item.error[1]))
    return Parsed(list(found.documents), found.bad, reasons)


def _loki(body: Body, arrival: Arrival) -> Parsed:
    found = Parsed([], 0, [])
    for number, line in zip(body.numbers, body.lines, strict=True):
        try:
            told: Lines = loki.parse_json(line, arrival)
        except Rejected as error:
            found.bad += 1
            found.reasons.append((number, str(error)))
            continue
        found.documents += told.documents
        found.bad += told.bad
        found.reasons += [(number, f"entry {place} {why}") for place, why in told.reasons]
    del found.reasons[_REASONS:]
    return found


def as_bulk(documents: Iterable[Document]) -> bytes:
    """Documents of a protocol that tells nothing of each, in one that does."""
    parts: list[bytes] = []
    for document in documents:
        line = document.line
        fields: dict[str, Any] = dict(_decoder.decode(line.extra)) if line.extra else {}
        fields["@timestamp"] = times.text(line.time_ns)
        fields["message"] = line.message
        fields.update(zip(STREAM_FIELDS, line.stream, strict=True))
        if line.level:
            fields["level"] = levels.NAMES[line.level]
        action = {"create": {"_id": document.source} if document.source else {}}
        parts += (msgspec.json.encode(action), msgspec.json.encode(fields))
    return b"\n".join((*parts, b""))


def _any_border() -> Callable[[bytes], bool]:
    return lambda _line: True


def _time_border() -> Callable[[bytes], bool]:
    """Lines of one time stay together: only so are those that are all alike told apart."""
    last = b""

    def is_border(line: bytes) -> bool:
        nonlocal last
        found = _TIME.search(line)
        before, last = last, found[1] if found else b""
        return before != last

    return is_border


def _bulk_border() -> Callable[[bytes], bool]:
    """An action and its document stay together."""
    follows = False

    def is_border(line: bytes) -> bool:
        nonlocal follows
        if follows:
            follows = False
            return False
        try:
            names = _members_decoder.decode(line).keys()
        except (msgspec.DecodeError, UnicodeDecodeError):
            names = {}.keys()
        follows = len(names) == 1 and names <= _ACTIONS - {"delete"}
        return True

    return is_border


_BORDERS: Final[dict[str, Callable[[], Callable[[bytes], bool]]]] = {
    "exported": _time_border,
    "bulk": _bulk_border,
    "loki": _any_border,
    "jsonline": _any_border,
}
