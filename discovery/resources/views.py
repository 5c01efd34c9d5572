"""What a template is given, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from discovery.confd.store import Store
from discovery.model import Instance, Rejection, Service
from discovery.services.difference import Sight


@dataclass(frozen=True, slots=True)
class View:
    """What one resource's template sees.

    Attributes:
        services: all of them, sorted by name.
        store: its keys of etcd.
        more: further names.
        asked: names of the services whose instances were asked for.
    """

    services: tuple[Service, ...]
    store: Store
    more: Mapping[str, object] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def instances(self, name: str) -> tuple[Instance, ...]:
        """The instances of `<APP>_<ENV>`; none when it is not known."""
        if isinstance(name, str):  # no other is the name of any
            self.asked.add(name)
        return next((s.instances for s in self.services if s.name == name), ())


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a resource's file shall hold.

    Attributes:
        content: the file's bytes.
        generation: names this content; empty where the file does not tell it.
        refused: what the template's preparation left out.
        sight: what can make it another one; None where nobody has noted it.
    """

    content: bytes
    generation: str = ""
    refused: tuple[Rejection, ...] = ()
    sight: Sight | None = field(default=None, compare=False)
