"""A table for people as wide as their terminal: the least useful columns go first; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from rich.cells import cell_len

from wharfinger.text import printable

# What stands where there is nothing to say.
NOTHING: Final = "-"
GONE: Final = -1
_GAP: Final = 2
_ALGORITHM: Final = "sha256:"
_DIGITS: Final = 12
_LEAST: Final = 8
_CUT: Final = "..."

# One thing in ever fewer words; the first are all that there is to say.
Cell: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table, and what may be said in fewer words.

    Attributes:
        titles: of the columns.
        rows: of cells, as many as there are titles.
        steps: what is given up, in this order, until it fits: a title, and which words of its
            cells are shown from then on, or `GONE`.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    steps: Sequence[tuple[str, int]]


def fitted(grid: Grid, width: int | None) -> tuple[list[str], list[list[str]]]:
    """The titles and rows to show.

    Args:
        grid: the table.
        width: of the terminal, in characters; None where there is none, and nothing is given up.
    """
    shown = dict.fromkeys(grid.titles, 0)
    titles, rows = _shown(grid, shown)
    if width is None:
        return titles, rows
    # The first column is what the rows are about.
    silent = [(title, GONE) for title in grid.titles[1:] if grid.rows and _is_silent(grid, title)]
    for title, words in (*silent, *grid.steps):
        if _width(titles, rows) <= width:
            break
        if shown[title] != GONE:
            shown[title] = words
        titles, rows = _shown(grid, shown)
    return titles, _cut(titles, rows, width)


def plain(text: str) -> Cell:
    """What cannot be said in fewer words."""
    return (text or NOTHING,)


def digest(text: str) -> Cell:
    """`sha256:...`, and the beginning that people know an image by."""
    if not text:
        return (NOTHING,)
    digits = text.removeprefix(_ALGORITHM)[:_DIGITS]
    return text, text[: len(_ALGORITHM) + _DIGITS], digits


def moment(text: str) -> Cell:
    """A time as it is on record, to the minute, and without its year."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return plain(text)
    return text, f"{at:%Y-%m-%d %H:%M}", f"{at:%m-%d %H:%M}"


def _is_silent(grid: Grid, title: str) -> bool:
    at = list(grid.titles).index(title)
    return all(row[at][0] == NOTHING for row in grid.rows)


def _shown(grid: Grid, words: Mapping[str, int]) -> tuple[list[str], list[list[str]]]:
    kept = [(at, words[title]) for at, title in enumerate(grid.titles) if words[title] != GONE]
    rows = [
        [printable(row[at][min(form, len(row[at]) - 1)]) for at, form in kept] for row in grid.rows
    ]
    return [grid.titles[at] for at, _ in kept], rows


def _widths(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]


def _width(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    widths = _widths(titles, rows)
    return sum(widths) + _GAP * (len(widths) - 1)


def _cut(titles: list[str], rows: list[list[str]], width: int) -> list[list[str]]:
    """Cuts the longest words, where names are longer than anybody has foreseen."""
    while (over := _width(titles, rows) - width) > 0:
        widths = _widths(titles, rows)
        at = max(range(len(widths)), key=lambda each: widths[each] - cell_len(titles[each]))
        room = max(widths[at] - over, _LEAST, cell_len(titles[at]))
        if room >= widths[at]:
            break  # it is no terminal for tables
        rows = [[*row[:at], _within(row[at], room), *row[at + 1 :]] for row in rows]
    return rows


def _within(text: str, room: int) -> str:
    if cell_len(text) <= room:
        return text
    kept = text[: room - len(_CUT)]
    while cell_len(kept) > room - len(_CUT):
        kept = kept[:-1]
    return f"{kept}{_CUT}"
