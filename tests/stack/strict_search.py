"""Elasticsearch's `_search` and `_field_caps`, by their reference: what it does not know fails.

Documents: Search API, Query DSL, Aggregations, Field capabilities API (8.x); OpenSearch has the
same of these. Words are cut roughly as the standard analyzer does.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Self

from aiohttp import web

_WINDOW: Final = 10_000
_WORD: Final = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W_](?:\w|[.'](?=\w))*|_\w+")
_FORMAT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_WHOLE: Final = frozenset({"keyword"})
Source = dict[str, Any]
Test = Callable[[Source], bool]


class Refused(Exception):
    """A 400, as it is written there."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind, self.reason = kind, reason
        super().__init__(f"{kind}: {reason}")


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
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
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
        there = {name for _, _, source in self._of(request) for name in _flat(source)}
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
        test = self._clause(body["query"])
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
            shuffled, key=lambda each: self._milliseconds(each[2]), reverse=how["order"] == "desc"
        )
        return [
            {
                "_index": index,
                "_id": identity,
                "_score": None,
                "_source": source,
                "sort": [self._milliseconds(source)],
            }
            for index, identity, source in ordered[:size]
        ]

    def _milliseconds(self, source: Source) -> int:
        whole, _, fraction = source["@timestamp"].removesuffix("Z").partition(".")
        moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1000 + int(fraction.ljust(3, "0")[:3])

    def _aggregated(self, asked: Any, sources: list[Source]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for name, aggregation in asked.items():
            inner = aggregation.pop("aggs", {})
            [(kind, said)] = aggregation.items()
            if kind == "terms":
                assert set(said) == {"field", "size"}
                assert self.mapping[said["field"]] in _WHOLE, "Fielddata is disabled"
                groups = self._grouped(sources, lambda s, f=said["field"]: self._values(s, f))
                order = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
                order = order[: said["size"]]
            else:
                assert kind == "date_histogram"
                assert said["min_doc_count"] == 1
                assert set(said) == {"field", "fixed_interval", "min_doc_count"}
                step = int(said["fixed_interval"].removesuffix("ms"))
                groups = self._grouped(
                    sources, lambda s, step=step: [self._milliseconds(s) // step * step]
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

    def _values(self, source: Source, field: str) -> list[Any]:
        base = field.removesuffix(".keyword") if field not in _flat(source) else field
        value = _flat(source).get(base)
        return value if isinstance(value, list) else [] if value is None else [value]

    def _clause(self, clause: Any) -> Test:
        [(kind, said)] = clause.items()
        made: Test = getattr(self, f"_{kind}")(said)
        return made

    def _bool(self, said: Any) -> Test:
        assert set(said) <= {"filter", "must_not", "should", "minimum_should_match"}
        must = [self._clause(each) for each in said.get("filter", [])]
        must_not = [self._clause(each) for each in said.get("must_not", [])]
        should = [self._clause(each) for each in said.get("should", [])]
        assert said.get("minimum_should_match", 1) == 1
        return lambda source: (
            all(test(source) for test in must)
            and not any(test(source) for test in must_not)
            and (not should or any(test(source) for test in should))
        )

    def _match_all(self, said: Any) -> Test:
        assert said == {}
        return lambda _: True

    def _match_none(self, said: Any) -> Test:
        assert said == {}
        return lambda _: False

    def _exists(self, said: Any) -> Test:
        return lambda source: bool(self._values(source, said["field"]))

    def _range(self, said: Any) -> Test:
        [(field, bounds)] = said.items()
        assert field == "@timestamp"
        assert bounds.pop("format") == "strict_date_time"
        assert set(bounds) <= {"gte", "lt"}
        for bound in bounds.values():
            assert _FORMAT.fullmatch(bound), bound
        first, last = (
            self._milliseconds({"@timestamp": bounds[name]}) if name in bounds else default
            for name, default in (("gte", -(2**62)), ("lt", 2**62))
        )
        return lambda source: first <= self._milliseconds(source) < last

    def _term(self, said: Any) -> Test:
        [(field, value)] = said.items()
        self._whole(field)
        if not isinstance(value, dict):
            return lambda source: value in self._values(source, field)
        assert value["case_insensitive"] is True
        wanted = value["value"].lower()
        return lambda source: any(v.lower() == wanted for v in self._values(source, field))

    def _terms(self, said: Any) -> Test:
        [(field, values)] = said.items()
        self._whole(field)
        return lambda source: any(v in values for v in self._values(source, field))

    def _prefix(self, said: Any) -> Test:
        [(field, value)] = said.items()
        wanted, folds = value["value"], value.get("case_insensitive", False)
        assert set(value) <= {"value", "case_insensitive"}
        if self.mapping.get(field) == "text":
            # Terms of the index are in small letters, and this one is not analysed.
            return lambda source: any(
                word.startswith(wanted) for word in _words(self._values(source, field))
            )
        self._whole(field)
        if folds:
            return lambda source: any(
                v.lower().startswith(wanted.lower()) for v in self._values(source, field)
            )
        return lambda source: any(v.startswith(wanted) for v in self._values(source, field))

    def _wildcard(self, said: Any) -> Test:
        [(field, value)] = said.items()
        self._whole(field)
        parts = re.split(r"(\\.|[*?])", value["value"])
        pattern = "".join(
            {"*": ".*", "?": "."}.get(p, re.escape(p.removeprefix("\\"))) for p in parts
        )
        expression = re.compile(pattern, re.IGNORECASE | re.DOTALL)
        return lambda source: any(expression.fullmatch(v) for v in self._values(source, field))

    def _match_phrase(self, said: Any) -> Test:
        return self._phrase(said, {"query"}, prefix=False)

    def _match_phrase_prefix(self, said: Any) -> Test:
        return self._phrase(said, {"query", "max_expansions"}, prefix=True)

    def _phrase(self, said: Any, known: set[str], *, prefix: bool) -> Test:
        [(field, value)] = said.items()
        assert set(value) <= known
        assert self.mapping[field] == "text"
        wanted = _words([value["query"]])

        def test(source: Source) -> bool:
            held = _words(self._values(source, field))
            for start in range(len(held) - len(wanted) + 1):
                part = held[start : start + len(wanted)]
                if part[:-1] == wanted[:-1] and (
                    part[-1] == wanted[-1] or (prefix and part[-1].startswith(wanted[-1]))
                ):
                    return True
            return False

        return test

    def _match(self, said: Any) -> Test:
        [(field, value)] = said.items()
        assert value["lenient"] is True
        assert self.mapping[field] in {"long", "boolean", "float"}
        return lambda source: any(
            json.dumps(v) == value["query"] for v in self._values(source, field)
        )

    def _whole(self, field: str) -> None:
        kind = self.mapping.get(field, "keyword")
        if kind != "keyword":
            why = f"[{field}] field which is of type [{kind}], does not support that query"
            raise Refused("query_shard_exception", why)


def _flat(source: Source, prefix: str = "") -> Source:
    flat: Source = {}
    for name, value in source.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _words(texts: list[Any]) -> list[str]:
    return [word.lower() for text in texts for word in _WORD.findall(str(text))]
