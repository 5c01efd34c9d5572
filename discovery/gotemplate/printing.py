"""fmt: how a value prints by each verb, with its flags."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from discovery.gotemplate import numerals
from discovery.gotemplate.errors import LimitExceeded
from discovery.gotemplate.limits import MAX_VALUE_DEPTH, Budget
from discovery.gotemplate.text import (
    can_backquote,
    canonical,
    encoded,
    order,
    quoted,
)
from discovery.gotemplate.values import (
    INTERFACE,
    NIL,
    Kind,
    List,
    Named,
    Opaque,
    Struct,
    Value,
    kind_of,
    type_of,
)

_STRING_VERBS: Final = frozenset("vsxXq")
_WIDEST_QUOTE: Final = len('\\"')
_WIDEST_ESCAPE: Final = len("\\U0010ffff")


@dataclass(slots=True)
class Flags:
    """What stands between `%` and the verb."""

    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    plus_v: bool = False
    sharp_v: bool = False


@dataclass(slots=True)
class Printer:
    """Collects what is printed, within a budget."""

    budget: Budget
    flags: Flags = field(default_factory=Flags)
    _parts: list[str] = field(default_factory=list)
    _erroring: bool = False

    @property
    def text(self) -> str:
        """All of it."""
        return canonical("".join(self._parts))

    def write(self, text: str) -> None:
        """Adds text as it is.

        Raises:
            LimitExceeded: it is too much.
        """
        self.budget.hold(len(text) + 8)
        self._parts.append(text)

    def pad(self, text: str) -> None:
        """Adds text, as wide as the flags say."""
        width = self.flags.width or 0
        missing = width - len(text)
        if missing <= 0:
            self.write(text)
            return
        self.budget.hold(missing)
        fill = "0" if self.flags.zero and not self.flags.minus else " "
        self.write(text + fill * missing if self.flags.minus else fill * missing + text)

    def print(self, value: Value, verb: str = "v") -> None:
        """Adds a value by a verb.

        Raises:
            LimitExceeded: it is too much, or nested too deep.
        """
        if value is None or value is NIL:
            if verb in "vT":
                self.pad("<nil>")
            else:
                self.write(f"%!{verb}(<nil>)")
        elif verb == "T":
            self._string(type_of(value), "s")
        elif verb == "p":
            self._bad(value, verb)  # no address of ours means anything
        else:
            self._value(value, verb, 0)

    def _value(self, value: Value, verb: str, depth: int) -> None:
        if depth > MAX_VALUE_DEPTH:
            raise LimitExceeded(f"prints a value nested more than {MAX_VALUE_DEPTH} deep")
        if verb == "w":
            self._bad(value, verb)
            return
        if isinstance(value, Named | Opaque) and self._by_name(value, verb):
            return
        kind = kind_of(value)
        if kind in _NESTED:
            _NESTED[kind](self, value, verb, depth)
        elif kind in _PLAIN:
            _PLAIN[kind](self, value, verb)
        else:
            # A nil that stands in a list or a map.
            self.write(f"{INTERFACE}(nil)" if self.flags.sharp_v else "<nil>")

    def _boolean(self, value: bool, verb: str) -> None:  # noqa: FBT001 - it is the value
        if verb in "tv":
            self.pad("true" if value else "false")
        else:
            self._bad(value, verb)

    def _by_name(self, value: Named | Opaque, verb: str) -> bool:
        if self._erroring or verb not in _STRING_VERBS:
            return False
        if self.flags.sharp_v:
            if isinstance(value, Named):
                return False
            self._string(value.text(), "s")
            return True
        self._string(value.text(), verb)
        return True

    def _bad(self, value: Value, verb: str) -> None:
        self._erroring = True
        self.write(f"%!{verb}({type_of(value)}=")
        self.print(value)
        self.write(")")
        self._erroring = False

    def _string(self, value: str, verb: str) -> None:
        flags = self.flags
        if verb in "xX":
            self._hex(value, verb)
            return
        if verb == "v":
            verb = "q" if flags.sharp_v else "s"
        if verb not in "sq":
            self._bad(value, verb)
            return
        if flags.precision is not None:
            value = value[: flags.precision]
        if verb == "s":
            self.pad(value)
            return
        plain = value.isprintable() and (value.isascii() or not flags.plus)
        self.budget.hold((_WIDEST_QUOTE if plain else _WIDEST_ESCAPE) * len(value))
        if flags.sharp and can_backquote(value):
            self.pad(f"`{value}`")
        else:
            self.pad(quoted(value, ascii_only=flags.plus))

    def _hex(self, value: str, verb: str) -> None:
        flags = self.flags
        raw = encoded(value)
        if flags.precision is not None:
            raw = raw[: flags.precision]
        self.budget.hold(5 * len(raw))
        prefix = f"0{verb}" if flags.sharp else ""
        text = raw.hex(" ") if flags.space and raw else raw.hex()
        text = text.upper() if verb == "X" else text
        if raw:
            text = prefix + (text.replace(" ", f" {prefix}") if prefix else text)
        self.pad(text)

    def _integer(self, value: int, verb: str) -> None:
        unsigned = kind_of(value) is Kind.UINT
        flags = self.flags
        if flags.sharp_v and unsigned and verb == "v":
            before, flags.sharp = flags.sharp, True
            self._padded_integer(numerals.integer(value, "x", flags))
            flags.sharp = before
            return
        self.budget.hold((flags.precision or 0) + (flags.width or 0))
        text = numerals.integer(value, verb, flags)
        if text is None:
            self._bad(value, verb)
        elif verb in "cq":
            self.pad(text)
        else:
            self._padded_integer(text)

    def _padded_integer(self, text: str | None) -> None:
        """Zeros that fill the width are digits; what is left is blanks."""
        before, self.flags.zero = self.flags.zero, False
        self.pad(text or "")
        self.flags.zero = before

    def _float(self, value: float, verb: str) -> None:
        self.budget.hold(self.flags.precision or 0)
        text = numerals.floating(value, verb, self.flags)
        if text is None:
            self._bad(value, verb)
            return
        flags = self.flags
        if text.lstrip("+- ")[:1] in {"I", "N"}:
            self._padded_integer(text)
        elif text[0] in "+- " and flags.zero and not flags.minus:
            missing = (flags.width or 0) - len(text)
            self.budget.hold(max(missing, 0))
            self.write(text[0] + "0" * missing + text[1:])
        else:
            self.pad(text)

    def _complex(self, value: complex, verb: str) -> None:
        if verb not in "vbgGxXfFeE":
            self._bad(value, verb)
            return
        self.write("(")
        self._float(value.real, verb)
        before, self.flags.plus = self.flags.plus, True
        self._float(value.imag, verb)
        self.flags.plus = before
        self.write("i)")

    def _list(self, value: List, verb: str, depth: int) -> None:
        sharp = self.flags.sharp_v
        if sharp:
            self.write(value.type.name)
            if value.nil:
                self.write("(nil)")
                return
        self.write("{" if sharp else "[")
        for item in self._separated(value.items):
            self._value(item, verb, depth + 1)
        self.write("}" if sharp else "]")

    def _map(self, value: dict[str, Value], verb: str, depth: int) -> None:
        sharp = self.flags.sharp_v
        self.write(f"{type_of(value)}{{" if sharp else "map[")
        for key in self._separated(sorted(value, key=order)):
            self._value(key, verb, depth + 1)
            self.write(":")
            self._value(value[key], verb, depth + 1)
        self.write("}" if sharp else "]")

    def _struct(self, value: Struct, verb: str, depth: int) -> None:
        if isinstance(value, Opaque):
            # Go prints its private fields here; ours has none that would tell anything.
            self._bad(value, verb)
            return
        sharp = self.flags.sharp_v
        if value.type.pointer and depth == 0:
            self.write("&")
        if sharp:
            self.write(value.type.name)
        self.write("{")
        for name in self._separated(value.type.fields):
            if sharp or self.flags.plus_v:
                self.write(f"{name}:")
            self._value(value.values[value.type.fields.index(name)], verb, depth + 1)
        self.write("}")

    def _separated(self, items: Sequence[Value]) -> Iterator[Value]:
        separator = ", " if self.flags.sharp_v else " "
        for number, item in enumerate(items):
            if number:
                self.write(separator)
            yield item


_PLAIN: Final[Mapping[Kind | None, Callable[[Printer, Any, str], None]]] = {
    Kind.STRING: Printer._string,  # noqa: SLF001 - the class's own table
    Kind.INT: Printer._integer,  # noqa: SLF001
    Kind.UINT: Printer._integer,  # noqa: SLF001
    Kind.FLOAT: Printer._float,  # noqa: SLF001
    Kind.BOOL: Printer._boolean,  # noqa: SLF001
    Kind.COMPLEX: Printer._complex,  # noqa: SLF001
}
_NESTED: Final[Mapping[Kind | None, Callable[[Printer, Any, str, int], None]]] = {
    Kind.LIST: Printer._list,  # noqa: SLF001
    Kind.MAP: Printer._map,  # noqa: SLF001
    Kind.STRUCT: Printer._struct,  # noqa: SLF001
}
