"""Our part of Docker's daemon.json: put in beside all that is there, and taken out again."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wharfinger.errors import Rejected

NAME: Final = "wharfinger"
RUNTIMES: Final = "runtimes"
DEFAULT: Final = "default-runtime"
INDENT: Final = 4


def parse(text: str) -> dict[str, Any]:
    """Reads it; an empty file is none.

    Raises:
        Rejected: it is no JSON object, or writing it anew would lose something.
    """
    if not text.strip():
        return {}
    try:
        document = json.loads(text, object_pairs_hook=_object)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise Rejected(f"is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise Rejected("holds no JSON object")
    if not isinstance(document.get(RUNTIMES, {}), dict):
        raise Rejected(f"{RUNTIMES!r} is no JSON object")
    return document


def entry(document: Mapping[str, Any]) -> Any:
    """The runtime of our name; None when there is none."""
    return document.get(RUNTIMES, {}).get(NAME)


def added(document: Mapping[str, Any], program: str, *, default: bool) -> dict[str, Any]:
    """The document with our runtime in it.

    Args:
        document: what is there.
        program: path of the runtime.
        default: for containers that ask for no other.

    Raises:
        Rejected: another runtime has our name.
    """
    present = entry(document)
    if present is not None and present != {"path": program}:
        raise Rejected(f"has another runtime of the name {NAME!r}: {json.dumps(present)[:200]}")
    runtimes = {**document.get(RUNTIMES, {}), NAME: {"path": program}}
    return {**document, RUNTIMES: runtimes, **({DEFAULT: NAME} if default else {})}


def removed(document: Mapping[str, Any], program: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """The document without our runtime; what others put there stays.

    Args:
        document: what is there.
        program: path of the runtime; another one of the name is not ours.
        before: as it was before ours came in, whose default becomes the default again.
    """
    without = dict(document)
    if entry(document) == {"path": program}:
        rest = {name: each for name, each in document[RUNTIMES].items() if name != NAME}
        without[RUNTIMES] = rest
        if not rest and RUNTIMES not in before:
            del without[RUNTIMES]
        if document.get(DEFAULT) == NAME:
            del without[DEFAULT]
            if before.get(DEFAULT, NAME) != NAME:
                without[DEFAULT] = before[DEFAULT]
    return without


def written(document: Mapping[str, Any], like: str) -> str:
    """The document as text, indented as the text that it replaces."""
    found = re.search(r"^[ \t]+", like, re.MULTILINE)
    return json.dumps(document, indent=found[0] if found else INDENT, ensure_ascii=False) + "\n"


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{min(twice)!r} stands there twice")
    return dict(pairs)
