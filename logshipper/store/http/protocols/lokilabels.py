"""The labels of a stream as Loki's protobuf has them: `{app="shop", env="prod"}`."""

import re
from functools import lru_cache
from typing import Final

from logshipper.store.lines import gotext
from wharfinger.errors import Rejected

_NAME: Final = r"[a-zA-Z_][a-zA-Z0-9_.:-]*"
_LABEL: Final = re.compile(
    rf'\s*({_NAME}|"(?:[^"\\\n]|\\.)*")\s*=\s*(?:"((?:[^"\\\n]|\\.)*)"|`([^`]*)`)\s*(,|(?=\}}))'
)
_SPACE: Final = re.compile(r"\s*")
_MAX_CHARACTERS: Final = 64 * 1024


# Requests of one sender have the same few streams again and again.
def parse(text: str) -> dict[str, str]:
    """The labels.

    Raises:
        Rejected: it is no such text.
    """
    if len(text) > _MAX_CHARACTERS:
        raise Rejected(f"has labels of more than {_MAX_CHARACTERS} characters")
    return dict(_parse(text) if len(text) <= 1024 else _parse.__wrapped__(text))  # noqa: PLR2004 - what is remembered stays small


@lru_cache(maxsize=1024)
def _parse(text: str) -> tuple[tuple[str, str], ...]:
    told = text.strip()
    if not (told.startswith("{") and told.endswith("}")):
        raise Rejected(f"has labels that stand in no braces: {text[:64]!r}")
    found: dict[str, str] = {}
    at, end = 1, len(told) - 1
    while (space := _SPACE.match(told, at)) and space.end() < end:
        label = _LABEL.match(told, at)
        if label is None:
            raise Rejected(f"has labels that cannot be read at {told[at : at + 32]!r}")
        name, quoted, raw, _ = label.groups()
        if name.startswith('"'):
            name = _unescaped(name[1:-1])
        found[name] = raw if quoted is None else _unescaped(quoted)
        at = label.end()
    return tuple(found.items())


def _unescaped(text: str) -> str:
    try:
        return gotext.unescaped(text)
    except ValueError as error:
        raise Rejected(f"has labels with an {error}") from None
