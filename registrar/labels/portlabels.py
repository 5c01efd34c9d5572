"""Our own labels, of the container and of one of its ports: `wharfinger.8080.weight`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "wharfinger."
CHECK: Final = "check"
# What asks to be registered, as `logs` and `ignore` do not.
ASKING: Final = ("env", "port", "ip", "host", "path", "weight", "tags", "drain", CHECK)
OF_A_PORT: Final = frozenset({"app", "ignore", "deregister", *ASKING})

_OF_A_PORT = re.compile(r"([0-9]{1,9})\.(.+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Labels:
    """What our labels say, by their names without the prefix; an empty text says nothing.

    Attributes:
        general: of the container.
        by_port: of one port, by its number inside the container, which may be none.
    """

    general: Mapping[str, str]
    by_port: Mapping[int, Mapping[str, str]]

    @property
    def asks(self) -> str:
        """The name of a label that asks to be registered; empty where none does."""
        if found := next((name for name in ASKING if name in self.general), ""):
            return found
        if self.check(None):
            return CHECK
        return next((f"{port}.*" for port in self.ports), "")

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that have labels of their own, but for those that are only to be ignored."""
        return tuple(sorted(port for port, said in self.by_port.items() if set(said) - {"ignore"}))

    def alone(self, name: str, port: int | None) -> str:
        """What is said of this port alone; empty for nothing."""
        return self.by_port.get(port, {}).get(name, "") if port is not None else ""

    def get(self, name: str, port: int | None = None) -> str:
        """What is said of this port, else of the container; empty for nothing."""
        return self.alone(name, port) or self.general.get(name, "")

    def check(self, port: int | None) -> dict[str, str]:
        """What `check` and `check.*` say, without that prefix: empty, `interval`, ..."""
        said = {**self.general, **(self.by_port.get(port, {}) if port is not None else {})}
        return {
            name.removeprefix(CHECK).removeprefix("."): text
            for name, text in said.items()
            if _is_check(name)
        }

    def __len__(self) -> int:
        """How many labels there are."""
        return len(self.general) + sum(map(len, self.by_port.values()))


def parse(labels: Mapping[str, str]) -> Labels:
    """Reads all that begins with `wharfinger.`; what nobody knows the meaning of stays general."""
    general: dict[str, str] = {}
    by_port: dict[int, dict[str, str]] = {}
    for label, text in labels.items():
        if not text or not label.startswith(PREFIX):
            continue
        name = label.removeprefix(PREFIX)
        match = _OF_A_PORT.fullmatch(name)
        if match and (match[2] in OF_A_PORT or _is_check(match[2])):
            by_port.setdefault(int(match[1]), {})[match[2]] = text
        else:
            general[name] = text
    return Labels(general, by_port)


def _is_check(name: str) -> bool:
    return name == CHECK or (name.startswith(f"{CHECK}.") and name != f"{CHECK}.")
