"""A machine that always answers the same, for what templates ask of theirs."""

from collections.abc import Sequence
from datetime import UTC, datetime

from discovery.gotemplate.confd.host import ServiceRecord


class FakeMachine:
    """Knows one host, one service and one interface."""

    def environment(self, name: str) -> str:
        return {"HOSTNAME": "wharf-1"}.get(name, "")

    def file_exists(self, path: str) -> bool:
        return path == "/etc/there"

    def name(self) -> str:
        return "wharf-1"

    def now(self) -> datetime:
        return datetime(2026, 3, 5, 14, 7, 9, 120_000, UTC)

    def addresses(self, name: str) -> Sequence[str]:
        return ["::1", "127.0.0.1", "10.0.0.9"] if name == "localhost" else []

    def services(self, service: str, protocol: str, name: str) -> Sequence[ServiceRecord]:
        if (service, protocol, name) != ("http", "tcp", "example.org"):
            return []
        return [ServiceRecord("b.test.", 81, 1, 5), ServiceRecord("a.test.", 80, 2, 10)]

    def interface_addresses(self, interface: str) -> Sequence[str]:
        return ["10.0.0.1", "10.0.0.2", "fe80::1"] if interface == "eth0" else []
