"""What a value may look like, for keys that an engine's schema names."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from deploy.release.yamllines import Reading, Value

# What is wrong with a value; empty when nothing is.
Shape = Callable[[Value], str]


def text(value: Value) -> str:
    """A string."""
    return "" if isinstance(value.scalar, str) else f"is {value.kind}, not text"


def whole(value: Value) -> str:
    """A number without a fraction; a boolean is none, though Python thinks so."""
    good = isinstance(value.scalar, int) and not isinstance(value.scalar, bool)
    return "" if good else f"is {value.kind}, not a whole number"


def number_or_text(value: Value) -> str:
    """As sizes are: 512 or 512m."""
    good = isinstance(value.scalar, int | float | str) and not isinstance(value.scalar, bool)
    return "" if good else f"is {value.kind}, not a number or text"


def flag(value: Value) -> str:
    """True or false."""
    return "" if isinstance(value.scalar, bool) else f"is {value.kind}, not true or false"


def mapping(value: Value) -> str:
    """Anything below keys."""
    return "" if value.entries is not None else f"is {value.kind}, not a mapping"


def sequence(value: Value) -> str:
    """A list of anything."""
    return "" if value.items is not None else f"is {value.kind}, not a list"


def texts(value: Value) -> str:
    """A list of strings, none twice."""
    if value.items is None:
        return f"is {value.kind}, not a list"
    for each in value.items:
        if problem := text(each):
            return f"line {each.line} {problem}"
    seen = [each.scalar for each in value.items]
    return "names something twice" if len(set(seen)) < len(seen) else ""


def text_or_texts(value: Value) -> str:
    """A string, or a list of them."""
    return texts(value) if value.items is not None else text(value)


def ports(value: Value) -> str:
    """A list of numbers or text, none twice."""
    if problem := sequence(value):
        return problem
    for each in value.items or ():
        if problem := number_or_text(each):
            return f"line {each.line} {problem}"
    return ""


def pairs(value: Value) -> str:
    """KEY=VALUE texts, or a mapping of texts.

    Numbers and booleans would pass, written anew: 0755 as 493, yes as true.
    """
    if value.items is not None:
        return texts(value)
    if value.entries is None:
        return f"is {value.kind}, not a mapping or a list"
    for key, each in value.entries.items():
        if problem := text(each):
            return f"{key} in line {each.line} {problem}: put it in quotes"
    return ""


def anything(_value: Value) -> str:
    """Taken as it is: nothing here uses it."""
    return ""


def hold(
    reading: Reading, entries: Mapping[str, Value], shapes: Mapping[str, Shape], fate: str
) -> None:
    """Notes every key that is not among the shapes, and every value that has another shape.

    Args:
        reading: takes the faults.
        entries: what is there.
        shapes: what may be.
        fate: what the engine does with a key that it does not know.
    """
    for key, value in entries.items():
        if shape := shapes.get(key):
            if problem := shape(value):
                reading.fault(value, problem, "write it as the engine's reference does")
        else:
            reading.fault(value, fate, nearest(key, shapes))


def nearest(word: str, words: Iterable[str]) -> str:
    """What to do about a word that is not known."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"write {close[0]}" if close else "take it out"


# rancher-compose takes more, but its server makes a name of DNS of it (rancher#9601, rancher#680).
NAME_CHARACTERS: Final = r"(?=.{1,63}$)[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*"
