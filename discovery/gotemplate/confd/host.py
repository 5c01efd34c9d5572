"""getenv, fileExists, hostname, datetime and the look-ups: what is asked of the machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.functions import STRING, Function, FunctionMap
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.timeformat import Moment
from discovery.gotemplate.values import STRINGS, List, ListType, Struct, StructType, Uint16

SERVICE: Final = StructType("net.SRV", ("Target", "Port", "Priority", "Weight"), pointer=True)
SERVICES: Final = ListType("[]*net.SRV", "*net.SRV")
# A look-up may wait for the network: a template that does many of them would take its time.
_LOOKUP_STEPS: Final = 100_000


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A DNS SRV record.

    Attributes:
        target: with its final dot.
        port: of the target.
        priority: the lower comes first.
        weight: among those of one priority.
    """

    target: str
    port: int
    priority: int
    weight: int


class Host(Protocol):
    """What functions may ask of the machine; each answers in bounded time."""

    def environment(self, name: str) -> str:
        """The value of an environment variable; empty where it is not set."""

    def file_exists(self, path: str) -> bool:
        """Whether there is anything at the path."""

    def name(self) -> str:
        """The host's name.

        Raises:
            OSError: it cannot be told.
        """

    def now(self) -> datetime:
        """The time, in the host's zone."""

    def addresses(self, name: str) -> Sequence[str]:
        """The IP addresses of a name; none when it cannot be resolved."""

    def services(self, service: str, protocol: str, name: str) -> Sequence[ServiceRecord]:
        """The SRV records; none when they cannot be resolved."""

    def interface_addresses(self, interface: str) -> Sequence[str]:
        """The IP addresses of an interface; none when there is no such interface."""


def host_functions(host: Host) -> FunctionMap:
    """The functions."""
    functions = _Functions(host)
    return {
        "getenv": Function(functions.getenv, (STRING,), STRING),
        "fileExists": Function(functions.file_exists, (STRING,)),
        "hostname": Function(functions.hostname),
        "datetime": Function(lambda _budget: Moment(host.now())),
        "lookupIP": _lookup(host, ""),
        "lookupIPV4": _lookup(host, "."),
        "lookupIPV6": _lookup(host, ":"),
        "lookupSRV": Function(functions.lookup_srv, (STRING, STRING, STRING)),
        "lookupIfaceIPV4": _interface(host, "."),
        "lookupIfaceIPV6": _interface(host, ":"),
    }


@dataclass(frozen=True, slots=True)
class _Functions:
    host: Host

    def getenv(self, _budget: Budget, name: str, *default: str) -> str:
        return self.host.environment(name) or (default[0] if default else "")

    def file_exists(self, budget: Budget, path: str) -> bool:
        budget.spend(100)
        return self.host.file_exists(path)

    def hostname(self, _budget: Budget) -> str:
        try:
            return self.host.name()
        except OSError as error:
            raise FunctionError(str(error)) from None

    def lookup_srv(self, budget: Budget, service: str, protocol: str, name: str) -> List:
        budget.spend(_LOOKUP_STEPS)
        records = sorted(
            self.host.services(service, protocol, name),
            key=lambda r: f"{r.target}{r.port}{r.priority}{r.weight}",
        )
        return List(SERVICES, [_service(record) for record in records])


def _lookup(host: Host, mark: str) -> Function:
    def lookup(budget: Budget, name: str) -> List:
        budget.spend(_LOOKUP_STEPS)
        found = sorted(address for address in host.addresses(name) if mark in address)
        return List(STRINGS, list(found), nil=not found)

    return Function(lookup, (STRING,))


def _interface(host: Host, mark: str) -> Function:
    def lookup(budget: Budget, interface: str) -> str:
        budget.spend(100)
        found = host.interface_addresses(interface)
        return next((address for address in found if mark in address), "")

    return Function(lookup, (STRING,))


def _service(record: ServiceRecord) -> Struct:
    numbers = (Uint16(record.port), Uint16(record.priority), Uint16(record.weight))
    return Struct(SERVICE, (record.target, *numbers))
