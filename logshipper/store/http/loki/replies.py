"""What Loki's API answers: lines by stream, numbers by series."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from logshipper.store.query.logql.entries import Entry
from logshipper.store.query.logql.windows import LabelSet, Moments, Vectors


def streams(found: Iterable[Entry], *, categorized: bool) -> list[dict[str, Any]]:
    """Lines by stream, in their order.

    Args:
        found: the lines.
        categorized: whether labels that are not the stream's stand beside each line; else the
            lines with the same labels are a stream of their own.
    """
    held: dict[LabelSet, dict[str, Any]] = {}
    for one in found:
        labels = one.stream if categorized else one.all()
        key = tuple(sorted(labels.items()))
        stream = held.setdefault(key, {"stream": labels, "values": []})
        value: list[Any] = [str(one.time_ns), one.line]
        if categorized:
            beside = {"structuredMetadata": one.metadata, "parsed": one.parsed}
            value.append({name: labels for name, labels in beside.items() if labels})
        stream["values"].append(value)
    return list(held.values())


def lines(found: Sequence[Entry], *, categorized: bool) -> dict[str, Any]:
    """The reply to a query for lines."""
    data: dict[str, Any] = {
        "resultType": "streams",
        "result": streams(found, categorized=categorized),
        "stats": _stats(len(found), sum(len(one.line) for one in found)),
    }
    if categorized:
        data["encodingFlags"] = ["categorize-labels"]
    return {"status": "success", "data": data}


def matrix(found: Vectors, when: Moments) -> dict[str, Any]:
    """The reply to a query for numbers over a time."""
    at = [_seconds(moment) for moment in when.at()]
    result = [
        {
            "metric": dict(labels),
            "values": [
                [second, _number(number)]
                for second, number in zip(at, numbers, strict=True)
                if number is not None
            ],
        }
        for labels, numbers in sorted(found.items())
    ]
    return _numbers("matrix", result)


def vector(found: Mapping[LabelSet, Sequence[float | None]], time_ns: int) -> dict[str, Any]:
    """The reply to a query for numbers at one moment."""
    last = {
        labels: number for labels, numbers in found.items() if (number := numbers[-1]) is not None
    }
    return samples(sorted(last.items()), time_ns)


def samples(found: Iterable[tuple[LabelSet, float]], time_ns: int) -> dict[str, Any]:
    """The same, in this order."""
    at = _seconds(time_ns)
    result = [{"metric": dict(labels), "value": [at, _number(number)]} for labels, number in found]
    return _numbers("vector", result)


def tail(found: Iterable[Entry], dropped: int, time_ns: int) -> dict[str, Any]:
    """A message of a live tail; of what was dropped only the number is known."""
    reply: dict[str, Any] = {"streams": streams(found, categorized=False)}
    if dropped:
        lost = {"timestamp": str(time_ns), "labels": {"dropped_lines": str(dropped)}}
        reply["dropped_entries"] = [lost]
    return reply


def _numbers(kind: str, result: list[dict[str, Any]]) -> dict[str, Any]:
    data = {"resultType": kind, "result": result, "stats": _stats(0, 0)}
    return {"status": "success", "data": data}


def _seconds(time_ns: int) -> float | int:
    # Prometheus' times have milliseconds.
    seconds, rest = divmod(time_ns // 1_000_000, 1000)
    return seconds + rest / 1000 if rest else seconds


def _number(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if float(number).is_integer() else repr(number)


def _stats(lines_: int, bytes_: int) -> dict[str, Any]:
    """Of what Loki says here, Grafana shows the bytes and lines that were processed."""
    summary = {
        "bytesProcessedPerSecond": 0,
        "linesProcessedPerSecond": 0,
        "totalBytesProcessed": bytes_,
        "totalLinesProcessed": lines_,
        "totalEntriesReturned": lines_,
        "execTime": 0,
        "queueTime": 0,
    }
    return {"summary": summary}
