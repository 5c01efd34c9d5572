"""Understands what of a query asks for lines: streams, and what is done to their lines."""

from typing import Final, Literal, cast

from logshipper.store.query.logql import lexer
from logshipper.store.query.logql.cursor import Cursor
from logshipper.store.query.logql.lexer import Token
from logshipper.store.query.logql.nodes import (
    All,
    Any,
    CompareOp,
    Comparison,
    Condition,
    Decolorize,
    Labels,
    LineFilter,
    LineOp,
    Log,
    Matcher,
    MatchOp,
    Parse,
    Stage,
    Unwrap,
)

_MATCH_OPS: Final = ("=", "!=", "=~", "!~")
_LINE_OPS: Final = ("|=", "!=", "|~", "!~")
_UNITS: Final[dict[str, Literal["duration", "bytes"]]] = {
    "duration": "duration",
    "duration_seconds": "duration",
    "bytes": "bytes",
}
_NUMBER_OPS: Final = ("==", "=", "!=", ">", ">=", "<", "<=")


class LogParser(Cursor):
    """Reads lines' part of a query."""

    def name(self) -> str:
        """The name of a label."""
        return self.kind("word", "the name of a label").text

    def log(self) -> Log:
        """Streams, and what is done to their lines."""
        if self.comes("("):
            return self.enclosed(self.log)
        self.need("{")
        matchers: list[Matcher] = []
        while not self.take("}"):
            if matchers:
                self.need(",")
                if self.take("}"):
                    break
            matchers.append(self._matcher())
        return Log(tuple(matchers), tuple(self.stages()))

    def _matcher(self) -> Matcher:
        name = self.name()
        if not self.comes(*_MATCH_OPS):
            raise self.unexpected("one of = != =~ !~")
        op = cast("MatchOp", self.next().text)
        return Matcher(name, op, self.kind("text", "a text in quotes").text)

    def stages(self) -> list[Stage]:
        """What is done to each line."""
        stages: list[Stage] = []
        while True:
            if self.comes(*_LINE_OPS):
                stages.append(self._line_filter())
            elif self.comes("|>", "!>"):
                raise self.unsupported("a pattern filter")
            elif self.take("|"):
                stages.append(self._stage())
            else:
                return stages

    def _line_filter(self) -> LineFilter:
        op = cast("LineOp", self.next().text)
        values = [self._line_text()]
        while self.take("or"):
            values.append(self._line_text())
        return LineFilter(op, tuple(values))

    def _line_text(self) -> str:
        if self.comes("ip"):
            raise self.unsupported("ip()")
        return self.kind("text", "a text in quotes").text

    def _stage(self) -> Stage:
        token = self.now
        if token.kind == "word" and not self._compares():
            self.at += 1
            match token.text:
                case "json" | "logfmt":
                    return self._parse_stage(token.text)
                case "drop" | "keep":
                    return Labels(self.listed(self._plain_label), token.text == "keep")
                case "decolorize":
                    return Decolorize()
                case "unwrap":
                    return self._unwrap()
            self.at -= 1
            raise self.unsupported(f"| {token.text}")
        return self._any()

    def _compares(self) -> bool:
        after = self.peek(1)
        return after.kind == "sign" and after.text in {*_MATCH_OPS, *_NUMBER_OPS}

    def _plain_label(self) -> str:
        name = self.name()
        if self.comes(*_MATCH_OPS):
            raise self.unsupported("a condition in drop or keep")
        return name

    def _parse_stage(self, form: str) -> Parse:
        while self.take("--"):
            self.at += 1  # --strict, --keep-empty: of which lines without an error know nothing
        if self.now.kind == "word":
            raise self.unsupported(f"{form} with the names of fields")
        return Parse("json" if form == "json" else "logfmt")

    def _unwrap(self) -> Unwrap:
        name = self.name()
        if not self.comes("("):
            return Unwrap(name)
        if name not in _UNITS:
            self.at -= 1
            raise self.unsupported(f"unwrap {name[:32]}()")
        return Unwrap(self.enclosed(self.name), _UNITS[name])

    def _any(self) -> Condition:
        found = [self._all()]
        while self.take("or"):
            found.append(self._all())
        return found[0] if len(found) == 1 else Any(tuple(found))

    def _all(self) -> Condition:
        found = [self._condition()]
        while self.take("and", ",") or (self.now.kind == "word" and self._compares()):
            found.append(self._condition())
        return found[0] if len(found) == 1 else All(tuple(found))

    def _condition(self) -> Condition:
        if self.comes("("):
            return self.enclosed(self._any)
        name = self.name()
        op = self.kind("sign", "a comparison").text
        if self.comes("ip"):
            raise self.unsupported("ip()")
        value = self.next()
        match value.kind:
            case "text" if op in _MATCH_OPS:
                return Matcher(name, cast("MatchOp", op), value.text)
            case "number" | "duration" | "bytes" if op in _NUMBER_OPS:
                compare = cast("CompareOp", "==" if op == "=" else op)
                return Comparison(name, compare, _amount(value), value.kind)
        self.at -= 1
        raise self.unexpected("a text in quotes, or a number")


def _amount(token: Token) -> float:
    match token.kind:
        case "duration":
            return lexer.seconds(token.text)
        case "bytes":
            return lexer.size(token.text)
        case _:
            return float(token.text)
