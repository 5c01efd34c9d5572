"""What templates may ask of the machine: environment, files, time, interfaces and DNS."""

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv6Address
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

import psutil

from discovery.gotemplate.confd.host import ServiceRecord
from discovery.resources import servicerecords

LOOKUP_TIMEOUT_SECONDS: Final = 3.0
_SERVER_TIMEOUT_SECONDS: Final = 1.0
_DNS_PORT: Final = 53
_MAX_DATAGRAM: Final = 65_535
_RESOLVER: Final = Path("/etc/resolv.conf")
_Answer = TypeVar("_Answer")
# The C library's resolver cannot be told to hurry: who waits for it is left behind, and where
# all of them wait, nobody is asked.
_WAITERS: Final = 4


class Machine:
    """This machine.

    Args:
        environment: of the process.
        resolver: resolv.conf, for SRV records.
        timeout_seconds: of a look-up, which then has no result.
        port: of DNS servers.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        resolver: Path = _RESOLVER,
        timeout_seconds: float = LOOKUP_TIMEOUT_SECONDS,
        port: int = _DNS_PORT,
    ) -> None:
        self._environment = environment
        self._resolver = resolver
        self._timeout_seconds = timeout_seconds
        self._port = port
        self._free = threading.Semaphore(_WAITERS)

    def environment(self, name: str) -> str:
        """The value of an environment variable; empty where it is not set."""
        return self._environment.get(name, "")

    def file_exists(self, path: str) -> bool:
        """Whether there is anything at the path; as confd says, also where it may not look."""
        if not path:
            return False
        try:
            Path(path).stat()
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            return True
        return True

    def name(self) -> str:
        """The host's name."""
        return socket.gethostname()

    def now(self) -> datetime:
        """The time, in the host's zone."""
        return datetime.now().astimezone()

    def addresses(self, name: str) -> Sequence[str]:
        """The IP addresses of a name; none when it cannot be resolved in time."""
        return self._waited(lambda: _resolved(name), [])

    def services(self, service: str, protocol: str, name: str) -> Sequence[ServiceRecord]:
        """The SRV records; none when they cannot be resolved in time."""
        full = f"_{service}._{protocol}.{name}" if service or protocol else name
        return self._waited(lambda: self._asked(full), [])

    def interface_addresses(self, interface: str) -> Sequence[str]:
        """The IP addresses of an interface; none when there is no such interface."""
        families = {socket.AF_INET, socket.AF_INET6}
        found = psutil.net_if_addrs().get(interface, [])
        return [one.address.partition("%")[0] for one in found if one.family in families]

    def _waited(
        self, ask: Callable[[], Sequence[_Answer]], nothing: Sequence[_Answer]
    ) -> Sequence[_Answer]:
        if not self._free.acquire(blocking=False):
            return nothing
        answers: SimpleQueue[Sequence[_Answer]] = SimpleQueue()

        def run() -> None:
            try:
                answers.put(ask())
            except (OSError, ValueError, servicerecords.BadMessage):
                answers.put(nothing)
            finally:
                self._free.release()

        threading.Thread(target=run, name="lookup", daemon=True).start()
        try:
            return answers.get(timeout=self._timeout_seconds)
        except Empty:
            return nothing

    def _asked(self, name: str) -> Sequence[ServiceRecord]:
        servers, domains = self._configured()
        names = [name] if name.endswith(".") else [name, *(f"{name}.{d}" for d in domains)]
        for full in names:
            question = servicerecords.question(secrets.randbelow(2**16), full)
            for server in servers:
                with contextlib.suppress(OSError, servicerecords.BadMessage):
                    found = self._answer(server, question)
                    if found:
                        return found
                    break
        return ()

    def _answer(self, server: str, question: bytes) -> tuple[ServiceRecord, ...]:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(_SERVER_TIMEOUT_SECONDS)
            datagrams.connect((server, self._port))
            datagrams.send(question)
            answer = servicerecords.answer(datagrams.recv(_MAX_DATAGRAM), question)
        if not answer.truncated:
            return answer.records
        address = server, self._port
        with socket.create_connection(address, _SERVER_TIMEOUT_SECONDS) as stream:
            stream.sendall(len(question).to_bytes(2) + question)
            with stream.makefile("rb") as reader:
                length = int.from_bytes(reader.read(2))
                return servicerecords.answer(reader.read(length), question).records

    def _configured(self) -> tuple[list[str], list[str]]:
        """The servers, and the domains to look in."""
        servers: list[str] = []
        domains: list[str] = []
        with contextlib.suppress(OSError):
            for line in self._resolver.read_text(errors="replace").splitlines():
                match line.split():
                    case ["nameserver", server, *_]:
                        servers.append(server)
                    case ["search" | "domain", *names]:
                        domains = names
        return servers[:3] or ["127.0.0.1"], domains[:6]


def _resolved(name: str) -> list[str]:
    if _is_short(name):
        return []
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [_plain(str(address[0]).partition("%")[0]) for *_, address in found]


def _is_short(name: str) -> bool:
    """Whether only the C library takes it for an address: `127.1` and `0x7f.1` are 127.0.0.1."""
    try:
        packed = socket.inet_aton(name)
    except OSError:
        return False
    return socket.inet_ntoa(packed) != name


def _plain(address: str) -> str:
    """As Go prints it: `::ffff:10.0.0.1` is 10.0.0.1."""
    mapped = IPv6Address(address).ipv4_mapped if ":" in address else None
    return str(mapped or address)
