"""Elasticsearch's `_bulk`: a body to documents, the outcome of each to the answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from logshipper.store.http.protocols.understood import is_too_long
from logshipper.store.lines import documents
from logshipper.store.model import MAX_ID_BYTES, Document
from wharfinger.errors import Rejected

DEFAULT_INDEX: Final = "logs"
_WITHOUT_DOCUMENT: Final = "delete"
_ACTIONS: Final = ("create", "index", "update", _WITHOUT_DOCUMENT)
_STORED: Final = ("create", "index")


class _Meta(msgspec.Struct, gc=False):
    id: str | int | None = msgspec.field(name="_id", default=None)
    index: str | None = msgspec.field(name="_index", default=None)


class _Error(msgspec.Struct, gc=False):
    type: str
    reason: str


class _Outcome(msgspec.Struct, omit_defaults=True, gc=False):
    index: str = msgspec.field(name="_index")
    id: str | None = msgspec.field(name="_id", default=None)
    result: str | None = None
    status: int = 0
    error: _Error | None = None


class Item(msgspec.Struct, frozen=True, gc=False):
    """One action of a body.

    Attributes:
        action: `create`, `index`, or what was asked for in vain.
        index: the index it names; kept in no other way.
        id: its id, if it has one.
        error: type and reason, if the line is bad.
    """

    action: str
    index: str
    id: str | None
    error: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A body, understood.

    Attributes:
        items: one for each action, in order.
        documents: one for each item without an error, in order.
    """

    items: tuple[Item, ...]
    documents: tuple[Document, ...]

    @property
    def bad(self) -> int:
        """How many lines are of no use."""
        return len(self.items) - len(self.documents)


_meta_decoder = msgspec.json.Decoder(dict[str, _Meta])


def parse(body: bytes, arrival_ns: int, index: str = DEFAULT_INDEX) -> Body:
    """Understands a body; a bad line costs only itself.

    After an action that cannot be read it is not known whether a document follows: the next
    line is taken as one unless it is an action itself.

    Args:
        body: lines of JSON, an action and (except for `delete`) a document each.
        arrival_ns: the time now.
        index: the index that the path names.
    """
    items: list[Item] = []
    kept: list[Document] = []
    lines = iter(body.split(b"\n"))
    pushed: bytes | None = None
    while (raw := pushed or next(lines, None)) is not None:
        pushed = None
        if not raw or raw.isspace():
            continue
        item = _action(raw, index)
        if item.action == _WITHOUT_DOCUMENT:
            items.append(item)
            continue
        # A blank line where a document belongs is a missing one, never skipped: the next action
        # would be stored as if it were a line.
        following = next(lines, None)
        if item.error is not None:
            if following and _action(following, index).error is None:
                pushed = following
            items.append(item)
            continue
        found = _document(following, item, arrival_ns)
        if isinstance(found, Document):
            kept.append(found)
            items.append(item)
        else:
            items.append(Item(item.action, item.index, item.id, found))
    return Body(tuple(items), tuple(kept))


def answer(body: Body, stored: Sequence[bool], took_ms: int) -> bytes:
    """The reply to a body: one entry for each action, in order.

    A duplicate is a success, `noop` with status 200: Fluent Bit sends a chunk again for ever
    that is answered with 409 throughout (fluent-bit#5305).

    Args:
        body: as understood.
        stored: for each document, whether it was new.
        took_ms: milliseconds from the first byte to the commit.
    """
    outcomes = iter(stored)
    items = [{item.action: _outcome(item, outcomes)} for item in body.items]
    return msgspec.json.encode({"took": took_ms, "errors": body.bad > 0, "items": items})


def _outcome(item: Item, outcomes: Iterator[bool]) -> _Outcome:
    if item.error is not None:
        return _Outcome(item.index, item.id, status=400, error=_Error(*item.error))
    if next(outcomes):
        return _Outcome(item.index, item.id, "created", 201)
    return _Outcome(item.index, item.id, "noop", 200)


def _action(raw: bytes, index: str) -> Item:
    try:
        metas = _meta_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        metas = {}
    if len(metas) != 1:
        return _bad_action(index, "expected one of create, index, delete, update")
    name, meta = next(iter(metas.items()))
    if name not in _ACTIONS:
        return _bad_action(index, f"unknown action [{name[:32]}]")
    identity = None if meta.id is None else str(meta.id)
    item = Item(name, meta.index or index, identity)
    if name == _WITHOUT_DOCUMENT:
        return Item(name, item.index, identity, _unsupported(name))
    return item


def _document(raw: bytes | None, item: Item, arrival_ns: int) -> Document | tuple[str, str]:
    if item.action not in _STORED:
        return _unsupported(item.action)
    if raw is None or not raw.strip():
        return "illegal_argument_exception", "the document is missing"
    identity = item.id or ""
    if is_too_long(identity):
        return "illegal_argument_exception", f"_id is longer than {MAX_ID_BYTES} bytes"
    try:
        return documents.read(raw, identity, arrival_ns)
    except Rejected as error:
        return "document_parsing_exception", f"the line {error}"


def _unsupported(action: str) -> tuple[str, str]:
    return "illegal_argument_exception", f"{action} is not supported: lines are only added"


def _bad_action(index: str, why: str) -> Item:
    reason = f"malformed action line: {why}"
    return Item("index", index, None, ("illegal_argument_exception", reason))
