"""Issue, renew, revoke: what changes in the authority's folder, and what goes into a bundle."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.operator.pki import bundle, signing, tokens
from wharfinger.operator.pki.bundle import CA, CERTIFICATE, CRL, KEY
from wharfinger.operator.pki.folder import Folder
from wharfinger.operator.pki.model import Issued, Register, Wish
from wharfinger.operator.pki.passphrase import Passphrase
from wharfinger.operator.pki.signing import Signed

_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A certificate as somebody asks for it.

    Attributes:
        wish: what for.
        services: what its registrar may register; None leaves that as it is, at first all.
        lifetime: how long it is good.
        out: where the bundle goes; None for the authority's own folder.
        renew: a new pair, whatever there is.
    """

    wish: Wish
    services: tuple[str, ...] | None
    lifetime: timedelta
    out: Path | None = None
    renew: bool = False


@dataclass(slots=True)
class Office:
    """Does what is asked of the authority, and says what it did.

    Attributes:
        folder: the authority's.
        passphrase: of its key.
        now: the time.
        told: what was done, in lines.
    """

    folder: Folder
    passphrase: Passphrase
    now: datetime
    told: list[str] = field(default_factory=list)

    def issue(self, order: Order) -> None:
        """Signs a certificate, unless the bundle has the one in force already.

        Raises:
            Rejected: there is one for something else, or its key is elsewhere.
            ConfigError: the authority cannot be used.
        """
        wish = order.wish
        with self.folder.alone():
            register = self.folder.register()
            current = register.current(wish.name)
            out = order.out or self.folder.bundle(wish.name)
            held = bundle.read(out)
            _require_own(register, wish.name, held, out)
            if order.renew or current is None or current.state(self.now) in {"revoked", "ended"}:
                before = current.services if current else None
                files = self._signed(register, order, order.services or before)
            else:
                _require_same(current, wish, held, out)
                files = {}
                ends = f"{current.until:%Y-%m-%d}"
                self.told.append(f"{wish.name}: issued already, good until {ends}; it stays")
                if order.services and order.services != current.services:
                    self.folder.save(register.with_services(wish.name, order.services))
                    self.told.append(f"{wish.name}: may register {', '.join(order.services)}")
            had = {} if order.renew else held
            known = self.folder.token_lists()
            lists, fresh = tokens.provided(known, had, wish, _token)
            if lists != known:
                self.folder.save_token_lists(lists)
            self._deliver(wish, out, {**files, **fresh}, held)

    def renew(self, names: Sequence[str], lifetime: timedelta | None, out: Path | None) -> None:
        """A new pair each, for the same names and as long as before; tokens stay.

        Raises:
            Rejected: one has no certificate, or it is revoked.
            ConfigError: the authority cannot be used.
        """
        with self.folder.alone():
            for name in names:
                register = self.folder.register()
                current = register.current(name)
                if current is None or current.revoked is not None:
                    why = "is revoked" if current else "has no certificate"
                    raise Rejected(f"{name[:64]!a} {why}: wharfinger pki issue")
                where = out or self.folder.bundle(name)
                held = bundle.read(where)
                _require_own(register, name, held, where)
                order = Order(
                    wish=current.wish,
                    services=current.services,
                    lifetime=lifetime or current.until - current.since - signing.BACKDATED,
                )
                self._deliver(
                    current.wish, where, self._signed(register, order, current.services), held
                )

    def revoke(self, name: str) -> None:
        """Takes a host's certificates and tokens back, and says who has to hear of it.

        Raises:
            Rejected: there is nothing to be taken back.
            ConfigError: the authority cannot be used.
        """
        with self.folder.alone():
            register = self.folder.register().with_revoked(name, self.now)
            authority = self.folder.authority(self.passphrase)
            crl = signing.revocations(authority, register.revoked(self.now), self.now)
            lists = self.folder.token_lists()
            shorter = {kind: tokens.without(text, name) for kind, text in lists.items()}
            self.folder.save_token_lists(shorter)
            self.folder.save_crl(crl)
            # Last: what the register says is revoked is not revoked again.
            self.folder.save(register)
            self.told.append(f"{name}: revoked")
            self.told.append("etcd still knows its user: wharfinger pki users")
            if shorter != lists:
                where = self.folder.path / "tokens"
                self.told.append(f"the store still knows its token: carry {where} to it")
            where = self.folder.path / CRL
            self.told.append(f"etcd's members refuse the certificate itself once they have {where}")

    def _signed(
        self, register: Register, order: Order, services: tuple[str, ...] | None
    ) -> dict[str, bytes]:
        authority = self.folder.authority(self.passphrase)
        signed = signing.sign(authority, order.wish, order.lifetime, self.now)
        # Registered before anybody has it: what is not known cannot be revoked.
        self.folder.save(register.with_issued(_issued(order.wish, signed, services)))
        roles, ends = ", ".join(order.wish.roles), f"{signed.until:%Y-%m-%d %H:%M}Z"
        self.told.append(f"{order.wish.name}: a certificate as {roles}, good until {ends}")
        return {CERTIFICATE: signed.pair.certificate, KEY: signed.pair.key}

    def _deliver(
        self, wish: Wish, out: Path, files: dict[str, bytes], held: dict[str, bytes]
    ) -> None:
        whole = {**files, CA: self.folder.ca}
        if "store" in wish.roles:
            whole |= tokens.known(self.folder.token_lists(), {**held, **files})
        if "etcd" in wish.roles and (crl := self.folder.crl):
            whole[CRL] = crl
        changed = {name: content for name, content in whole.items() if held.get(name) != content}
        if changed:
            bundle.write(out, changed)
            self.told.append(f"{wish.name}: {', '.join(sorted(changed))} in {out}")


def _issued(wish: Wish, signed: Signed, services: tuple[str, ...] | None) -> Issued:
    made = Issued(wish=wish, serial=signed.serial, since=signed.since, until=signed.until)
    if services is None:
        return made
    return Issued(
        wish=wish,
        services=services,
        serial=signed.serial,
        since=signed.since,
        until=signed.until,
    )


def _token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _require_own(register: Register, name: str, held: dict[str, bytes], out: Path) -> None:
    """What is in the way of a bundle must be an earlier one of the same name."""
    if KEY not in held and CERTIFICATE not in held:
        return
    serial = signing.serial_of(held.get(CERTIFICATE, b""))
    if not any(one.wish.name == name and one.serial == serial for one in register.issued):
        raise Rejected(f"{out} holds a key that is not {name}'s: name another place with --out")


def _require_same(current: Issued, wish: Wish, held: dict[str, bytes], out: Path) -> None:
    name = wish.name
    if current.wish != wish:
        roles, names = ", ".join(current.wish.roles), (*current.wish.dns, *current.wish.ips)
        raise Rejected(
            f"{name} has a certificate as {roles} for {', '.join(names)}:"
            " --renew replaces it by one as it is asked for now"
        )
    if KEY not in held or signing.serial_of(held.get(CERTIFICATE, b"")) != current.serial:
        raise Rejected(
            f"{name} has a certificate until {current.until:%Y-%m-%d}, and its key is not in {out}:"
            " name the place that has it, or make a new pair with --renew"
        )
