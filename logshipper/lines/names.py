"""What parsed fields may be called, so that they never pass for what identifies a document; pure.

A field whose name is taken, or that a store would refuse, gets `parsed_` before it; as often as
it takes to be a name of its own. Nothing is dropped for its name.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from logshipper.model import PREFIX

# Fields under too many names stand together here, as JSON text.
MORE: Final = f"{PREFIX}more"
# What documents carry by themselves, in any sink, and what stores read as time, text or origin.
TAKEN: Final = frozenset(
    {
        "@timestamp", "time", "timestamp", "message", "log", "stream", "level", "id",
        "app", "env", "host", "container", "container_name", "image",
        "compose_project", "compose_service", "swarm_stack", "swarm_service", "swarm_task",
        "undecoded", "partial_id", "partial_ordinal", "partial_last", MORE,
    }
)  # fmt: skip


def clear(fields: Mapping[str, Any], also: Iterable[str] = ()) -> dict[str, Any]:
    """The same values under names that are free.

    Args:
        fields: parsed out of a line.
        also: names that are taken beside the usual ones.
    """
    taken = TAKEN.union(also)
    odd = [
        name
        for name in fields
        if name in taken or not _usable(name) or ("." in name and _head(name) in taken)
    ]
    cleared = {
        name: _within(value) if isinstance(value, dict | list) else value
        for name, value in fields.items()
    }
    if odd:
        values = {name: cleared.pop(name) for name in odd}
        for name, value in values.items():
            _put(cleared, name, value, taken.union(fields))
    return cleared


def is_free(name: str, taken: Container[str] = TAKEN) -> bool:
    """Whether a field may be called so.

    Args:
        name: of a field.
        taken: names that others have. Elasticsearch makes paths of dots: `host.name` beside a
            `host` that is text is a document that it refuses.
    """
    return name not in taken and _usable(name) and ("." not in name or _head(name) not in taken)


class Vocabulary:
    """The names that the parsed fields of one log have had; no more than so many are new.

    A store keeps a column for every name it has ever seen (Elasticsearch refuses documents with
    new ones after a thousand): a program that puts ids into its names must not take them all.

    Args:
        limit: how many names, those within fields counted as well.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def admit(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields; those under names that are too many stand in `MORE`."""
        known = self._known.issuperset(fields)
        for name, value in fields.items():
            if isinstance(value, dict | list):
                known = known and self._knows(name, value)
        if known:
            return fields
        more = {name: value for name, value in fields.items() if not self._learned(name, value)}
        if not more:
            return fields
        kept = {name: value for name, value in fields.items() if name not in more}
        return {**kept, MORE: msgspec.json.encode(more).decode()}

    def _knows(self, path: str, value: dict[str, Any] | list[Any]) -> bool:
        if isinstance(value, list):
            return all(self._knows(path, each) for each in value if isinstance(each, dict | list))
        for name, inner in value.items():
            below = f"{path}.{name}"
            if below not in self._known or (
                isinstance(inner, dict | list) and not self._knows(below, inner)
            ):
                return False
        return True

    def _learned(self, name: str, value: object) -> bool:
        new = set(_paths(name, value)) - self._known
        if len(self._known) + len(new) > self._limit:
            return False
        self._known |= new
        return True


def _paths(path: str, value: object) -> Iterator[str]:
    yield path
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, list):
            yield from _paths(path, each)
        elif isinstance(each, dict):
            for name, inner in each.items():
                yield from _paths(f"{path}.{name}", inner)


def _within(value: Any) -> Any:
    """The same with names that no store refuses."""
    if isinstance(value, list):
        return [_within(each) if isinstance(each, dict | list) else each for each in value]
    odd = [name for name in value if not _usable(name)]
    cleared = {
        name: _within(each) if isinstance(each, dict | list) else each
        for name, each in value.items()
    }
    if odd:
        values = {name: cleared.pop(name) for name in odd}
        for name, each in values.items():
            _put(cleared, name, each, value)
    return cleared


def _put(fields: dict[str, Any], name: str, value: Any, taken: Container[str]) -> None:
    free = PREFIX + _flat(name)
    while free in fields or free in taken:
        free = PREFIX + free
    fields[free] = value


def _head(name: str) -> str:
    return name.partition(".")[0]


@lru_cache(maxsize=4096)
def _usable(name: str) -> bool:
    # Elasticsearch keeps names with an underscore for itself, and makes paths of dots.
    if not name or name[0] in "_." or name[-1] == "." or ".." in name or "\0" in name:
        return False
    return bool(name.strip())


def _flat(name: str) -> str:
    return name.replace(".", "_").replace("\0", "_").strip()
