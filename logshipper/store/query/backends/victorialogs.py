"""VictoriaLogs as back end (documents: Querying, HTTP API; LogsQL)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import StreamReader

from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, BadQuery, Found, Unanswered
from logshipper.store.query.backends import logsql, received
from logshipper.store.query.backends.connection import Question, Reply, refused, slow
from logshipper.store.query.backends.place import Entry, Place, digest
from logshipper.store.query.backends.remote import MAX_VALUES, Counts, Remote
from logshipper.store.query.backends.walk import FIRST_NS, MOMENT_LINES, Ask, Keep, Span, strides
from logshipper.store.query.language import Query
from wharfinger import levels
from wharfinger.errors import Finding

_QUERY: Final = "/select/logsql/query"
_TAIL: Final = "/select/logsql/tail"
_HITS: Final = "/select/logsql/hits"
_NEWEST_LINES: Final = 2_000
_LOOKED_AT: Final = 100
_TAIL_OVERLAP_NS: Final = 10 * times.SECOND_NS
# VictoriaLogs itself keeps none that is longer than 2 MiB.
_MAX_LINE_BYTES: Final = 16 * 2**20
_TRACKED_VALUES: Final = 100_000
_FIRST_STRIDE_NS: Final = times.SECOND_NS
_LEAST_STRIDE_NS: Final = 1_000_000
# What VictoriaLogs writes in place of a message that is empty.
_NO_MESSAGE: Final = "missing _msg field; see https://docs.victoriametrics.com/victorialogs/"
_OWN: Final = ("_time", "_msg", "_stream", "_stream_id", "_id")
_RE2: Final = "its expressions are RE2's: no look-around, no back references"

_decoder = msgspec.json.Decoder(dict[str, str])
_any_decoder = msgspec.json.Decoder(dict[str, Any])


class VictoriaLogs(Remote):
    """Asks VictoriaLogs.

    Args:
        connection: to it.
    """

    async def asking(self, tenant: str, query: Query) -> tuple[Ask, Keep | None]:
        """See `Remote`."""
        stride_ns = _FIRST_STRIDE_NS

        async def ask(span: Span, limit: int, *, newest_first: bool) -> Sequence[Entry]:
            nonlocal stride_ns
            first = await self._beginning(tenant, query, span, newest_first=newest_first)
            found: list[Entry] = []
            for part in strides(span, first, stride_ns, newest_first=newest_first):
                where = self._condition(query, part)
                order = "_time desc" if newest_first else "_time"
                pipe = f"{where} | sort by ({order}) limit {limit - len(found)}"
                found += map(_entry, await self._rows(tenant, pipe))
                if len(found) >= limit:
                    # So far the next ones will reach, more or less.
                    taken_ns = abs(found[0].place.time_ns - found[-1].place.time_ns)
                    stride_ns = max(2 * taken_ns, _LEAST_STRIDE_NS)
                    break
            return found

        return ask, None

    async def values(self, tenant: str, query: Query, span: Span) -> Counts[str]:
        """See `Remote`."""
        where = self._condition(query, span)
        names = (*STREAM_FIELDS, "level")
        facets = (
            f"{where} | fields {', '.join(names)} | facets {MAX_VALUES}"
            f" max_values_per_field {_TRACKED_VALUES} keep_const_fields"
        )
        counted, total = await asyncio.gather(
            self._rows(tenant, facets, has="field_name"),
            self._rows(tenant, f"{where} | stats count() as lines", has="lines"),
        )
        values: dict[str, Counter[str]] = {name: Counter() for name in names}
        for row in counted:
            name, value = row["field_name"], row["field_value"]
            if name in values:
                values[name][_level_name(value) if name == "level" else value] += int(row["hits"])
        unknown = sum(int(row["lines"]) for row in total) - values["level"].total()
        if unknown > 0:
            values["level"]["unknown"] += unknown
        return values

    async def levels(self, tenant: str, query: Query, span: Span, bucket_ns: int) -> Counts[int]:
        """See `Remote`."""
        step = f"{bucket_ns // 1_000_000}ms"
        form = {"query": self._condition(query, span), "step": step, "field": "level"}
        reply = await self._ask(tenant, _HITS, form)
        buckets: dict[int, Counter[str]] = {}
        counted = _decoded(reply)
        if "hits" not in counted:
            raise Unanswered(f"the back end's answer holds no counts: {reply.why}")
        for series in counted["hits"]:
            level = _level_name(series["fields"].get("level", ""))
            for at, count in zip(series["timestamps"], series["values"], strict=True):
                start = times.parse(at)
                if start is not None:
                    buckets.setdefault(start, Counter())[level] += count
        return buckets

    @asynccontextmanager
    async def tail(
        self, tenant: str, query: Query, idle_seconds: float
    ) -> AsyncIterator[AsyncIterator[tuple[Sequence[Found], int]]]:
        """See `Backend`."""
        form = {"query": self._condition(query, Span()), "start_offset": "1ms"}
        # Packed, neither its headers nor its lines would come before there are many.
        headers = {**self._headers(tenant), "Accept-Encoding": "identity"}
        question = Question(_TAIL, headers=headers, form=form)
        # Of a stream that it sees for the first time it gives what is some seconds old as well.
        ask, _ = await self.asking(tenant, query)
        before = Span(self.now_ns() - _TAIL_OVERLAP_NS)
        known = {e.place[:2] for e in await ask(before, MOMENT_LINES, newest_first=True)}
        async with self.connection.listen(question, _refused) as content:
            yield _coming(content, known, idle_seconds)

    async def reach(self) -> None:
        """See `Remote`; a question, since `/health` says nothing of rights."""
        await self._rows(self.tenants[0], "_time:1ms", 1)

    async def findings(self) -> list[Finding]:
        """See `Remote`."""
        found: list[Finding] = []
        for tenant in self.tenants:
            rows = await self._rows(tenant, "_time:1d", _LOOKED_AT)
            if rows and all(row.get("_msg", "").startswith(_NO_MESSAGE) for row in rows):
                found.append(_finding("the newest lines have no message", "_msg_field = message"))
            if rows and not any(row.get("app") for row in rows):
                found.append(_finding("the newest lines have no app", "wharfinger's fields"))
        return found

    def _condition(self, query: Query, span: Span) -> str:
        return logsql.condition(query, span, self.connection.config.word_fields)

    async def _beginning(self, tenant: str, query: Query, span: Span, *, newest_first: bool) -> int:
        """Where to begin in a span that is open at that end."""
        if newest_first:
            return min(span.to_ns, self.now_ns())
        if span.from_ns > FIRST_NS:
            return span.from_ns
        oldest = f"{self._condition(query, span)} | stats min(_time) as at"
        rows = await self._rows(tenant, oldest, has="at")
        first = times.parse(rows[0].get("at", "")) if rows else None
        return span.to_ns if first is None else first

    async def _rows(
        self, tenant: str, query: str, limit: int = 0, *, has: str = "_time"
    ) -> list[dict[str, str]]:
        """The rows of an answer, each with such a field."""
        form = {"query": query}
        if limit:
            form["limit"] = str(limit)
        reply = await self._ask(tenant, _QUERY, form)
        try:
            rows = [_decoder.decode(line) for line in reply.body.splitlines() if line]
        except msgspec.DecodeError:
            # An error after its answer has begun stands amid the lines, under a 200.
            raise Unanswered(f"{self.connection.url} broke off: {_last_line(reply)}") from None
        if any(row and has not in row for row in rows):
            # What a proxy says of an error may be an object, too. A row may hold nothing, as
            # fields that are empty are left out.
            raise Unanswered(f"{self.connection.url} gave no answer: {_last_line(reply)}")
        return rows

    async def _ask(self, tenant: str, path: str, form: dict[str, str]) -> Reply:
        seconds = self.connection.seconds
        try:
            timed = {**form, "timeout": f"{seconds:g}s"}
            question = Question(path, headers=self._headers(tenant), form=timed)
            reply = await self.connection.ask(question)
        except Unanswered as error:
            if "couldn't be executed in" in str(error):
                raise slow(seconds) from error
            raise
        if reply.status == HTTPStatus.BAD_REQUEST:
            raise _refused(reply)
        return reply

    def _headers(self, tenant: str) -> dict[str, str]:
        account, _, project = self.place(tenant).partition(":")
        return {"AccountID": account, "ProjectID": project}


async def _coming(
    content: StreamReader, known: AbstractSet[tuple[int, str]], idle_seconds: float
) -> AsyncIterator[tuple[Sequence[Found], int]]:
    """What a tail gives; when it ends, nobody may think that it goes on."""
    rest = b""
    reading: asyncio.Task[bytes] | None = None
    try:
        while True:
            reading = reading or asyncio.ensure_future(content.readany())
            if not (await asyncio.wait({reading}, timeout=idle_seconds))[0]:
                yield [], 0
                continue
            data, reading = reading.result(), None
            if not data:
                raise Unanswered("the back end ended the tail")
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                raise Unanswered("the back end gave a line without an end")
            entries = [_entry(_decoder.decode(line)) for line in lines if line]
            fresh = [entry for entry in entries if entry.place[:2] not in known]
            if fresh:
                left_out = max(0, len(fresh) - _NEWEST_LINES)
                yield [entry.found for entry in fresh[left_out:]], left_out
    except msgspec.DecodeError:
        raise Unanswered("the back end broke off the tail") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Unanswered(f"the back end broke off the tail: {error!r:.200}") from None
    finally:
        if reading is not None:
            reading.cancel()


def _entry(row: dict[str, str]) -> Entry:
    time_ns = times.parse(row.get("_time", ""))
    if time_ns is None:
        raise Unanswered(f"the back end gave what is no line: {msgspec.json.encode(row)!r:.200}")
    place = Place(time_ns, digest(msgspec.json.encode(row, order="sorted")))
    message = row.get("_msg", "")
    if message.startswith(_NO_MESSAGE):
        message = ""
    other: dict[str, Any] = {name: value for name, value in row.items() if name not in _OWN}
    return Entry(place, received.line(other, message, time_ns))


def _refused(reply: Reply) -> BadQuery:
    """Its reason, without the question that stands before and behind it."""
    text = reply.body.decode(errors="replace")
    why = text.rpartition("]: ")[2] if text.startswith("cannot parse query [") else text
    short = Reply(reply.status, why.partition("; context: ")[0].encode())
    return refused(short, _RE2 if "regexp" in text else "ask in another way")


def _finding(problem: str, wanted: str) -> Finding:
    fix = f"let the shipper send {wanted} (logshipper/README.md, Where logs go)"
    return Finding("logstore.backend.url", problem, fix)


def _level_name(value: str) -> str:
    return levels.NAMES[levels.level_of(value)] or "unknown"


def _decoded(reply: Reply) -> dict[str, Any]:
    try:
        return _any_decoder.decode(reply.body)
    except msgspec.DecodeError:
        raise Unanswered(f"the back end's answer cannot be read: {reply.why}") from None


def _last_line(reply: Reply) -> str:
    return reply.body[-300:].decode(errors="replace").strip().rpartition("\n")[2]
