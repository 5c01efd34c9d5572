"""Text from elsewhere made fit for one line of a terminal, a log or JSON."""

from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """The text with every character escaped that is none, or that would repaint a terminal.

    That is what `str.isprintable` refuses: controls and terminal escapes, line separators,
    marks that turn the writing direction, surrogates, and blanks other than the space.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def shortened(text: str, length: int = 200) -> str:
    """The text, or its beginning where it is too long for a message."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


def quantity(count: int, one: str, more: str = "") -> str:
    """`1 line`, `2 lines`, `40,000 lines`; `more` where it is not one and an s."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def _escaped(character: str) -> str:
    # As JSON spells them, also beyond the first plane: \ud83d\ude00.
    units = character.encode("utf-16-be", "surrogatepass")
    escaped = "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
    return _SHORT.get(character, escaped)
