"""Takes secrets out of texts: fixed rules and the user's own; pure.

Every rule costs time that grows with the text only, whatever stands in it: the fixed rules are
RE2's or of bounded length, and after 256 matches in one text the rest of it is one more.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from logshipper.lines.pattern import Pattern, compile_replacing
from wharfinger.errors import Rejected

OWN: Final = "own"
# The text without secrets, and how many there were.
Redact = Callable[[str], tuple[str, int]]


class Rule(NamedTuple):
    """What finds one kind of secret.

    Attributes:
        hints: without any of them in the text, in small letters, nothing is found; `""` is in all.
        redact: replaces what it finds.
    """

    hints: tuple[str, ...]
    redact: Redact


class Redaction:
    """Replaces what any of its rules finds.

    Args:
        rules: names of fixed rules.
        patterns: the user's own; what they match is replaced.

    Raises:
        Rejected: there is no such rule.
    """

    def __init__(self, rules: Iterable[str], patterns: Sequence[Pattern] = ()) -> None:
        chosen = fixed_rules(rules)
        self._rules = [(name, RULES[name]) for name in RULES if name in chosen]
        self._rules += [(OWN, _own(pattern)) for pattern in patterns]
        self._numbers = "card" in chosen

    def text(self, text: str, found: Counter[str]) -> str:
        """The text without secrets; `found` counts them by rule."""
        lowered = text.lower()
        for name, (hints, redact) in self._rules:
            for hint in hints:  # a generator would be most of what a line without secrets costs
                if hint in lowered:
                    text, count = redact(text)
                    if count:
                        found[name] += count
                    break
        return text

    def fields(
        self, fields: Mapping[str, Any], found: Counter[str], *, named: bool = False
    ) -> dict[str, Any]:
        """The same of every text in parsed fields, however deep; their names stay.

        Args:
            fields: parsed out of a text.
            found: counts what was found.
            named: search each also together with its name: what a rule finds in
                `password=secret` is not in `secret`.
        """
        return {name: self.value(name, each, found, named=named) for name, each in fields.items()}

    def value(self, name: str, value: Any, found: Counter[str], *, named: bool = False) -> Any:
        """The same of one parsed field."""
        if isinstance(value, dict):
            return self.fields(value, found, named=named)
        if isinstance(value, list):
            return [self.value(name, each, found, named=named) for each in value]
        if isinstance(value, str):
            return self._named(name, value, found) if named else self.text(value, found)
        if isinstance(value, bool | None) or not (named or self._numbers):
            return value
        written = str(value)
        if not named and len(written) < MIN_CARD_DIGITS:
            return value
        count = found.total()
        text = self._named(name, written, found) if named else self.text(written, found)
        return value if found.total() == count else text

    def _named(self, name: str, text: str, found: Counter[str]) -> str:
        for rule, (_, redact) in self._rules:
            # What a rule finds in the name itself is not taken out by changing the value.
            around = () if redact(name)[1] else _around(name)
            for before, behind in (("", ""), *around):
                clean, count = redact(f"{before}{text}{behind}")
                if count:
                    found[rule] += count
                    kept = clean.startswith(before) and clean.endswith(behind)
                    text = clean[len(before) : len(clean) - len(behind)] if kept else clean
                    break
        return text


def _around(name: str) -> Iterator[tuple[str, str]]:
    """What stands around a value where it is written: logfmt, JSON, a header."""
    yield f"{name}=", ""
    yield f'{name}="', '"'
    yield f'"{name}":"', '"'
    yield f'"{name}": "', '"'
    yield f'"{name}":', ""
    yield f'"{name}": ', ""
    yield f"{name}: ", ""


def fixed_rules(names: Iterable[str]) -> tuple[str, ...]:
    """The same names, if each is a rule.

    Raises:
        Rejected: one is none.
    """
    chosen = tuple(names)
    if unknown := [name for name in chosen if name not in RULES]:
        raise Rejected(f"there is no rule {unknown[0]!r:.80}: take of {', '.join(RULES)}")
    return chosen


# A key of 16,384 bits has some 200 lines; who prints none of its end has these lines searched.
KEY_LINES: Final = 250
_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE: Final = re.compile(r"[A-Za-z0-9+/=]+|(?:Proc-Type|DEK-Info|Version|Comment): .*")
_KEY_MARK: Final = "[redacted:private-key]"


class PrivateKeys:
    """Private keys that are printed line by line: what follows the first one, for each stream."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def text(self, stream: str, text: str) -> str:
        """The line, or what may leave of it; to be asked of every line, before the rules."""
        left = self._left.pop(stream, 0)
        if "-----BEGIN " in text and (begins := [*_KEY_BEGINS.finditer(text)]):
            if _KEY_ENDS.search(text, begins[-1].end()) is None:
                self._left[stream] = KEY_LINES
            return text
        if not left:
            return text
        if ends := _KEY_ENDS.search(text):
            return f"{_KEY_MARK}{text[ends.end() :]}"
        if left > 1:
            self._left[stream] = left - 1
        # Another thread's lines may stand between.
        return _KEY_MARK if _KEY_LINE.fullmatch(text.strip()) else text


