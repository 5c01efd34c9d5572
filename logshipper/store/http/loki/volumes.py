"""How much there is of what a selector takes: lines counted, bytes by the mean of some lines."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from aiohttp import web

from logshipper.store.http.loki import replies
from logshipper.store.http.loki.asking import Asking
from logshipper.store.model import BadQuery
from logshipper.store.query.logql import parser
from logshipper.store.query.logql.answers import Answers
from logshipper.store.query.logql.nodes import Aggregate, Log, Metric, Range
from logshipper.store.query.logql.translate import translate
from logshipper.store.query.logql.windows import LabelSet, Moments

_SAMPLED: Final = 100


class Volumes:
    """Routes that estimate; Loki's own answers here are estimates, too.

    Args:
        answers: what counts.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def stats(self, asking: Asking, tenant: str, _request: web.Request) -> Any:
        """Streams, lines and bytes of a selector; what Loki calls chunks is none of ours."""
        log = parser.parse_log(asking.query())
        start_ns, end_ns = asking.span()
        streams = await self._answers.streams(tenant, log, start_ns, end_ns)
        lines = sum((await self._lines(asking, tenant, log, ())).values())
        mean = await self._mean_bytes(asking, tenant, log)
        return {
            "streams": len(streams),
            "chunks": 0,
            "entries": int(lines),
            "bytes": round(lines * mean),
        }

    async def volume(self, asking: Asking, tenant: str, _request: web.Request) -> Any:
        """Bytes by label set, the most first."""
        log = parser.parse_log(asking.query())
        labels = _targets(asking, log)
        mean = await self._mean_bytes(asking, tenant, log)
        counted = await self._lines(asking, tenant, log, labels)
        if asking.text("aggregateBy") == "labels":
            counted = _by_name(counted)
        _, end_ns = asking.span()
        most = sorted(counted.items(), key=itemgetter(1), reverse=True)[: asking.limit()]
        return replies.samples([(kind, round(lines * mean)) for kind, lines in most], end_ns)

    async def volume_range(self, asking: Asking, tenant: str, _request: web.Request) -> Any:
        """The same over a time, for each step that which lies before it."""
        log = parser.parse_log(asking.query())
        labels = _targets(asking, log)
        mean = await self._mean_bytes(asking, tenant, log)
        when = asking.moments()
        numbers = await self._answers.numbers(tenant, _count(log, labels, when.step_ns), when)
        return replies.matrix(
            {
                kind: [None if lines is None else round(lines * mean) for lines in counted]
                for kind, counted in numbers.items()
            },
            when,
        )

    async def _lines(
        self, asking: Asking, tenant: str, log: Log, labels: tuple[str, ...]
    ) -> dict[LabelSet, float]:
        """Lines by label set in all of the time."""
        start_ns, end_ns = asking.span()
        if end_ns <= start_ns:
            raise BadQuery("the end is not after the start", "mend start and end")
        when = Moments(end_ns, 1, 1)
        metric = _count(log, labels, end_ns - start_ns)
        found = await self._answers.numbers(tenant, metric, when)
        return {kind: numbers[0] or 0.0 for kind, numbers in found.items()}

    async def _mean_bytes(self, asking: Asking, tenant: str, log: Log) -> float:
        asked = translate(Log(log.matchers), *asking.span())
        some = await self._answers.lines(tenant, asked, _SAMPLED, newest_first=True)
        return sum(len(one.line.encode(errors="replace")) for one in some) / (len(some) or 1)


def _count(log: Log, labels: tuple[str, ...], range_ns: int) -> Metric:
    return Aggregate("sum", Range("count_over_time", Log(log.matchers), range_ns), labels)


def _targets(asking: Asking, log: Log) -> tuple[str, ...]:
    """By which labels: those named, or those of the selector."""
    named = [name.strip() for name in asking.text("targetLabels").split(",")]
    return tuple(dict.fromkeys(name for name in named if name)) or tuple(
        dict.fromkeys(matcher.name for matcher in log.matchers)
    )


def _by_name(counted: Mapping[LabelSet, float]) -> dict[LabelSet, float]:
    names: dict[LabelSet, float] = {}
    for kind, lines in counted.items():
        for name, _ in kind:
            label: LabelSet = ((name, ""),)
            names[label] = names.get(label, 0) + lines
    return names
