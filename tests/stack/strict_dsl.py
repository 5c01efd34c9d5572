"""Elasticsearch's query DSL, by its reference: a clause becomes a test of one document.

What the reference does not know fails. Words are cut roughly as the standard analyzer does.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

_WORD: Final = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W_](?:\w|[.'](?=\w))*|_\w+")
_FORMAT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
Source = dict[str, Any]
Test = Callable[[Source], bool]


class Refused(Exception):
    """A 400, as it is written there."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind, self.reason = kind, reason
        super().__init__(f"{kind}: {reason}")


class Clauses:
    """The clauses that a mapping allows.

    Attributes:
        mapping: the type of each field, sub-fields under their own name.
    """

    def __init__(self, mapping: dict[str, str]) -> None:
        self.mapping = mapping

    def values(self, source: Source, field: str) -> list[Any]:
        base = field.removesuffix(".keyword") if field not in flat(source) else field
        value = flat(source).get(base)
        return value if isinstance(value, list) else [] if value is None else [value]

    def test(self, clause: Any) -> Test:
        [(kind, said)] = clause.items()
        made: Test = getattr(self, f"_{kind}")(said)
        return made

    def _bool(self, said: Any) -> Test:
        assert set(said) <= {"filter", "must_not", "should", "minimum_should_match"}
        must = [self.test(each) for each in said.get("filter", [])]
        must_not = [self.test(each) for each in said.get("must_not", [])]
        should = [self.test(each) for each in said.get("should", [])]
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
        return lambda source: bool(self.values(source, said["field"]))

    def _range(self, said: Any) -> Test:
        [(field, bounds)] = said.items()
        assert field == "@timestamp"
        assert bounds.pop("format") == "strict_date_time"
        assert set(bounds) <= {"gte", "lt"}
        for bound in bounds.values():
            assert _FORMAT.fullmatch(bound), bound
        first, last = (
            milliseconds({"@timestamp": bounds[name]}) if name in bounds else default
            for name, default in (("gte", -(2**62)), ("lt", 2**62))
        )
        return lambda source: first <= milliseconds(source) < last

    def _term(self, said: Any) -> Test:
        [(field, value)] = said.items()
        self._whole(field)
        if not isinstance(value, dict):
            return lambda source: value in self.values(source, field)
        assert value["case_insensitive"] is True
        wanted = value["value"].lower()
        return lambda source: any(v.lower() == wanted for v in self.values(source, field))

    def _terms(self, said: Any) -> Test:
        [(field, values)] = said.items()
        self._whole(field)
        return lambda source: any(v in values for v in self.values(source, field))

    def _prefix(self, said: Any) -> Test:
        [(field, value)] = said.items()
        wanted, folds = value["value"], value.get("case_insensitive", False)
        assert set(value) <= {"value", "case_insensitive"}
        if self.mapping.get(field) == "text":
            # Terms of the index are in small letters, and this one is not analysed.
            return lambda source: any(
                word.startswith(wanted) for word in _words(self.values(source, field))
            )
        self._whole(field)
        if folds:
            return lambda source: any(
                v.lower().startswith(wanted.lower()) for v in self.values(source, field)
            )
        return lambda source: any(v.startswith(wanted) for v in self.values(source, field))

    def _wildcard(self, said: Any) -> Test:
        [(field, value)] = said.items()
        self._whole(field)
        parts = re.split(r"(\\.|[*?])", value["value"])
        pattern = "".join(
            {"*": ".*", "?": "."}.get(p, re.escape(p.removeprefix("\\"))) for p in parts
        )
        expression = re.compile(pattern, re.IGNORECASE | re.DOTALL)
        return lambda source: any(expression.fullmatch(v) for v in self.values(source, field))

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
            held = _words(self.values(source, field))
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
            json.dumps(v) == value["query"] for v in self.values(source, field)
        )

    def _whole(self, field: str) -> None:
        kind = self.mapping.get(field, "keyword")
        if kind != "keyword":
            why = f"[{field}] field which is of type [{kind}], does not support that query"
            raise Refused("query_shard_exception", why)


def milliseconds(source: Source) -> int:
    whole, _, fraction = source["@timestamp"].removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000 + int(fraction.ljust(3, "0")[:3])


def flat(source: Source, prefix: str = "") -> Source:
    found: Source = {}
    for name, value in source.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _words(texts: list[Any]) -> list[str]:
    return [word.lower() for text in texts for word in _WORD.findall(str(text))]
