"""Elasticsearch and OpenSearch as back end (documents: Search API, Field capabilities API)."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import msgspec

from logshipper.store.lines import times
from logshipper.store.model import STREAM_FIELDS, BadQuery, Found, Unanswered
from logshipper.store.query import fitting
from logshipper.store.query.backends import dsl, mapping, received
from logshipper.store.query.backends.connection import Connection, Question, Reply, refused
from logshipper.store.query.backends.mapping import Fields
from logshipper.store.query.backends.place import Entry, Place, digest
from logshipper.store.query.backends.remote import Counts, Remote
from logshipper.store.query.backends.walk import Ask, Keep, Span
from logshipper.store.query.language import Query, Regex
from logshipper.store.query.plan import regex_text
from logshipper.store.query.search import Effort
from wharfinger import levels
from wharfinger.errors import Finding

# Indices that are gone or empty are no error, but half an answer may not pass for a whole one.
_LENIENT: Final = {"ignore_unavailable": "true", "allow_no_indices": "true"}
_WHOLE: Final = {**_LENIENT, "allow_partial_search_results": "false"}
_MAPPING_SECONDS: Final = 30.0
_MAPPINGS: Final = 256
_POLL_SECONDS: Final = 1.0
# A line is found a refresh after it was taken, and is older than that by its way there.
_OVERLAP_NS: Final = 15 * times.SECOND_NS
_NEWEST_LINES: Final = 2_000

_decoder = msgspec.json.Decoder(dict[str, Any])


class Elastic(Remote):
    """Asks Elasticsearch or OpenSearch.

    Args:
        connection: to it.
        executor: where regular expressions are waited for: it has none for texts.
        now_ns: the clock.
    """

    resolution_ns = dsl.MILLISECOND_NS

    def __init__(
        self,
        connection: Connection,
        executor: Executor,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(connection, now_ns)
        self._executor = executor
        self._words = connection.config.word_fields
        self._mappings: dict[tuple[str, tuple[str, ...]], tuple[float, Fields]] = {}

    async def asking(self, tenant: str, query: Query) -> tuple[Ask, Keep | None]:
        """See `Remote`."""
        fields = await self._mapping(tenant, query)

        async def ask(span: Span, limit: int, *, newest_first: bool) -> Sequence[Entry]:
            clause = dsl.query(query, span, fields, self._words)
            body = dsl.search(clause, limit, newest_first=newest_first)
            answer = await self._search(tenant, body)
            return [_entry(hit) for hit in answer["hits"]["hits"]]

        regexes = tuple(term for term in query.terms if isinstance(term, Regex))
        if not regexes:
            return ask, None

        async def keep(entries: Sequence[Entry]) -> Sequence[Entry]:
            return await self._matching(regexes, entries)

        return ask, keep

    async def values(self, tenant: str, query: Query, span: Span) -> Counts[str]:
        """See `Remote`."""
        clause, fields = await self._countable(tenant, query, span)
        answer = await self._search(tenant, dsl.values(clause, fields))
        counted = answer.get("aggregations", {})
        values = {
            name: {
                str(bucket["key"]): bucket["doc_count"]
                for bucket in counted.get(name, {}).get("buckets", ())
                if bucket["key"] != ""
            }
            for name in STREAM_FIELDS
        }
        total = answer["hits"]["total"]["value"]
        return {**values, "level": _by_level(counted.get("level", {}), total)}

    async def levels(self, tenant: str, query: Query, span: Span, bucket_ns: int) -> Counts[int]:
        """See `Remote`."""
        clause, fields = await self._countable(tenant, query, span)
        answer = await self._search(tenant, dsl.histogram(clause, bucket_ns, fields))
        buckets = answer.get("aggregations", {}).get("time", {}).get("buckets", ())
        return {
            bucket["key"] * dsl.MILLISECOND_NS: _by_level(
                bucket.get("level", {}), bucket["doc_count"]
            )
            for bucket in buckets
        }

    @asynccontextmanager
    async def tail(
        self, tenant: str, query: Query, idle_seconds: float
    ) -> AsyncIterator[AsyncIterator[tuple[Sequence[Found], int]]]:
        """See `Backend`; asked again each second, as nothing tells of new lines."""
        since = self.now_ns()
        ask, keep = await self.asking(tenant, query)
        # What is there already was asked for by a search; a question that is wrong fails here.
        seen = dict.fromkeys(e.found.id for e in await self._newest(ask, since - _OVERLAP_NS))
        yield self._coming(ask, keep, seen, idle_seconds)

    async def reach(self) -> None:
        """See `Remote`; a question that needs no rights but those of searches."""
        index = self.place(self.tenants[0])
        parameters = {"fields": mapping.TIME, **_LENIENT}
        await self._told(Question(f"/{index}/_field_caps", "GET", parameters=parameters))

    async def findings(self) -> list[Finding]:
        """See `Remote`."""
        found: list[Finding] = []
        for tenant in self.tenants:
            fields = await self._mapping(tenant, Query())
            found += mapping.findings(fields, self.place(tenant))
        return found

    async def _coming(
        self, ask: Ask, keep: Keep | None, seen: dict[str, None], idle_seconds: float
    ) -> AsyncIterator[tuple[Sequence[Found], int]]:
        told_at = time.monotonic()
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            given = await self._newest(ask, self.now_ns() - _OVERLAP_NS)
            # Those that fell out of the window are never met again.
            within = {entry.found.id for entry in given}
            fresh = [entry for entry in given if entry.found.id not in seen]
            # With a full window nobody can tell how many lie beyond it: at least one.
            dropped = int(len(given) >= _NEWEST_LINES and len(fresh) == len(given))
            seen.update(dict.fromkeys(within))
            while len(seen) > 10 * _NEWEST_LINES:
                del seen[next(iter(seen))]
            kept = list(fresh if keep is None else await keep(fresh))
            if kept or dropped or time.monotonic() - told_at >= idle_seconds:
                told_at = time.monotonic()
                yield [entry.found for entry in kept], dropped

    async def _newest(self, ask: Ask, from_ns: int) -> list[Entry]:
        """The newest lines since then, oldest first."""
        given = await ask(Span(from_ns), _NEWEST_LINES, newest_first=True)
        return sorted(given, key=lambda entry: entry.place)

    async def _matching(
        self, regexes: Sequence[Regex], entries: Sequence[Entry]
    ) -> Sequence[Entry]:
        """Those in which the expressions are found as they must, told by ourselves."""

        def work() -> list[Entry]:
            with Effort(self.connection.seconds) as effort:
                return fitting.expressed(
                    regexes,
                    list(entries),
                    lambda entry: regex_text(entry.line.message, entry.line.extra),
                    effort.matching,
                )

        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _countable(self, tenant: str, query: Query, span: Span) -> tuple[dsl.Clause, Fields]:
        if any(isinstance(term, Regex) for term in query.terms):
            raise BadQuery(
                "the back end cannot count what a regular expression finds",
                "leave /.../ out, or use words",
            )
        fields = await self._mapping(tenant, query)
        return dsl.query(query, span, fields, self._words), fields

    async def _mapping(self, tenant: str, query: Query) -> Fields:
        """How the fields of a query are mapped; asked anew after half a minute."""
        names = dsl.needed(query, self._words)
        key = (self.place(tenant), names)
        asked_at, fields = self._mappings.get(key, (-_MAPPING_SECONDS, Fields()))
        if time.monotonic() - asked_at < _MAPPING_SECONDS:
            return fields
        parameters = {"fields": mapping.wanted(names), **_LENIENT}
        question = Question(f"/{key[0]}/_field_caps", "GET", parameters=parameters)
        fields = mapping.read(await self._told(question))
        if len(self._mappings) >= _MAPPINGS:
            self._mappings.clear()
        self._mappings[key] = (time.monotonic(), fields)
        return fields

    async def _search(self, tenant: str, body: dict[str, Any]) -> dict[str, Any]:
        path = f"/{self.place(tenant)}/_search"
        body = {**body, "timeout": f"{self.connection.seconds * 1000:.0f}ms"}
        answer = await self._told(Question(path, json=body, parameters=_WHOLE))
        if "hits" not in answer:
            raise Unanswered(f"{self.connection.url} gave no answer: {_reason(answer)}")
        # A remote cluster that is skipped fails no shard.
        clusters = answer.get("_clusters", {})
        left_out = any(clusters.get(name) for name in ("skipped", "partial", "failed"))
        if left_out or answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
            raise Unanswered(f"{self.connection.url} answered from a part of its shards only")
        return answer

    async def _told(self, question: Question) -> dict[str, Any]:
        reply = await self.connection.ask(question)
        try:
            answer = _decoder.decode(reply.body)
        except msgspec.DecodeError:
            raise Unanswered(f"{self.connection.url} gave no JSON: {reply.why}") from None
        if reply.status == HTTPStatus.BAD_REQUEST:
            raise refused(Reply(reply.status, _reason(answer).encode()))
        return answer


def _entry(hit: dict[str, Any]) -> Entry:
    """A hit as a line; its time from what was sent, which has more digits than a `date` keeps."""
    source: dict[str, Any] = hit.get("_source") or {}
    # Milliseconds of a `date`, nanoseconds of a `date_nanos`.
    sorted_ns = times.parse(hit["sort"][0]) or 0
    time_ns = times.parse(source.pop("@timestamp", None))
    if time_ns is None or time_ns // dsl.MILLISECOND_NS != sorted_ns // dsl.MILLISECOND_NS:
        time_ns = sorted_ns
    message = source.pop("message", "")
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    place = Place(time_ns, digest(f"{hit.get('_index')}\n{hit.get('_id')}"))
    return Entry(place, received.line(source, message, time_ns))


def _by_level(counted: dict[str, Any], total: int) -> Counter[str]:
    by_level: Counter[str] = Counter()
    for bucket in counted.get("buckets", ()):
        by_level[levels.NAMES[levels.level_of(str(bucket["key"]))] or "unknown"] += bucket[
            "doc_count"
        ]
    if rest := total - by_level.total():
        by_level["unknown"] += rest
    return by_level


def _reason(answer: dict[str, Any]) -> str:
    """Why it refuses, of an error as Elasticsearch writes it."""
    error = answer.get("error", "")
    if not isinstance(error, dict):
        return str(error)
    causes = error.get("root_cause") or [error]
    return f"{causes[0].get('type', '')}: {causes[0].get('reason', '')}"
