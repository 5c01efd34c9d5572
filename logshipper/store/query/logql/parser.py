"""From a query's text to what it is made of; what is not understood is refused by its name."""

from dataclasses import replace
from typing import Final

from logshipper.store.model import BadQuery
from logshipper.store.query.logql import lexer
from logshipper.store.query.logql.logparser import LogParser
from logshipper.store.query.logql.nodes import (
    Aggregate,
    Binary,
    Constant,
    Expression,
    Log,
    Metric,
    Range,
    Unwrap,
)

_COUNTS: Final = ("count_over_time", "rate", "bytes_over_time", "bytes_rate")
VALUES: Final = (
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "quantile_over_time",
)
_AGGREGATES: Final = ("sum", "min", "max", "avg", "count", "topk", "bottomk")
_COUNTED: Final = ("topk", "bottomk")
_COMPARISONS: Final = ("==", "!=", ">", ">=", "<", "<=")
# From what binds least to what binds most; all from the left (Prometheus' rules).
_LEVELS: Final = (_COMPARISONS, ("+", "-"), ("*", "/", "%"))
_MAX_COUNTED: Final = 10_000
# Each makes the query deeper by one, and each range of it is a question of its own.
_MAX_OPERATORS: Final = 64
_MAX_RANGE_NS: Final = 10 * 365 * 86_400 * 10**9


def parse(text: str) -> Expression:
    """Understands a query.

    Raises:
        BadQuery: it is wrong, or asks for what is not supported, which it names.
    """
    parser = _Parser(list(lexer.tokens(text)))
    found: Expression = parser.log() if parser.asks_for_lines() else parser.metric()
    if parser.now.kind != "end":
        raise parser.unexpected("the end")
    if isinstance(found, Log) and _unwraps(found):
        raise BadQuery("unwrap makes numbers, not lines", "write sum_over_time(... [5m])")
    return found


def parse_log(text: str) -> Log:
    """Understands a query for lines.

    Raises:
        BadQuery: the same; or it asks for numbers.
    """
    found = parse(text)
    if not isinstance(found, Log):
        raise BadQuery("this asks for numbers, not for lines", 'ask for lines: {app="..."}')
    return found


class _Parser(LogParser):
    """Reads the whole of a query."""

    _operators = 0

    def asks_for_lines(self) -> bool:
        """Whether a selector comes first, parentheses aside."""
        first = next((token for token in self.tokens if token.text != "("), self.now)
        return first.kind == "sign" and first.text == "{"

    def metric(self, level: int = 0) -> Metric:
        """Numbers, and what is computed from them."""
        if level == len(_LEVELS):
            return self._operand()
        left = self.metric(level + 1)
        while self.comes(*_LEVELS[level]):
            op = self.next().text
            self._operators += 1
            if self._operators > _MAX_OPERATORS:
                raise BadQuery(f"the query has more than {_MAX_OPERATORS} operators", "shorten it")
            as_bool = op in _COMPARISONS and self.take("bool")
            if self.comes("on", "ignoring", "group_left", "group_right"):
                raise self.unsupported(self.now.text)
            left = Binary(op, left, self.metric(level + 1), as_bool)
        return left

    def _operand(self) -> Metric:
        token = self.now
        if self.comes("("):
            return self.enclosed(self.metric)
        if self.take("-"):
            return Constant(-self._number())
        if token.kind == "number":
            return Constant(self._number())
        if token.kind != "word":
            raise self.unexpected("a query, or a number")
        if token.text in _COUNTS or token.text in VALUES:
            self.at += 1
            found = self.enclosed(lambda: self._range(token.text))
            grouping = self._grouping() if token.text in VALUES else None
            if grouping and grouping[1]:
                raise self.unsupported("without after a range, before what stands")
            return replace(found, labels=grouping[0]) if grouping else found
        if token.text in _AGGREGATES:
            self.at += 1
            return self._aggregate(token.text)
        if token.text == "vector":
            self.at += 1
            return Constant(self.enclosed(self._number), vector=True)
        raise self.unsupported(f"{token.text[:32]}")

    def _number(self) -> float:
        return float(self.kind("number", "a number").text)

    def _range(self, function: str) -> Range:
        parameter = 0.0
        if function == "quantile_over_time":
            parameter = self._number()
            self.need(",")
        log = self.log()
        if self.comes("["):
            range_ns = self._length()
            # The length may stand before what is done to the lines, too.
            log = Log(log.matchers, (*log.stages, *self.stages()))
        else:
            raise self.unexpected("a length of time such as [5m]")
        offset_ns = 0
        if self.take("offset"):
            offset_ns = self._nanoseconds("a duration such as 1h")
        if _unwraps(log) != (function in VALUES):
            problem = "needs" if function in VALUES else "has no use for"
            raise BadQuery(
                f"{function} {problem} an unwrap", "write avg_over_time(... | unwrap x [5m])"
            )
        return Range(function, log, range_ns, offset_ns, parameter=parameter)

    def _length(self) -> int:
        self.need("[")
        length = self._nanoseconds("a duration such as 5m")
        self.need("]")
        if not length:
            raise BadQuery("[0s] is no length of time", "write [5m]")
        return length

    def _nanoseconds(self, what: str) -> int:
        text = self.kind("duration", what).text
        try:
            found = lexer.nanoseconds(text)
        except ValueError:
            found = _MAX_RANGE_NS + 1
        if found > _MAX_RANGE_NS:
            raise BadQuery(f"{text[:32]} is too long a time", "write [5m]")
        return found

    def _aggregate(self, function: str) -> Aggregate:
        grouping = self._grouping()
        parameter = 0

        def inside() -> Metric:
            nonlocal parameter
            if function in _COUNTED:
                parameter = self._how_many(function)
                self.need(",")
            return self.metric()

        of = self.enclosed(inside)
        labels, without = grouping or self._grouping() or ((), False)
        return Aggregate(function, of, labels, without, parameter)

    def _how_many(self, function: str) -> int:
        number = self._number()
        if not 1 <= number <= _MAX_COUNTED:
            raise BadQuery(
                f"{function}({number:g}, ...) is not possible", f"write {function}(5, ...)"
            )
        return int(number)

    def _grouping(self) -> tuple[tuple[str, ...], bool] | None:
        if not self.comes("by", "without"):
            return None
        without = self.next().text == "without"
        self.need("(")
        labels = () if self.comes(")") else self.listed(self.name)
        self.need(")")
        return labels, without


def _unwraps(log: Log) -> bool:
    return any(isinstance(stage, Unwrap) for stage in log.stages)
