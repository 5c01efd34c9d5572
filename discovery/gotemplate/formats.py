"""fmt.Sprintf: the grammar of a format, and what goes wrong in it."""

from collections.abc import Sequence
from typing import Final

from discovery.gotemplate.limits import Budget
from discovery.gotemplate.printing import Flags, Printer
from discovery.gotemplate.values import Kind, Value, kind_of, type_of

# fmt: a larger width or precision is taken for a mistake.
_TOO_LARGE: Final = 1_000_000
_FLAGS: Final = {"+": "plus", "-": "minus", "#": "sharp", " ": "space", "0": "zero"}
_SHORTEST_INDEX: Final = len("[1]")


def formatted(budget: Budget, text: str, values: Sequence[Value]) -> str:
    """fmt.Sprintf.

    Raises:
        LimitExceeded: it is too much.
    """
    return _Format(budget, text, values).run()


class _Format:
    """One format, read from left to right."""

    def __init__(self, budget: Budget, text: str, values: Sequence[Value]) -> None:
        self._text = text
        self._values = values
        self._at = 0
        self._next = 0
        self._reordered = False
        self._good_index = True
        self._after_index = False
        self._printer = Printer(budget)

    def run(self) -> str:
        """The text."""
        while True:
            found = self._text.find("%", self._at)
            if found < 0:
                self._printer.write(self._text[self._at :])
                break
            self._printer.write(self._text[self._at : found])
            self._at = found + 1
            if not self._directive():
                break
        self._extra()
        return self._printer.text

    def _directive(self) -> bool:
        """One of them; False when the text ends in it."""
        self._good_index, self._after_index = True, False
        flags = self._printer.flags = Flags()
        while self._peek() in _FLAGS and self._peek():
            setattr(flags, _FLAGS[self._peek()], True)
            self._at += 1
        self._index()
        self._width(flags)
        if self._peek() == "." and self._at + 1 < len(self._text):
            self._precision(flags)
        if not self._after_index:
            self._index()
        verb = self._peek()
        if not verb:
            self._printer.write("%!(NOVERB)")
            return False
        self._at += 1
        self._verb(verb, flags)
        return True

    def _verb(self, verb: str, flags: Flags) -> None:
        if verb == "%":
            self._printer.write("%")
        elif not self._good_index:
            self._printer.write(f"%!{verb}(BADINDEX)")
        elif self._next >= len(self._values):
            self._printer.write(f"%!{verb}(MISSING)")
        else:
            if verb in "vw":
                flags.sharp_v, flags.sharp = flags.sharp, False
                flags.plus_v, flags.plus = flags.plus, False
            self._printer.print(self._values[self._next], verb)
            self._next += 1

    def _width(self, flags: Flags) -> None:
        if self._peek() == "*":
            flags.width = self._from_value()
            if flags.width is None:
                self._printer.write("%!(BADWIDTH)")
            elif flags.width < 0:
                flags.width = -flags.width
                flags.minus, flags.zero = True, False
            return
        flags.width = self._number()
        if self._after_index and flags.width is not None:
            self._good_index = False

    def _precision(self, flags: Flags) -> None:
        self._at += 1
        if self._after_index:
            self._good_index = False
        self._index()
        if self._peek() == "*":
            number = self._from_value()
            flags.precision = number if number is not None and number >= 0 else None
            if flags.precision is None:
                self._printer.write("%!(BADPREC)")
            return
        flags.precision = self._number() or 0

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _number(self) -> int | None:
        """The number that stands here; one that is too large ends the text, as in Go."""
        number, start = 0, self._at
        while self._peek() in set("0123456789"):
            if number > _TOO_LARGE:
                self._at = len(self._text)
                return None
            number = number * 10 + int(self._peek())
            self._at += 1
        return number if self._at > start else None

    def _from_value(self) -> int | None:
        self._at += 1
        self._after_index = False
        if self._next >= len(self._values):
            return None
        value = self._values[self._next]
        self._next += 1
        if kind_of(value) not in {Kind.INT, Kind.UINT} or abs(value) > _TOO_LARGE:
            return None
        return int(value)

    def _index(self) -> None:
        """Takes `[n]`, where it stands here."""
        self._after_index = False
        if self._peek() != "[":
            return
        self._reordered = True
        end = self._text.find("]", self._at)
        if end < 0 or len(self._text) - self._at < _SHORTEST_INDEX:
            self._at += 1
            self._good_index = False
            return
        digits = self._text[self._at + 1 : end]
        self._at = end + 1
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 8 else None  # noqa: PLR2004
        if number is None:
            self._good_index = False
        elif 0 < number <= len(self._values):
            self._next = number - 1
            self._after_index = True
        else:
            self._good_index = False
            self._after_index = True

    def _extra(self) -> None:
        if self._reordered or self._next >= len(self._values):
            return
        printer = self._printer
        printer.flags = Flags()
        printer.write("%!(EXTRA ")
        for number, value in enumerate(self._values[self._next :]):
            if number:
                printer.write(", ")
            if value is None:
                printer.write("<nil>")
            else:
                printer.write(f"{type_of(value)}=")
                printer.print(value)
        printer.write(")")
