"""base, dir, split, join, replace, contains, trimSuffix, toUpper and toLower."""

from typing import Final

from discovery.confd import paths
from discovery.gotemplate.functions import INT, STRING, STRING_LIST, Function, FunctionMap
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.text import (
    REPLACEMENT,
    canonical,
    decoded,
    encoded,
    is_stray_byte,
)
from discovery.gotemplate.values import STRINGS as STRING_LISTS
from discovery.gotemplate.values import List

_ELEMENT_SIZE: Final = 64


def _base(budget: Budget, path: str) -> str:
    budget.hold(len(path))
    return paths.base(path)


def _dir(budget: Budget, path: str) -> str:
    budget.hold(len(path))
    return paths.parent(path)


def _split(budget: Budget, text: str, separator: str) -> List:
    budget.hold(len(text))
    if not separator:
        budget.hold(_ELEMENT_SIZE * len(text))
        return List(STRING_LISTS, list(text))
    budget.hold(_ELEMENT_SIZE * (text.count(separator) + 1))
    if text.isascii() and separator.isascii():
        return List(STRING_LISTS, list(text.split(separator)))
    # A separator may be a piece of a character: Go compares bytes.
    pieces = encoded(text).split(encoded(separator))
    budget.hold(_ELEMENT_SIZE * len(pieces))
    return List(STRING_LISTS, [decoded(piece) for piece in pieces])


def _join(budget: Budget, items: List, separator: str) -> str:
    strings: list[str] = items.items
    budget.spend(len(strings))
    budget.hold(sum(map(len, strings)) + len(separator) * len(strings))
    return canonical(separator.join(strings))


def _replace(budget: Budget, text: str, old: str, new: str, count: int) -> str:
    most = len(text) + 1 if not old else len(encoded(text)) // len(encoded(old))
    if old and text.isascii() and old.isascii():
        most = text.count(old)
    if count >= 0:
        most = min(most, count)
    budget.hold(len(text) + most * len(new))
    if not old:
        return canonical(text.replace("", new, count))
    return decoded(encoded(text).replace(encoded(old), encoded(new), count))


def _contains(budget: Budget, text: str, part: str) -> bool:
    budget.hold(len(text))
    return encoded(part) in encoded(text)


def _trim_suffix(budget: Budget, text: str, suffix: str) -> str:
    budget.hold(len(text))
    return decoded(encoded(text).removesuffix(encoded(suffix)))


def _upper(budget: Budget, text: str) -> str:
    budget.hold(len(text))
    return text.upper() if text.isascii() else "".join(map(_upper_character, text))


def _lower(budget: Budget, text: str) -> str:
    budget.hold(len(text))
    return text.lower() if text.isascii() else "".join(map(_lower_character, text))


def _upper_character(character: str) -> str:
    """unicode.ToUpper: one character for one; Python's upper may give several."""
    if is_stray_byte(character):
        return REPLACEMENT
    for mapped in (character.upper(), character.title()):
        if len(mapped) == 1:
            return mapped
    return character


def _lower_character(character: str) -> str:
    if is_stray_byte(character):
        return REPLACEMENT
    mapped = character.lower()
    return mapped if len(mapped) == 1 else mapped[0]


STRINGS: Final[FunctionMap] = {
    "base": Function(_base, (STRING,)),
    "dir": Function(_dir, (STRING,)),
    "split": Function(_split, (STRING, STRING)),
    "join": Function(_join, (STRING_LIST, STRING)),
    "replace": Function(_replace, (STRING, STRING, STRING, INT)),
    "contains": Function(_contains, (STRING, STRING)),
    "trimSuffix": Function(_trim_suffix, (STRING, STRING)),
    "toUpper": Function(_upper, (STRING,)),
    "toLower": Function(_lower, (STRING,)),
}
