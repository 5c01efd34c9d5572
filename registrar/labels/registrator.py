"""registrator's SERVICE_* spellings, found among labels and variables as registrator finds them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.metadata import (
    MAX_ATTRIBUTES,
    MAX_ATTRIBUTES_BYTES,
    attribute,
    attributes_bytes,
)

PREFIX: Final = "SERVICE_"
CHECK: Final = "check_"
# Those that mean something by themselves; all others describe the instance. The id stays one of
# the others: what tells our instances apart is their address.
MEANT: Final = frozenset({"name", "tags", "ignore", "env", "environment"})

_PORT = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Spelled:
    """What SERVICE_* says, with names in lower case; an empty text says nothing.

    Attributes:
        general: of all ports of the container.
        by_port: of one, by its number inside the container as it is written there.
    """

    general: Mapping[str, str]
    by_port: Mapping[str, Mapping[str, str]]

    def __len__(self) -> int:
        """How many settings there are."""
        return len(self.general) + sum(map(len, self.by_port.values()))

    @property
    def names_itself(self) -> bool:
        """Whether it names a service at all."""
        return "name" in self.general or any("name" in said for said in self.by_port.values())

    def alone(self, name: str, port: int | None) -> str:
        """What is said of this port alone; empty for nothing."""
        return self.by_port.get(str(port), {}).get(name, "")

    def get(self, name: str, port: int | None = None) -> str:
        """What is said of this port, else of all; empty for nothing."""
        return self.alone(name, port) or self.general.get(name, "")

    def check(self, port: int | None) -> dict[str, str]:
        """What CHECK_* says, without that prefix: `http`, `interval`, ..."""
        said = {**self.general, **self.by_port.get(str(port), {})}
        return {
            name.removeprefix(CHECK): text
            for name, text in said.items()
            if name.startswith(CHECK) and name != CHECK
        }

    def attributes(self, port: int | None) -> tuple[tuple[str, str], ...]:
        """Whatever else is said, sorted by name.

        An attribute decides nothing, so that none is worth a refusal: one that cannot be printed,
        is too long, or is one too many is left out. Variables such as SERVICE_KEY, with a whole
        certificate in them, are some application's own.
        """
        said = {**self.general, **self.by_port.get(str(port), {})}
        found: list[tuple[str, str]] = []
        for name, text in sorted(said.items()):
            if name in MEANT or name.startswith(CHECK):
                continue
            try:
                fits = [*found, attribute(name, text)]
            except Rejected:
                continue
            if len(fits) <= MAX_ATTRIBUTES and attributes_bytes(fits) <= MAX_ATTRIBUTES_BYTES:
                found = fits
        return tuple(found)


def parse(labels: Mapping[str, str], env: Mapping[str, str]) -> Spelled:
    """Reads all SERVICE_*; a label goes before a variable, a port's own before what is general.

    That is what registrator's `serviceMetaData` comes to (bridge/util.go), but for one thing: an
    empty text counts as none, since Compose writes one for every variable that is not set.
    """
    general: dict[str, str] = {}
    by_port: dict[str, dict[str, str]] = {}
    for source in (env, labels):
        for spelled, text in source.items():
            # isascii(): lower() makes an ASCII k of the Kelvin sign.
            if not text or not spelled.startswith(PREFIX) or not spelled.isascii():
                continue
            name = spelled.removeprefix(PREFIX).lower()
            port, underscore, rest = name.partition("_")
            if underscore and _PORT.fullmatch(port):
                by_port.setdefault(port, {})[rest] = text
            else:
                general[name] = text
    return Spelled(general, by_port)
