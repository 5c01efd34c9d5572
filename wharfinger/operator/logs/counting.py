"""Counts in place of lines: by time and level, and of the values of fields."""

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Final

from wharfinger.errors import Rejected
from wharfinger.jsontext import encode_line
from wharfinger.operator import terminal
from wharfinger.operator.logs import chart, screen
from wharfinger.operator.logs.chart import Screen
from wharfinger.operator.logs.client import Histogram, Store
from wharfinger.operator.logs.pages import PATIENCE_SECONDS, lines, pages, persistent
from wharfinger.operator.logs.question import FIELDS, Parameters, having
from wharfinger.operator.logs.saving import Progress
from wharfinger.operator.logs.seen import time_of
from wharfinger.operator.logs.shown import moment
from wharfinger.operator.logs.wish import Wish

COUNTED: Final = (*FIELDS, "level")
_DAY_SECONDS: Final = 86_400
_HOUR_SECONDS: Final = 3_600
_MINUTE_SECONDS: Final = 60
# Below the bars stand a title, a legend and the prompt.
_OTHER_ROWS: Final = 4
# What a terminal holds of a field without a name of its own.
_MAX_VALUES: Final = 100_000


async def show_histogram(store: Store, parameters: Parameters, wish: Wish, now: datetime) -> int:
    """Shows how many lines there are over time; gives their number."""
    drawn = _screen(wish)
    found, step = await _fitting(store, parameters, drawn.rows, now)
    if wish.form == "json":
        terminal.show_line(found)
    else:
        told = found.bucket_seconds or found.bucket_minutes * _MINUTE_SECONDS
        terminal.write(chart.histogram(chart.joined(_buckets(found), max(step, int(told))), drawn))
    if not found.exact:
        since = moment(found.counted_from, wish.zone)
        terminal.complain(f"the store counted from {since} on, then its time was over")
    return sum(sum(bucket.levels.values()) for bucket in found.buckets)


async def show_values(store: Store, parameters: Parameters, wish: Wish) -> int:
    """Shows the values of the fields that were asked for; gives the number of lines."""
    names = wish.top or COUNTED
    counts: dict[str, Mapping[str, int | None]] = {}
    if set(names) & set(COUNTED):
        found = await persistent(lambda: store.fields(parameters))
        counts = {name: found.get(name, {}) for name in names if name in COUNTED}
    others = tuple(name for name in names if name not in COUNTED)
    if others:
        counts |= await _read(store, parameters, others)
    if wish.form == "json":
        terminal.show_line({name: counts[name] for name in names})
    else:
        shown = [name for name in names if counts[name] or wish.top]
        drawn = _screen(wish)
        texts = (chart.values(name, counts[name], drawn, wish.values) for name in shown)
        terminal.write("\n".join(texts))
    # What was not counted is there all the same.
    numbers = [[1 if each is None else each for each in held.values()] for held in counts.values()]
    return max(map(sum, numbers), default=0)


async def _fitting(
    store: Store, parameters: Parameters, rows: int, now: datetime
) -> tuple[Histogram, int]:
    """Counts in no more buckets than there are rows, once joined; and the seconds of each."""
    began = time_of(dict(parameters).get("from"))
    end = time_of(dict(parameters).get("to")) or now
    coarse: Histogram | None = None
    if began is None:
        # All that is kept: first see how far back that is.
        try:
            coarse = await _counted(store, parameters, _HOUR_SECONDS)
        except Rejected:
            # Of years there are too many hours; what else is wrong is said once more.
            coarse = await _counted(store, parameters, _DAY_SECONDS)
        began = min(_buckets(coarse), default=end)
    step = chart.step_seconds(max(end - began, timedelta(seconds=1)), rows)
    if coarse is not None and (step % _HOUR_SECONDS == 0 or not coarse.buckets):
        return coarse, step
    return await _counted(store, parameters, step), step


async def _counted(store: Store, parameters: Parameters, step: int) -> Histogram:
    asked = having(parameters, bucket_seconds=str(step))
    if step % _MINUTE_SECONDS == 0:
        asked = having(asked, bucket_minutes=str(step // _MINUTE_SECONDS))
    return await persistent(lambda: store.histogram(asked))


def _buckets(found: Histogram) -> dict[datetime, dict[str, int]]:
    return {at: each.levels for each in found.buckets if (at := time_of(each.time)) is not None}


async def _read(
    store: Store, parameters: Parameters, names: tuple[str, ...]
) -> dict[str, Mapping[str, int | None]]:
    """Counts fields that the store does not: reads every line that matches."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    progress = Progress(shown=sys.stderr.isatty())
    found = pages(store, parameters, patience_seconds=PATIENCE_SECONDS, complain=progress.complain)
    async with aclosing(found):
        async for page in found:
            progress.add(len(page))
            for hit in lines(page):
                for name in names:
                    if (value := _value(hit, name)) is not None:
                        counts[name][value] += 1
            if max(map(len, counts.values())) > _MAX_VALUES:
                raise Rejected(f"there are more than {_MAX_VALUES:,} values; narrow the question")
    progress.clear()
    return {name: dict(counted) for name, counted in counts.items()}


def _value(hit: Mapping[str, Any], name: str) -> str | None:
    """A field's value as text; a dot steps into an object unless the name itself holds it."""
    found: Any = hit.get(name)
    if found is None and "." in name:
        first, _, rest = name.partition(".")
        inner = hit.get(first)
        return _value(inner, rest) if isinstance(inner, dict) else None
    if found is None:
        return None
    return found if isinstance(found, str) else encode_line(found).decode()


def _screen(wish: Wish) -> Screen:
    columns, rows = screen.size(people=wish.people)
    return Screen(
        columns=columns,
        rows=max(rows - _OTHER_ROWS, 4) if wish.people else rows,
        colours=wish.colours,
        blocks=screen.has_blocks(),
        zone=wish.zone,
    )
