"""Elasticsearch's `_search` and `_field_caps`, by their reference: what it does not know fails.

Documents: Search API, Query DSL, Aggregations, Field capabilities API (8.x); OpenSearch has the
same of these.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final, Self

from aiohttp import web

from tests.stack.listening import listening
from tests.stack.strict_dsl import Clauses, Refused, Source, flat, milliseconds

_WINDOW: Final = 10_000
_WHOLE: Final = frozenset({"keyword"})


class StrictSearch:
    """An index pattern for each name, with a mapping; answers as shards that are all there.

    Attributes:
        mapping: the type of each field, sub-fields under their own name.
        documents: index to id to source.
        moods: answers for the next requests; then it behaves.
        complaints: requests that its reference does not know; the test fails for them.
    """

    def __init__(self, mapping: dict[str, str]) -> None:
        self.mapping = mapping
        self._clauses = Clauses(mapping)
        self.documents: dict[str, dict[str, Source]] = {}
        self.moods: list[Any] = []
        self.complaints: list[str] = []
        self.authorization: str | None = None
        self.bodies: list[Any] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/", self._root)
        application.router.add_get("/{index}/_field_caps", self._answered(self._capabilities))
        application.router.add_post("/{index}/_search", self._answered(self._search))
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        self.port = await listening(self._runner, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        assert self.complaints == []

    def add(self, index: str, body: str) -> None:
        """Takes a `_bulk`; what is added is found at once."""
        rows = [json.loads(row) for row in body.splitlines()]
        for action, source in zip(rows[::2], rows[1::2], strict=True):
            self.documents.setdefault(index, {})[action["create"]["_id"]] = source

    async def _root(self, request: web.Request) -> web.StreamResponse:
        if self.moods:
            answer: web.StreamResponse = await self.moods.pop(0)(request)
            return answer
        return web.json_response(
            {"version": {"number": "8.19.0"}, "tagline": "You Know, for Search"}
        )

    def _answered(self, handler: Any) -> Any:
        async def answered(request: web.Request) -> web.StreamResponse:
            if self.authorization not in {None, request.headers.get("Authorization")}:
                return web.json_response({"error": "who are you?"}, status=401)
            if self.moods:
                answer: web.StreamResponse = await self.moods.pop(0)(request)
                return answer
            try:
                return web.json_response(await handler(request))
            except Refused as refusal:
                cause = {"type": refusal.kind, "reason": refusal.reason}
                error = {"root_cause": [cause], **cause}
                return web.json_response({"error": error, "status": 400}, status=400)
            except (AssertionError, KeyError, ValueError) as error:
                self.complaints.append(f"{request.path_qs}: {error!r}")
                return web.json_response({"error": repr(error)}, status=501)

        return answered

    def _of(self, request: web.Request) -> list[tuple[str, str, Source]]:
        pattern = re.compile(request.match_info["index"].replace("*", ".*"))
        return [
            (index, identity, source)
            for index, held in self.documents.items()
            if pattern.fullmatch(index)
            for identity, source in held.items()
        ]

    async def _capabilities(self, request: web.Request) -> Any:
        assert set(request.query) == {"fields", "ignore_unavailable", "allow_no_indices"}
        fields = {}
        there = {name for _, _, source in self._of(request) for name in flat(source)}
        for name in request.query["fields"].split(","):
            parent = name.removesuffix(".keyword") if name not in there else name
            kind = self.mapping.get(name)
            if kind and parent in there:
                said = {"type": kind, "metadata_field": False, "searchable": True}
                fields[name] = {kind: {**said, "aggregatable": kind != "text"}}
        return {"indices": sorted(self.documents), "fields": fields}

    async def _search(self, request: web.Request) -> Any:
        assert set(request.query) == {
            "allow_partial_search_results",
            "ignore_unavailable",
            "allow_no_indices",
        }
        body = await request.json()
        self.bodies.append(body)
        assert set(body) <= {"query", "size", "sort", "track_total_hits", "aggs", "timeout"}
        assert re.fullmatch(r"\d+ms", body["timeout"])
        size = body["size"]
        if size > _WINDOW:
            raise Refused("illegal_argument_exception", "Result window is too large")
        test = self._clauses.test(body["query"])
        found = [each for each in self._of(request) if test(each[2])]
        answer: dict[str, Any] = {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
            "hits": {"max_score": None, "hits": self._sorted(found, body, size)},
        }
        if body["track_total_hits"]:
            answer["hits"]["total"] = {"value": len(found), "relation": "eq"}
        if "aggs" in body:
            assert size == 0
            sources = [source for _, _, source in found]
            answer["aggregations"] = self._aggregated(body["aggs"], sources)
        return answer

    def _sorted(
        self, found: list[tuple[str, str, Source]], body: Any, size: int
    ) -> list[dict[str, Any]]:
        if not size:
            return []
        [[(field, how)]] = [list(each.items()) for each in body["sort"]]
        assert how == {"order": how["order"], "unmapped_type": "date"}
        assert field == "@timestamp"
        # Among equal times in no order that anybody may count on.
        shuffled = sorted(found, key=lambda each: hash(each[1]))
        ordered = sorted(
            shuffled, key=lambda each: milliseconds(each[2]), reverse=how["order"] == "desc"
        )
        return [
            {
                "_index": index,
                "_id": identity,
                "_score": None,
                "_source": source,
                "sort": [milliseconds(source)],
            }
            for index, identity, source in ordered[:size]
        ]

    def _aggregated(self, asked: Any, sources: list[Source]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for name, aggregation in asked.items():
            inner = aggregation.pop("aggs", {})
            [(kind, said)] = aggregation.items()
            if kind == "terms":
                assert set(said) == {"field", "size"}
                assert self.mapping[said["field"]] in _WHOLE, "Fielddata is disabled"
                groups = self._grouped(
                    sources, lambda s, f=said["field"]: self._clauses.values(s, f)
                )
                order = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
                order = order[: said["size"]]
            else:
                assert kind == "date_histogram"
                assert said["min_doc_count"] == 1
                assert set(said) == {"field", "fixed_interval", "min_doc_count"}
                step = int(said["fixed_interval"].removesuffix("ms"))
                groups = self._grouped(
                    sources, lambda s, step=step: [milliseconds(s) // step * step]
                )
                order = sorted(groups.items())
            answers[name] = {
                "buckets": [
                    {"key": key, "doc_count": len(group), **self._aggregated(inner.copy(), group)}
                    for key, group in order
                ]
            }
        return answers

    def _grouped(self, sources: list[Source], key: Callable[[Source], list[Any]]) -> Any:
        groups: dict[Any, list[Source]] = {}
        for source in sources:
            for value in key(source):
                groups.setdefault(value, []).append(source)
        return groups
