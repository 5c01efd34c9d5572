"""What is asked of the store: words, fields, levels and a time, as its API takes them; pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from wharfinger import levels
from wharfinger.errors import Rejected
from wharfinger.logtext import moment
from wharfinger.text import shortened

FIELDS: Final = ("app", "env", "host", "container", "stream")
_SHORT_ID: Final = re.compile(r"[0-9a-f]{6,63}")
# For each field the values as they were typed, some with a `!` before them.
Wanted: TypeAlias = Mapping[str, tuple[str, ...]]
# aiohttp takes pairs, since a name may come more than once.
Parameters: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for.

    Attributes:
        words: of the store's query language.
        wanted: values of FIELDS and of `level`; one with a `!` before it must not be there, and
            `warn+` means that level and all above it.
        since: `1h`, `today`, `08:15`, or a time (RFC 3339); empty for all that is kept.
        until: the same, for the end; empty for now.
    """

    words: tuple[str, ...] = ()
    wanted: Wanted = field(default_factory=dict)
    since: str = ""
    until: str = ""

    @property
    def text(self) -> str:
        """In the query language, with what must not be there."""
        refused = (
            f'-{name}:"{_quoted(_whole(name, value[1:]))}"'
            for name, values in self.wanted.items()
            for value in _single(values)
            if value.startswith("!") and name != "level"
        )
        refused_levels = (f"-level:{name}" for name in _levels(self.wanted, refused=True))
        return " ".join([*self.words, *refused, *refused_levels])

    def parameters(self, now: datetime) -> Parameters:
        """As the store's API takes them.

        Raises:
            Rejected: a time or a level is none, or a value is empty.
        """
        asked = [("q", self.text)]
        asked += [
            (name, _whole(name, value))
            for name in FIELDS
            for value in _single(self.wanted.get(name, ()))
            if not value.startswith("!")
        ]
        asked += [("level", name) for name in _levels(self.wanted, refused=False)]
        since = moment(self.since, now) if self.since else ""
        until = moment(self.until, now, "--until") if self.until else ""
        if since and until and datetime.fromisoformat(until) <= datetime.fromisoformat(since):
            raise Rejected(f"--until {until} does not lie behind --since {since}")
        asked += [("from", since), ("to", until)]
        return tuple((name, text) for name, text in asked if text)


def having(parameters: Parameters, **others: str) -> Parameters:
    """The parameters with some in the place of theirs; an empty one is left out."""
    given = {name.rstrip("_"): text for name, text in others.items()}
    kept = (pair for pair in parameters if pair[0] not in given)
    return (*kept, *((name, text) for name, text in given.items() if text))


def _single(values: Iterable[str]) -> Iterator[str]:
    """Each value of lists with commas between them."""
    for value in values:
        for part in value.split(","):
            if not part.strip().lstrip("!"):
                raise Rejected(f"{shortened(value, 40)!r} holds an empty value; leave it out")
            yield part.strip()


def _whole(name: str, value: str) -> str:
    """A container by the beginning of its id, as Docker takes and shows it."""
    return f"{value}*" if name == "container" and _SHORT_ID.fullmatch(value) else value


def _levels(wanted: Wanted, *, refused: bool) -> list[str]:
    found: dict[str, None] = {}
    for value in _single(wanted.get("level", ())):
        name = value.removeprefix("!")
        if value.startswith("!") == refused:
            found |= dict.fromkeys(_level(name.removesuffix("+"), above=name.endswith("+")))
    return list(found)


def _level(name: str, *, above: bool) -> Iterable[str]:
    number = levels.level_of(name)
    if not number and name not in {"unknown", "none"}:
        known = ", ".join(levels.NAMES[1:])
        raise Rejected(
            f"there is no level {shortened(name, 32)!r}; use one of {known} or unknown, "
            "or warn+ for warn and all above"
        )
    return levels.NAMES[number:] if number and above else (levels.NAMES[number] or "unknown",)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
