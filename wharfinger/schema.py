"""The typed sections of the configuration: what each key is called, may hold and does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from wharfinger.errors import Finding

SECTIONS: Final = (
    "host",
    "etcd",
    "docker",
    "log",
    "registrar",
    "discovery",
    "logshipper",
    "logstore",
    "deploy",
)


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the file; fields are `Annotated[type, doc(...)]` with a default each."""

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot: `where` of each finding is the field's own name."""
        yield from ()


M = TypeVar("M", bound=Section)

# The key that tells which kind of section an element of an array is.
TAG: Final = "type"


def doc(
    text: str,
    *,
    shown: str | None = None,
    secret: bool = False,
    restart: bool = False,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    check: Callable[[Any], str] | None = None,
) -> msgspec.Meta:
    """Describes a field, for the sample file, `config` and reload.

    Args:
        text: one sentence, with the unit where the name does not carry it.
        shown: what the sample shows in a comment where the default cannot be written down:
            an example as TOML (`'"eth0"'`), or in brackets how it is found (`"(hostname)"`).
        secret: `config` prints a mask instead of the value.
        restart: a reload that changes it is refused; only a restart applies it.
        ge: at least.
        gt: more than.
        le: at most.
        check: says what is wrong with a value of the right type; empty text when nothing is.
            Unlike `problems`, it is asked even when other keys of the section are wrong.
    """
    extra = {"shown": shown, "secret": secret, "restart": restart, "check": check}
    return msgspec.Meta(description=text, extra=extra, ge=ge, gt=gt, le=le)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a section, as the loader, the sample and `config` need it."""

    name: str
    kind: Any
    description: str
    shown: str | None
    secret: bool
    restart: bool
    default: Any
    check: Callable[[Any], str] | None = None

    @property
    def section(self) -> type[Section] | None:
        """The section that this field holds, if it is a table of its own."""
        return next((t for t in self.plain_types if _is_section(t)), None)

    @property
    def elements(self) -> tuple[type[Section], ...]:
        """The sections that an element may be, if this field is an array of tables."""
        for plain in self.plain_types:
            arguments = get_args(plain)
            if get_origin(plain) in {tuple, list} and arguments:
                return tuple(kind for kind in _plain_types(arguments[0]) if _is_section(kind))
        return ()

    @property
    def variants(self) -> Mapping[str, type[Section]]:
        """The same by their `type`, where there are several kinds."""
        kinds = self.elements
        return {tag(kind): kind for kind in kinds} if len(kinds) > 1 else {}

    @property
    def plain_types(self) -> tuple[Any, ...]:
        """The types it may have, unions taken apart."""
        return _plain_types(self.kind)

    @property
    def optional(self) -> bool:
        """Whether it may be left unset."""
        return type(None) in self.plain_types

    @property
    def sequence(self) -> bool:
        """Whether it holds an array."""
        return any(get_origin(t) in {tuple, list, set, frozenset} for t in self.plain_types)

    @property
    def mapping(self) -> bool:
        """Whether it holds a table with keys of the user's own."""
        return any(get_origin(t) is dict for t in self.plain_types)


def fields(model: type[Section]) -> tuple[Field, ...]:
    """The fields of a section in the order they are written."""
    described = []
    for info in msgspec.structs.fields(model):
        meta = next((a for a in get_args(info.type)[1:] if isinstance(a, msgspec.Meta)), None)
        kind = get_args(info.type)[0] if get_origin(info.type) is Annotated else info.type
        extra = (meta.extra or {}) if meta else {}
        default = info.default
        if info.default_factory is not msgspec.NODEFAULT:
            default = info.default_factory()
        described.append(
            Field(
                name=info.name,
                kind=_limited(kind, meta) if meta else kind,
                description=(meta.description or "") if meta else "",
                shown=extra.get("shown"),
                secret=bool(extra.get("secret")),
                restart=bool(extra.get("restart")),
                default=default,
                check=extra.get("check"),
            )
        )
    return tuple(described)


def tag(kind: type[Section]) -> str:
    """What the `type` of a section's kind says: the one value that it can have."""
    described = next(f for f in fields(kind) if f.name == TAG)
    return str(described.default)


def walk(
    model: type[Section], value: Section, prefix: str = ""
) -> Iterator[tuple[str, Field, Any]]:
    """Every leaf of a configuration as (dotted key, field, value)."""
    for described in fields(model):
        key = f"{prefix}{described.name}"
        held = getattr(value, described.name)
        if described.section is not None and held is not None:
            yield from walk(described.section, held, f"{key}.")
        elif described.elements and held:
            for number, element in enumerate(held):
                yield from walk(type(element), element, f"{key}[{number}].")
        else:
            yield key, described, held


def needs_restart(model: type[M], old: M, new: M) -> tuple[str, ...]:
    """The keys that differ and that only a restart can apply."""
    return tuple(_changed(model, old, new, ""))


def _changed(model: type[Section], old: Section, new: Section, prefix: str) -> Iterator[str]:
    for described in fields(model):
        key = f"{prefix}{described.name}"
        before, after = getattr(old, described.name), getattr(new, described.name)
        if before == after:
            continue
        if described.restart:
            yield key
        elif described.section is not None and before is not None and after is not None:
            yield from _changed(described.section, before, after, f"{key}.")
        elif described.elements:
            for number, (left, right) in enumerate(zip_longest(before or (), after or ())):
                if type(left) is type(right):
                    yield from _changed(type(left), left, right, f"{key}[{number}].")
                elif left is not None and right is not None:
                    yield f"{key}[{number}].{TAG}"
                elif any(each.restart for each in fields(type(left or right))):
                    yield f"{key}[{number}]"  # what a restart makes must not come or go


def _limited(kind: Any, meta: msgspec.Meta) -> Any:
    # msgspec takes a limit on a number, not on "a number or nothing": it stands inside of that.
    kinds = [t for t in _plain_types(kind) if t is not type(None)]
    if len(kinds) < len(_plain_types(kind)) and len(kinds) == 1:
        return Annotated[kinds[0], meta] | None
    return Annotated[kind, meta]


def _plain_types(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Annotated:
        return _plain_types(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        return tuple(t for argument in get_args(kind) for t in _plain_types(argument))
    return (kind,)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)
