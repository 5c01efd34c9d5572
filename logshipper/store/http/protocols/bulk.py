"""Elasticsearch's `_bulk`: a body to documents, the outcome of each to the answer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import msgspec

from logshipper.store.http.protocols.understood import is_too_long
from logshipper.store.lines import usual
from logshipper.store.lines.times import Arrival
from logshipper.store.model import MAX_ID_BYTES, Document
from wharfinger.errors import Rejected

DEFAULT_INDEX: Final = "logs"
_WITHOUT_DOCUMENT: Final = "delete"
_ACTIONS: Final = ("create", "index", "update", _WITHOUT_DOCUMENT)
_STORED: Final = ("create", "index")
# Characters of an id that stand for themselves in JSON.
_SIMPLE: Final = re.compile(r"[\w.:+/=-]*", re.ASCII)


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


class _Action(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    create: _Meta | None = None
    index: _Meta | None = None


_actions_decoder = msgspec.json.Decoder(list[_Action])
_meta_decoder = msgspec.json.Decoder(dict[str, _Meta])


def parse(body: bytes, arrival: Arrival, index: str = DEFAULT_INDEX) -> Body:
    """Understands a body; a bad line costs only itself.

    After an action that cannot be read it is not known whether a document follows: the next
    line is taken as one unless it is an action itself.

    Args:
        body: lines of JSON, an action and (except for `delete`) a document each.
        arrival: when they came.
        index: the index that the path names.
    """
    return _regular(body, arrival, index) or _irregular(body, arrival, index)


def _regular(body: bytes, arrival: Arrival, index: str) -> Body | None:
    """A body of nothing but `create`, or nothing but `index`, each with its document."""
    lines = body.split(b"\n")
    if not lines[-1]:
        lines.pop()
    actions, raws = lines[0::2], lines[1::2]
    named = _named(actions) if len(actions) == len(raws) else None
    if named is None:
        return None
    action, metas = named
    ids = [meta.id for meta in metas if not isinstance(meta.id, int)]
    identities = [identity or "" for identity in ids]
    if len(ids) != len(metas) or max(map(len, identities)) * 4 > MAX_ID_BYTES:
        return None
    found = usual.read(raws, identities, arrival)
    items = list(map(Item, repeat(action), [meta.index or index for meta in metas], ids))
    kept = [document for document in found if isinstance(document, Document)]
    if len(kept) != len(found):
        for at, document in enumerate(found):
            if not isinstance(document, Document):
                error = _bad_document(raws[at], document)
                items[at] = Item(action, items[at].index, items[at].id, error)
    return Body(tuple(items), tuple(kept))


def _named(actions: Sequence[bytes]) -> tuple[str, list[_Meta]] | None:
    """What lines name, if it is the same action in all: they are read as one list."""
    joined = b",\n".join(actions)
    # Where each line begins with a brace, none is the middle of a value.
    if joined[:1] != b"{" or joined.count(b"\n{") != len(actions) - 1:
        return None
    try:
        named = _actions_decoder.decode(b"[%b]" % joined)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for action, metas in (
        ("create", [each.create for each in named if each.create and not each.index]),
        ("index", [each.index for each in named if each.index and not each.create]),
    ):
        if len(metas) == len(named) == len(actions):
            return action, metas
    return None


def _irregular(body: bytes, arrival: Arrival, index: str) -> Body:
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
        found = _document(following, item, arrival)
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
    if (named := _alike(body.items)) is not None and all(stored):
        return _all_created(*named, [item.id or "" for item in body.items], took_ms)
    outcomes = iter(stored)
    items = [{item.action: _outcome(item, outcomes)} for item in body.items]
    return msgspec.json.encode({"took": took_ms, "errors": body.bad > 0, "items": items})


def _alike(items: Sequence[Item]) -> tuple[str, str] | None:
    """Action and index, if they are the same in all, all are good, and no id needs quoting."""
    named = {(item.action, item.index, item.id is None, item.error) for item in items}
    ids = "".join([item.id or "" for item in items])
    if len(named) != 1 or not _SIMPLE.fullmatch(ids):
        return None
    action, index, has_none, error = next(iter(named))
    return None if has_none or error is not None else (action, index)


def _all_created(action: str, index: str, ids: Sequence[str], took_ms: int) -> bytes:
    """The usual answer, put together from the one entry that all share."""
    entry = msgspec.json.encode({action: _Outcome(index, "@", "created", 201)})
    before, at, after = entry.partition(b'"_id":"@')
    between = (after + b"," + before + at[:-1]).decode()
    text = between.join(ids).encode()
    return b'{"took":%d,"errors":false,"items":[%b%b%b%b]}' % (
        took_ms,
        before,
        at[:-1],
        text,
        after,
    )


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


def _document(raw: bytes | None, item: Item, arrival: Arrival) -> Document | tuple[str, str]:
    if item.action not in _STORED:
        return _unsupported(item.action)
    if raw is None:
        return _bad_document(b"", Rejected("is missing"))
    identity = item.id or ""
    if is_too_long(identity):
        return "illegal_argument_exception", f"_id is longer than {MAX_ID_BYTES} bytes"
    found = usual.read([raw], [identity], arrival)[0]
    return found if isinstance(found, Document) else _bad_document(raw, found)


def _bad_document(raw: bytes, why: Rejected) -> tuple[str, str]:
    if not raw.strip():
        return "illegal_argument_exception", "the document is missing"
    return "document_parsing_exception", f"the line {why}"


def _unsupported(action: str) -> tuple[str, str]:
    return "illegal_argument_exception", f"{action} is not supported: lines are only added"


def _bad_action(index: str, why: str) -> Item:
    reason = f"malformed action line: {why}"
    return Item("index", index, None, ("illegal_argument_exception", reason))
