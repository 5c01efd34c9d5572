"""What parsed fields may be called, so that they never pass for what identifies a document; pure.

A field whose name is taken, or that a store would refuse, gets `parsed_` before it; as often as
it takes to be a name of its own. Nothing is dropped for its name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

PREFIX: Final = "parsed_"
# What documents carry by themselves, in any sink, and what stores read as time, text or origin.
TAKEN: Final = frozenset(
    {
        "@timestamp", "time", "timestamp", "message", "log", "stream", "level", "id",
        "app", "env", "host", "container", "container_name", "image",
        "compose_project", "compose_service", "swarm_stack", "swarm_service", "swarm_task",
        "undecoded", "partial_id", "partial_ordinal", "partial_last",
    }
)  # fmt: skip


def clear(fields: Mapping[str, Any], also: Iterable[str] = ()) -> dict[str, Any]:
    """The same values under names that are free.

    Args:
        fields: parsed out of a line.
        also: names that are taken beside the usual ones.
    """
    taken = TAKEN.union(also)
    odd = [name for name in fields if name in taken or not _usable(name)]
    if not odd:
        return dict(fields)
    named = {name: value for name, value in fields.items() if name not in odd}
    for name in odd:
        free = PREFIX + (name if _usable(name) else _flat(name))
        while free in fields or free in named or free in taken:
            free = PREFIX + free
        named[free] = fields[name]
    return named


def _usable(name: str) -> bool:
    # Elasticsearch keeps names with an underscore for itself, and makes paths of dots.
    if not name or name[0] in "_." or name[-1] == "." or ".." in name or "\0" in name:
        return False
    return bool(name.strip())


def _flat(name: str) -> str:
    return name.replace(".", "_").replace("\0", "_").strip()
