"""What the configuration says of who may; made anew at each reload."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from logshipper.store.access import peers
from logshipper.store.access.peers import Proxies
from logshipper.store.access.tokens import Tokens
from logshipper.store.config import LogstoreConfig
from logshipper.store.model import DEFAULT_TENANT
from wharfinger.address import parse_address

_DAY_SECONDS: Final = 86_400
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may.

    Attributes:
        writing: tokens that may write; none lets everybody.
        reading: tokens that may read; none lets everybody, if there are no users either.
        ordering: tokens that may give orders to the fleet, and read; none lets nobody.
        proxies: whose headers count.
        user_tenants: the tenants of users.
        user_tenant: that of all other users; empty if they may not.
        host_names: names of this store that a browser may use while everybody may read.
        certificates: whether each connection has to show a certificate.
        session_seconds: for how long a browser stays signed in.
    """

    writing: Tokens = field(default_factory=Tokens)
    reading: Tokens = field(default_factory=Tokens)
    ordering: Tokens = field(default_factory=Tokens)
    proxies: Proxies = field(default_factory=Proxies)
    user_tenants: Mapping[str, str] = field(default_factory=dict)
    user_tenant: str = DEFAULT_TENANT
    host_names: frozenset[str] = frozenset()
    certificates: bool = False
    session_seconds: float = 7.0 * _DAY_SECONDS

    @property
    def anyone_reads(self) -> bool:
        """Whether who may read is asked at all."""
        return not self.reading.known and not self.proxies.user_header

    @property
    def readers(self) -> Tokens:
        """All tokens that may read."""
        return Tokens((*self.reading.known, *self.ordering.known))

    def tenant_of(self, user: str) -> str:
        """The tenant of a user whom a proxy or a certificate names; empty if there is none."""
        return self.user_tenants.get(user, self.user_tenant)

    def is_own_name(self, host: str) -> bool:
        """Whether a `Host` header names this store, and not a page that was led here.

        A page on the internet can give its own name our address, and then reads what it likes
        (DNS rebinding). It cannot do so with an address, nor with localhost.
        """
        named = _HOST.fullmatch(host.strip().lower())
        if named is None:
            return False
        name = (named["ipv6"] or named["name"]).rstrip(".")
        if not name or name == "localhost" or name.endswith(".localhost"):
            return True
        return name in self.host_names or peers.is_address(name)


def make(section: LogstoreConfig, writing: Tokens, reading: Tokens, ordering: Tokens) -> Rules:
    """The rules of a configuration, and of the tokens that its files hold."""
    proxies = Proxies(peers.networks(section.trusted_proxies), section.user_header)
    own = (*section.host_names, parse_address(section.listen)[0])
    return Rules(
        writing=writing,
        reading=reading,
        ordering=ordering,
        proxies=proxies,
        user_tenants=section.user_tenants,
        user_tenant=section.user_tenant,
        host_names=frozenset(name.lower() for name in own),
        certificates=section.client_ca_file is not None,
        session_seconds=float(section.session_days * _DAY_SECONDS),
    )
