"""Lines around what was found: one excerpt where they overlap or touch, as grep has them; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Hit = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    """A line that was found, and the lines of its container around it, oldest first.

    Attributes:
        before: before it.
        hit: the line.
        after: after it.
    """

    before: Sequence[Hit]
    hit: Hit
    after: Sequence[Hit]


@dataclass(slots=True)
class Excerpt:
    """Lines of one container that follow each other.

    Attributes:
        lines: oldest first.
        found: the ids of those that were searched for.
    """

    lines: list[Hit] = field(default_factory=list)
    found: set[str] = field(default_factory=set)


def excerpts(windows: Iterable[Window], before: int, after: int) -> list[Excerpt]:
    """The lines to show, in the order of what was found.

    Args:
        windows: oldest first; each may hold a line more than is shown before its hit, which
            tells whether it touches the one before.
        before: lines to show before a hit.
        after: and after it.
    """
    made: list[Excerpt] = []
    latest: dict[tuple[str, ...], tuple[Excerpt, set[str]]] = {}
    for window in windows:
        shown = [*_last(window.before, before), window.hit, *window.after[:after]]
        container = place(window.hit)
        excerpt, held = latest.get(container, (None, set[str]()))
        near = [*_last(window.before, before + 1), window.hit]
        if excerpt is None or not any(_id(line) in held for line in near):
            excerpt, held = Excerpt(), set()
            latest[container] = excerpt, held
            made.append(excerpt)
        fresh = [line for line in shown if _id(line) not in held]
        excerpt.lines += fresh
        held |= {_id(line) for line in fresh}
        excerpt.found.add(_id(window.hit))
    return made


def place(hit: Hit) -> tuple[str, ...]:
    """Whose line it is: what makes lines follow each other."""
    return tuple(str(hit.get(name, "")) for name in ("app", "env", "host", "container"))


def _last(lines: Sequence[Hit], count: int) -> Sequence[Hit]:
    return lines[-count:] if count else ()


def _id(hit: Hit) -> str:
    return str(hit.get("id", ""))
