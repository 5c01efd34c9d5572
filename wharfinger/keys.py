"""The grammar of Wharfinger's keys in etcd, both ways; whatever does not fit is refused."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from wharfinger.errors import Rejected

MAX_NAME_LENGTH: Final = 128
INSTANCES: Final = "/wharfinger/instances/"
HOSTS: Final = "/wharfinger/hosts/"
DEPLOY: Final = "/wharfinger/deploy/"
ORDERS: Final = "/wharfinger/orders/"

# re.ASCII and fullmatch, because \w and $ would let look-alikes and a final newline in.
_APP = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_ENV = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
_ORDER_ID = re.compile(r"[a-z0-9]{8,64}", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """An application in an environment; `<APP>_<ENV>` wherever it has one name.

    Raises:
        Rejected: a part is empty, too long, or has a character that keys must not carry.
    """

    app: str
    env: str

    def __post_init__(self) -> None:
        _require(_APP, "app", self.app, "letters, digits, '.', '-' and '_'")
        _require(_ENV, "env", self.env, "letters, digits, '.' and '-'")
        _require_more_than_dots("app", self.app)

    @property
    def name(self) -> str:
        """`<APP>_<ENV>`: the key's first part and the upstream's name."""
        return f"{self.app}_{self.env}"

    @property
    def prefix(self) -> str:
        """`/<APP>_<ENV>/`, below which its instances stand."""
        return f"/{self.name}/"

    @classmethod
    def parse(cls, name: str) -> "Service":
        """Reads `<APP>_<ENV>`: ENV has no underscore, so the last one divides.

        Raises:
            Rejected: it is no such name.
        """
        app, underscore, env = name.rpartition("_")
        if not underscore:
            raise Rejected(f"{_shown(name)} is not <APP>_<ENV>")
        return cls(app, env)


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An IP address in its canonical form, and a port; IPv6 stands in brackets when written.

    Raises:
        Rejected: it is no address, or a port outside 1 to 65535.
    """

    ip: str
    port: int

    def __post_init__(self) -> None:
        try:
            address = ipaddress.ip_address(self.ip)
        except ValueError:
            raise Rejected(f"{_shown(self.ip)} is no IP address") from None
        # A zone (fe80::1%eth0) means something on one host only, and may hold any character.
        if "%" in self.ip or str(address) != self.ip:
            raise Rejected(f"{_shown(self.ip)} is not written canonically ({address})")
        if address.is_unspecified or address.is_multicast or address == _BROADCAST:
            # 0.0.0.0 in an upstream would be the reader's own host.
            raise Rejected(f"{address} is no address of a host")
        if getattr(address, "ipv4_mapped", None) is not None:
            # The same peer under a second name; and Pythons differ in how they spell it.
            raise Rejected(f"{address} is an IPv4 address and must be written as one")
        if not 0 < self.port < 2**16:
            raise Rejected(f"{self.port} is no port")

    @property
    def value(self) -> str:
        """`IP:PORT`, as the value in etcd and in an Nginx upstream."""
        return f"{self._host}:{self.port}"

    @property
    def key(self) -> str:
        """`IP-PORT`, the last part of a key."""
        return f"{self._host}-{self.port}"

    @property
    def _host(self) -> str:
        return f"[{self.ip}]" if ":" in self.ip else self.ip

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Reads `IP:PORT`, as in a value.

        Raises:
            Rejected: it is anything else, be it longer by one newline.
        """
        return cls._divided(text, ":")

    @classmethod
    def parse_key(cls, text: str) -> "Endpoint":
        """Reads `IP-PORT`, as in a key.

        Raises:
            Rejected: it is anything else.
        """
        return cls._divided(text, "-")

    @classmethod
    def _divided(cls, text: str, divider: str) -> "Endpoint":
        host, found, port = text.rpartition(divider)
        bracketed = host.startswith("[") and host.endswith("]")
        if not found or not _PORT.fullmatch(port) or (":" in host) != bracketed:
            raise Rejected(f"{_shown(text)} is not IP{divider}PORT")
        return cls(host[1:-1] if bracketed else host, int(port))


@dataclass(frozen=True, slots=True, order=True)
class InstanceKey:
    """Where one instance of a service stands in etcd."""

    service: Service
    endpoint: Endpoint

    def __hash__(self) -> int:
        # Daemons look all of theirs up again and again; these part nearly all of them.
        return hash((self.endpoint.ip, self.endpoint.port, self.service.app))

    @property
    def address(self) -> str:
        """`/<APP>_<ENV>/<IP>-<PORT>`: its value is `IP:PORT` and nothing else."""
        return f"{self.service.prefix}{self.endpoint.key}"

    @property
    def metadata(self) -> str:
        """`/wharfinger/instances/<APP>_<ENV>/<IP>-<PORT>`: its value is JSON."""
        return f"{INSTANCES}{self.service.name}/{self.endpoint.key}"

    @classmethod
    def parse(cls, key: str) -> "InstanceKey":
        """Reads either of the two keys.

        Raises:
            Rejected: it is neither.
        """
        rest = key.removeprefix(INSTANCES) if key.startswith(INSTANCES) else key.removeprefix("/")
        service, slash, endpoint = rest.partition("/")
        if rest == key or not slash:
            raise Rejected(f"{_shown(key)} is no instance key")
        return cls(Service.parse(service), Endpoint.parse_key(endpoint))


@dataclass(frozen=True, slots=True, order=True)
class HostKey:
    """Where one daemon of one host stands in etcd.

    Raises:
        Rejected: a part cannot stand in a key.
    """

    host: str
    daemon: str

    def __post_init__(self) -> None:
        for what, text in (("host", self.host), ("daemon", self.daemon)):
            _require(_APP, what, text, "letters, digits, '.', '-' and '_'")
            _require_more_than_dots(what, text)

    @property
    def key(self) -> str:
        """`/wharfinger/hosts/<HOST>/<daemon>`."""
        return f"{HOSTS}{self.host}/{self.daemon}"

    @classmethod
    def parse(cls, key: str) -> "HostKey":
        """Reads the key.

        Raises:
            Rejected: it is no such key.
        """
        host, slash, daemon = key.removeprefix(HOSTS).partition("/")
        if not key.startswith(HOSTS) or not slash:
            raise Rejected(f"{_shown(key)} is no host's key")
        return cls(host, daemon)


@dataclass(frozen=True, slots=True, order=True)
class OrderKey:
    """Where one order to the registrar of a host stands in etcd.

    Raises:
        Rejected: a part cannot stand in a key.
    """

    host: str
    id: str

    def __post_init__(self) -> None:
        _require(_APP, "host", self.host, "letters, digits, '.', '-' and '_'")
        _require_more_than_dots("host", self.host)
        _require(_ORDER_ID, "id", self.id, "8 to 64 of a-z and 0-9")

    @property
    def key(self) -> str:
        """`/wharfinger/orders/<HOST>/<ID>`."""
        return f"{ORDERS}{self.host}/{self.id}"

    @classmethod
    def parse(cls, key: str) -> "OrderKey":
        """Reads the key.

        Raises:
            Rejected: it is no such key.
        """
        host, slash, order_id = key.removeprefix(ORDERS).partition("/")
        if not key.startswith(ORDERS) or not slash:
            raise Rejected(f"{_shown(key)} is no order's key")
        return cls(host, order_id)


def host_key(host: str, daemon: str) -> str:
    """`/wharfinger/hosts/<HOST>/<daemon>`.

    Raises:
        Rejected: a part cannot stand in a key.
    """
    return HostKey(host, daemon).key


def _require_more_than_dots(what: str, text: str) -> None:
    if not text.strip("."):
        raise Rejected(f"{what} {text!r} is only dots")


def _require(pattern: re.Pattern[str], what: str, text: str, allowed: str) -> None:
    if len(text) > MAX_NAME_LENGTH:
        raise Rejected(f"{what} has {len(text)} characters; {MAX_NAME_LENGTH} are allowed")
    if not pattern.fullmatch(text):
        raise Rejected(f"{what} {_shown(text)} may hold {allowed} only")


def _shown(text: str) -> str:
    """Hostile text in an error message: quoted, escaped, short."""
    return ascii(text if len(text) <= MAX_NAME_LENGTH else text[:MAX_NAME_LENGTH] + "...")
