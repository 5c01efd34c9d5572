"""Text as man(7) has it, in which nothing that was written is taken for a request."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

_SPECIAL: Final = str.maketrans(
    {
        "\\": "\\(rs",
        "-": "\\-",
        "'": "\\(aq",
        "`": "\\(ga",
        "^": "\\(ha",
        "~": "\\(ti",
        '"': "\\(dq",
    }
)
WIDTH: Final = 90


def escaped(text: str) -> str:
    """A text that prints as it stands, whatever it begins with."""
    told = " ".join(text.split()).translate(_SPECIAL)
    # A request begins with a point at the beginning of a line (groff(7)).
    return f"\\&{told}" if told.startswith(".") else told


def prose(text: str) -> Iterator[str]:
    """A paragraph; what stands in back-quotes is bold."""
    for line in textwrap.wrap(" ".join(text.split()), WIDTH, break_on_hyphens=False):
        quoted = re.sub(r"\\\(ga(.*?)\\\(ga", r"\\fB\1\\fR", escaped(line))
        yield quoted


def head(name: str, section: int, version: str) -> str:
    """The first line of a page."""
    return f'.TH {escaped(name.upper())} {section} "" "Wharfinger {escaped(version)}" Wharfinger'


def title(text: str) -> str:
    """Begins a section."""
    return f".SH {escaped(text)}"


def subtitle(text: str) -> str:
    """Begins a part of a section."""
    return f'.SS "{escaped(text)}"'


def entry(term: str, told: str) -> Iterator[str]:
    """A term, which is roff already, and what it means."""
    yield ".TP"
    yield term
    yield from prose(told) if told.strip() else ("\\&",)


def verbatim(text: str) -> Iterator[str]:
    """Lines as they are."""
    yield ".nf"
    for line in text.strip("\n").splitlines():
        told = line.expandtabs().translate(_SPECIAL)
        yield f"\\&{told}" if told.startswith((".", "\\(aq")) else told
    yield ".fi"


def bold(text: str) -> str:
    """In bold."""
    return f"\\fB{escaped(text)}\\fR"


def italic(text: str) -> str:
    """In italics, as what a user puts in its place."""
    return f"\\fI{escaped(text)}\\fR"


def table(rows: Mapping[str, str]) -> Iterator[str]:
    """Terms and what they mean."""
    for term, told in rows.items():
        yield from entry(bold(term), told)
