"""The register of a small authority: who has a certificate, what for, until when; pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Final, Literal

import msgspec

from wharfinger.errors import Rejected
from wharfinger.expiry import Validity
from wharfinger.keys import HostKey, Service

Role = Literal["host", "edge", "store", "deploy", "etcd", "admin"]
State = Literal["good", "soon", "near", "ended", "revoked"]

ROLES: Final[tuple[Role, ...]] = ("host", "edge", "store", "deploy", "etcd", "admin")
# One machine that does everything, but for the registry itself.
ALL: Final[tuple[Role, ...]] = ("host", "edge", "store")
# What listens with TLS, and is asked under the names in its certificate.
SERVING: Final = frozenset[Role]({"store", "etcd"})
# What has a user in etcd by the common name of its certificate.
USERS: Final = frozenset[Role]({"host", "edge", "store", "deploy", "admin"})
# Who asks from the same machine finds these names in its certificate.
LOCAL_DNS: Final = ("localhost",)
LOCAL_IPS: Final = ("127.0.0.1", "::1")
# A name that no machine has. etcd's members let in as a member whoever shows it, and nobody else
# that the authority has signed (etcd: --peer-cert-allowed-hostname).
MEMBER: Final = "member.etcd.wharfinger"
ROOT: Final = "root"
EVERY: Final = "*"

MAX_NAME: Final = 64  # RFC 5280, appendix A.1: ub-common-name
_DNS: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", re.ASCII)
_SERVICES: Final = re.compile(r"[A-Za-z0-9._-]*\*?", re.ASCII)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate shall be for.

    Attributes:
        name: its common name: that of the host (`host.name`), and of etcd's user.
        roles: what runs there, sorted as in `ROLES`.
        dns: names it is reached at.
        ips: addresses it is reached at.
    """

    name: str
    roles: tuple[Role, ...]
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()


class Issued(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate that was signed.

    Attributes:
        wish: what for.
        services: what a registrar may register, and `deploy` release: `shop_prod`, `shop_*`, or
            `*` for everything.
        serial: its number, in hexadecimal.
        since: from when it is good.
        until: until when.
        revoked: when it was taken back.
    """

    wish: Wish
    services: tuple[str, ...] = (EVERY,)
    serial: str
    since: datetime
    until: datetime
    revoked: datetime | None = None

    def state(self, now: datetime) -> State:
        """How it stands."""
        if self.revoked is not None:
            return "revoked"
        return Validity(self.since, self.until).standing(now)


class Register(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every certificate that was signed, in the order of signing.

    Attributes:
        version: of this form.
        name: of the authority.
        issued: all of them; the last of a name is the one in force.
    """

    version: int = 1
    name: str
    issued: tuple[Issued, ...] = ()

    def current(self, name: str) -> Issued | None:
        """The one in force, which may have ended or be revoked."""
        return next((one for one in reversed(self.issued) if one.wish.name == name), None)

    def all_current(self) -> Iterator[Issued]:
        """The one in force of each name, by name."""
        for name in sorted({one.wish.name for one in self.issued}):
            if (found := self.current(name)) is not None:
                yield found

    def with_issued(self, one: Issued) -> "Register":
        """With one more."""
        return msgspec.structs.replace(self, issued=(*self.issued, one))

    def with_services(self, name: str, services: tuple[str, ...]) -> "Register":
        """With other services of the one in force."""
        current = self.current(name)
        return msgspec.structs.replace(
            self,
            issued=tuple(
                msgspec.structs.replace(one, services=services) if one is current else one
                for one in self.issued
            ),
        )

    def with_revoked(self, name: str, now: datetime) -> "Register":
        """With every certificate of a name taken back, those before the one in force, too.

        Raises:
            Rejected: there is none, or it was taken back already.
        """
        current = self.current(name)
        if current is None:
            raise Rejected(f"{name[:MAX_NAME]!a} has no certificate: see `wharfinger pki list`")
        if current.revoked is not None:
            raise Rejected(f"{name} was revoked at {current.revoked:%Y-%m-%dT%H:%M:%SZ} already")
        return msgspec.structs.replace(
            self,
            issued=tuple(
                msgspec.structs.replace(one, revoked=now)
                if one.wish.name == name and one.revoked is None
                else one
                for one in self.issued
            ),
        )

    def revoked(self, now: datetime) -> list[Issued]:
        """What was taken back and would be good otherwise."""
        return [one for one in self.issued if one.revoked is not None and one.until > now]


def wish(name: str, roles: Iterable[str], dns: Sequence[str], ips: Sequence[str]) -> Wish:
    """What somebody asks for, with what its roles need.

    Args:
        name: of the host or the person.
        roles: as they are written, `all` and lists with commas among them.
        dns: more names.
        ips: addresses.

    Raises:
        Rejected: a part of it can stand in no certificate.
    """
    chosen = _roles(roles)
    if len(name) > MAX_NAME:
        raise Rejected(f"{name[:MAX_NAME]!a}... is longer than {MAX_NAME} characters")
    HostKey(name, "registrar")  # it stands in keys
    if not name[0].isalnum():
        raise Rejected(f"{name!a} begins with no letter or digit")
    if name == ROOT and chosen != ("admin",):
        raise Rejected("root is the user that may do everything in etcd: give a host another name")
    names, addresses = [name, *dns], [str(_ip(text)) for text in ips]
    if SERVING & set(chosen):
        names += LOCAL_DNS
        addresses += LOCAL_IPS
    if "etcd" in chosen:
        names.append(MEMBER)
    for each in names:
        if not _DNS.fullmatch(each):
            raise Rejected(f"{each[:MAX_NAME]!a} is no name: write an address as --ip")
        if "etcd" not in chosen and _covers(each, MEMBER):
            raise Rejected(f"{each} would make it a member of etcd")
    return Wish(
        name=name,
        roles=chosen,
        dns=tuple(dict.fromkeys(names)),
        ips=tuple(dict.fromkeys(addresses)),
    )


def services(text: str) -> tuple[str, ...]:
    """What a registrar may register, out of `shop_prod,shop_qa` or `shop_*`.

    Raises:
        Rejected: one of them is no service.
    """
    found = tuple(sorted({each.strip() for each in text.split(",") if each.strip()}))
    for each in found:
        if not each.endswith(EVERY):
            Service.parse(each)
        elif not _SERVICES.fullmatch(each):
            raise Rejected(f"{each[:MAX_NAME]!a} is no service: write shop_prod, shop_* or *")
    if not found:
        raise Rejected("--services is empty: write shop_prod,shop_qa, or * for all")
    return (EVERY,) if EVERY in found else found


def _covers(name: str, other: str) -> bool:
    """Whether a certificate for `name` is good for `other` (RFC 6125, section 6.4.3)."""
    name, other = name.lower().rstrip("."), other.lower()
    return name == other or (name.startswith("*.") and name[1:] == other[other.index(".") :])


def _roles(texts: Iterable[str]) -> tuple[Role, ...]:
    asked = {part.strip() for text in texts for part in text.split(",")}
    if "all" in asked:
        asked = asked - {"all"} | set(ALL)
    if unknown := sorted(asked - set(ROLES)):
        raise Rejected(f"{unknown[0][:MAX_NAME]!a} is no role: write {', '.join(ROLES)} or all")
    return tuple(role for role in ROLES if role in asked)


def _ip(text: str) -> object:
    try:
        address = ip_address(text)
    except ValueError:
        raise Rejected(f"{text[:MAX_NAME]!a} is no IP address: write a name as --dns") from None
    if "%" in text:
        raise Rejected(f"{text[:MAX_NAME]!a}: a zone means something on one host only")
    return address
