"""Reads what a `_bulk` endpoint answers, trusting nothing that it does not say; pure."""

import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from logshipper.model import Refusal, Verdict
from logshipper.sinks.contract import Indigestible
from wharfinger.text import quantity

REASON_CHARACTERS: Final = 300
LONGEST_WAIT_SECONDS: Final = 600.0
OK: Final = range(200, 300)
CONFLICT: Final = 409
TOO_MANY_REQUESTS: Final = 429
REQUEST_TIMEOUT: Final = 408
CLIENT_ERRORS: Final = range(400, 500)
# What an operator will mend is no document's fault: a right that is missing, an index that is.
MENDED: Final = frozenset({401, 403, 404, REQUEST_TIMEOUT, TOO_MANY_REQUESTS})
# The same where it comes as a 400, as that of a new day's index does for which the cluster has no
# shard left (Elasticsearch, ShardLimitValidator), or that of an index that was closed.
MENDED_TYPES: Final = frozenset(
    {
        "cluster_block_exception",
        "index_closed_exception",
        "index_not_found_exception",
        "security_exception",
        "validation_exception",
    }
)
MENDED_REASONS: Final = re.compile(r"this action would add \[|no write index is defined")


class _Result(msgspec.Struct, gc=False, frozen=True):
    status: int = 0
    error: Any = None


class _Item(msgspec.Struct, gc=False):
    create: _Result = _Result()


class _Reply(msgspec.Struct):
    items: list[_Item]


_DECODER: Final = msgspec.json.Decoder(_Reply)


def judge(documents: Sequence[bytes], body: bytes) -> Verdict:
    """What became of each document (Elasticsearch reference, Bulk API, response body).

    Raises:
        Indigestible: the answer does not account for every document. VictoriaLogs answers 200
            with nothing when it drops lines, and so does a portal that answers for the sink.
    """
    try:
        items = _DECODER.decode(body).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Indigestible(f"200 without a list of results: {error}") from error
    if len(items) != len(documents):
        results, sent = quantity(len(items), "result"), quantity(len(documents), "document")
        raise Indigestible(f"200 with {results} for {sent}")
    # One pass over small integers settles nearly every reply.
    if all(status in OK or status == CONFLICT for status in {i.create.status for i in items}):
        return Verdict(len(documents))
    again: list[bytes] = []
    refused: list[Refusal] = []
    why = ""
    for document, item in zip(documents, items, strict=True):
        status = item.create.status
        if status in OK or status == CONFLICT:
            continue  # 409: it has this id already, from before an answer was lost
        if status in CLIENT_ERRORS and not _mendable(item.create):
            refused.append(Refusal(document, status, _reason(item.create.error)))
        else:
            again.append(document)
            why = why or f"{status} {_reason(item.create.error)}".rstrip()
    accepted = len(documents) - len(again) - len(refused)
    return Verdict(accepted, tuple(again), tuple(refused), why)


class _Plain(msgspec.Struct):
    errors: bool
    items: list[Any] | None = None


_PLAIN: Final = msgspec.json.Decoder(_Plain)


def judge_quickwit(documents: Sequence[bytes], body: bytes) -> Verdict:
    """The same for Quickwit, which "will not report errors" for documents (its API reference).

    Some of its versions list results all the same: then they count.

    Raises:
        Indigestible: it is no answer of Quickwit's, or tells of errors without saying where.
    """
    try:
        reply = _PLAIN.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Indigestible(f"200 that is no answer to a bulk request: {error}") from error
    if reply.items:
        return judge(documents, body)
    if reply.errors:
        raise Indigestible("200 that tells of errors without saying where")
    return Verdict(len(documents))


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """How long a Retry-After asks to wait (RFC 9110, 10.2.3); 0 for none or nonsense.

    Args:
        header: seconds or an HTTP date.
        now: with a time zone.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit() and len(text) < len("1000000"):
        return min(float(text), LONGEST_WAIT_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _mendable(result: _Result) -> bool:
    if result.status in MENDED:
        return True
    kind = result.error.get("type") if isinstance(result.error, dict) else None
    return kind in MENDED_TYPES or MENDED_REASONS.search(_reason(result.error)) is not None


def _reason(error: object) -> str:
    if isinstance(error, dict):
        text = ": ".join(str(error[key]) for key in ("type", "reason") if key in error)
    else:
        text = str(error or "")
    return text[:REASON_CHARACTERS]
