"""How an index holds its fields, from what Elasticsearch says of them; pure.

Documents: Field capabilities API (`_field_caps`), and the same of OpenSearch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from logshipper.store.model import STREAM_FIELDS
from wharfinger.errors import Finding

TIME: Final = "@timestamp"
MESSAGE: Final = "message"
LABELS: Final = (*STREAM_FIELDS, "level")
# A sub-field that holds the whole value, as dynamic mapping makes it.
_WHOLE: Final = ".keyword"
_WHOLE_TYPES: Final = frozenset({"keyword", "constant_keyword", "wildcard", "flat_object"})
_WORD_TYPES: Final = frozenset({"text", "match_only_text", "search_as_you_type"})
_DATES: Final = frozenset({"date", "date_nanos"})
_TEMPLATE: Final = (
    "give the index the template in logshipper/store/README.md, section Other back ends"
)


@dataclass(frozen=True, slots=True)
class Fields:
    """The types of fields, over all indices of a pattern.

    Attributes:
        types: for a field, each type that it has somewhere, and whether values can be counted.
    """

    types: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)

    def whole(self, name: str) -> str:
        """The field under which whole values of this one are found and counted; empty if none."""
        for each in (name, name + _WHOLE):
            kinds = self.types.get(each, {})
            if kinds and all(kind in _WHOLE_TYPES and counted for kind, counted in kinds.items()):
                return each
        return ""

    def words(self, name: str) -> bool:
        """Whether a field is cut into words."""
        return bool(_WORD_TYPES & self.types.get(name, {}).keys())

    def holds(self, name: str) -> bool:
        """Whether any index has this field."""
        return name in self.types


def wanted(names: Iterable[str]) -> str:
    """The `fields` to ask for."""
    return ",".join(each for name in names for each in (name, name + _WHOLE))


def read(answer: Mapping[str, Any]) -> Fields:
    """The mapping in an answer of `_field_caps`; fields that are unmapped somewhere count, too."""
    return Fields(
        {
            name: types
            for name, kinds in answer.get("fields", {}).items()
            if (
                types := {
                    kind: bool(said.get("aggregatable"))
                    for kind, said in kinds.items()
                    if kind not in {"unmapped", "object", "nested"}
                }
            )
        }
    )


def findings(mapping: Fields, index: str) -> Iterator[Finding]:
    """What of a mapping stands in the way of good answers."""
    where = f"logstore.backend.index {index}"
    if not mapping.types:
        yield Finding(where, "holds nothing yet, or none of our fields", "let the shipper send")
        return
    times = mapping.types.get(TIME, {})
    if not times or not times.keys() <= _DATES:
        yield Finding(where, f"{TIME} is no date everywhere: lines have no order", _TEMPLATE)
    if mapping.holds(MESSAGE) and not mapping.words(MESSAGE):
        yield Finding(where, f"{MESSAGE} is not cut into words: searches read all lines", _TEMPLATE)
    for name in LABELS:
        if mapping.holds(name) and not mapping.whole(name):
            yield Finding(where, f"{name} is no keyword: it cannot be counted", _TEMPLATE)
