"""The types of what confd's store gives."""

from typing import Final

from discovery.gotemplate.values import ListType, Struct, StructType

PAIR: Final = StructType("memkv.KVPair", ("Key", "Value"))
PAIRS: Final = ListType("memkv.KVPairs", PAIR.name)
PAIR_LIST: Final = ListType("[]memkv.KVPair", PAIR.name)


def pair(key: str, value: str) -> Struct:
    """A key and its value."""
    return Struct(PAIR, (key, value))
