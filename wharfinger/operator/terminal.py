"""What people and programs read: tables and lines of JSON."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wharfinger.jsontext import encode_line, encode_page
from wharfinger.text import printable

# No terminal: nobody folds lines, and `grep` wants a row on one.
WIDE: Final = 10_000

STATE_STYLES: Final = {
    "healthy": "green",
    "up": "green",
    "unhealthy": "bold red",
    "unreachable": "bold red",
    "misconfigured": "bold red",
    "good": "green",
    "ends soon": "yellow",
    "ends very soon": "bold red",
    "ended": "bold red",
}


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints rows below their titles; hostile text is escaped."""
    # Not by rich's word: colours that a pipeline forces (FORCE_COLOR) are no terminal.
    console = Console(highlight=False, width=width() or WIDE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        cells = map(printable, row)
        table.add_row(*(Text(cell, style=STATE_STYLES.get(cell, "")) for cell in cells))
    with console.capture() as shown:
        console.print(table)
    # The last column is filled up with blanks, which only a mouse would notice.
    write("".join(f"{row.rstrip()}\n" for row in shown.get().splitlines()))


def width() -> int | None:
    """How many characters a line has; None where stdout is no terminal, and lines have no end."""
    return Console().width if sys.stdout.isatty() else None


def show_page(value: object) -> None:
    """Prints indented JSON."""
    write(encode_page(value).decode())


def show_line(value: object) -> None:
    """Prints JSON on a line of its own, at once."""
    write(encode_line(value).decode() + "\n")


def complain(text: str) -> None:
    """Says something beside the output, for the person there."""
    print(printable(f"wharfinger: {text}"), file=sys.stderr)  # noqa: T201


def write(text: str) -> None:
    """Writes to stdout at once, for a reader that follows."""
    sys.stdout.write(text)
    sys.stdout.flush()