MIN_CARD_DIGITS: Final = 13
_CARD_MARK: Final = "[redacted:card]"
# ISO/IEC 7812: 13 to 19 digits, together or in groups as they are printed. Looked for at each
# place where digits begin (a date may stand right before them); no more than 23 characters far.
_CARD: Final = re.compile(
    r"(?<![0-9])(?=(?P<card>"
    r"[2-6][0-9]{12,18}(?![0-9])"
    r"|[2-6][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}(?:[ -][0-9]{1,3})?(?![0-9])"
    r"|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}(?![0-9])))"
)
_MANY_DIGITS: Final = re.compile(r"[0-9]{4}(?:[ -]?[0-9]){9}")
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    data = digits.encode("ascii")
    total = sum(data[-1::-2].translate(_PLAIN)) + sum(data[-2::-2].translate(_DOUBLED))
    return total % 10 == 0


def _cards(text: str) -> tuple[str, int]:
    if _MANY_DIGITS.search(text) is None:
        return text, 0
    pieces, done, count = [], 0, 0
    for match in _CARD.finditer(text):
        begin, end = match.span("card")
        if begin < done or not luhn(match["card"].replace(" ", "").replace("-", "")):
            continue
        pieces += [text[done:begin], _CARD_MARK]
        done = end
        count += 1
    return ("".join([*pieces, text[done:]]), count) if count else (text, 0)


def _fixed(name: str, hints: Sequence[str], *expressions: str) -> Rule:
    """A rule of one expression, or more.

    Args:
        name: of the rule.
        hints: see `Rule`.
        expressions: what a group `secret` holds is replaced; without one, all of the match.
    """
    patterns = [compile_replacing(expression) for expression in expressions]
    mark = f"[redacted:{name}]"

    def redact(text: str) -> tuple[str, int]:
        total = 0
        for pattern in patterns:
            text, count = pattern.replaced(text, mark)
            total += count
        return text, total

    return Rule(tuple(hints), redact)


def _own(pattern: Pattern) -> Rule:
    return Rule(("",), lambda text: pattern.replaced(text, "[redacted]"))


# In the order they are applied: a token in an Authorization header is one of the header.
RULES: Final[dict[str, Rule]] = {
    "private-key": _fixed(
        "private-key",
        ["private key"],
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?s:.)*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|(?s:.)*)",
    ),
    "auth": _fixed(
        "auth",
        ["bearer ", "basic ", "authorization"],
        r"(?i)\bauthorization[\"']? {0,3}[:=] {0,3}[\"']?"
        r"(?:bearer|basic|digest|negotiate|token|apikey) +(?P<secret>[^\s\"',;\[]{4,})",
        # Without the header's name it may be prose: `bearer certificates`.
        r"(?i)\bbearer +(?P<secret>[a-z0-9._~+/=-]{20,})",
        r"\b[Bb]asic +(?P<secret>[A-Za-z0-9+/]{16,}={0,2})",
    ),
    "jwt": _fixed("jwt", ["eyj"], r"\beyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
    "aws": _fixed(
        "aws",
        ["akia", "asia", "abia", "acca", "aws"],
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
        r"(?i:aws.{0,3}secret.{0,3}(?:access.{0,3})?key)[\"']? {0,3}[=:] {0,3}[\"']?"
        r"(?P<secret>[A-Za-z0-9/+=]{40})",
    ),
    "url": _fixed("url", ["://"], r"://[^\s/?#@:\"'<>]*:(?P<secret>[^\s/?#\"'<>]*)@"),
    "card": Rule(("",), _cards),
    "email": _fixed(
        "email",
        ["@"],
        r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}"
        r"\.[A-Za-z]{2,24}",
    ),
}
