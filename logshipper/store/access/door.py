"""The door: from a request to who has come; what it decides by is pure, and stands beside it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from logshipper.store.access import origin, peers
from logshipper.store.access.callers import ANYONE, Caller, Denied, Kind
from logshipper.store.access.failures import Failures
from logshipper.store.access.peers import Peer, TwoUsers
from logshipper.store.access.rules import Rules
from logshipper.store.access.sessions import Sessions
from logshipper.store.access.tokens import Token, Tokens, digests
from logshipper.store.model import DEFAULT_TENANT
from wharfinger.text import printable

CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="logstore", charset="UTF-8"'}
# What our page sends: a challenge would make the browser ask in a window of its own.
OWN_PAGE: Final = "X-Requested-With"
_FORWARDED: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Door:
    """Tells who has come.

    Args:
        rules: who may.
        sessions: the cookies of browsers.
        clock: monotonic seconds.
        wall: seconds since the epoch.

    Attributes:
        rules: the same; a reload, or a token file that has changed, replaces them.
        sessions: the same.
    """

    def __init__(
        self,
        rules: Rules,
        sessions: Sessions,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.rules = rules
        self.sessions = sessions
        self._clock = clock
        self._wall = wall
        self._failures = Failures()

    def reader(self, request: web.Request) -> Caller:
        """Who wants to read.

        Raises:
            Denied: they may not.
        """
        peer = self.peer(request)
        rules = self.rules
        if peer.trusted and rules.proxies.user_header and (user := self._user(request)):
            return self._named(user, peer, "user")
        if rules.anyone_reads:
            self.check_page(request)
            return self._unnamed(request, peer)
        session = self._session(request)
        if session is not None:
            return _holder(session, peer, "session")
        return self._by_token(request, peer, rules.readers)

    def admin(self, request: web.Request) -> Caller:
        """Who wants to give the fleet an order.

        Raises:
            Denied: they may not.
        """
        peer, rules = self.peer(request), self.rules
        self.check_certificate(request)
        if not rules.ordering.known:
            fix = "set logstore.admin_token_file, and make one: logstore token admin"
            raise Denied(403, "admin", "no token may give orders here", fix)
        shown = digests(request.headers.get("Authorization", ""))
        if not shown:
            return self._admin_session(request, peer)
        if rules.reading.find(shown) is not None and rules.ordering.find(shown) is None:
            raise _reads_only()
        return _of_all(_holder(self._looked_up(peer, shown, rules.ordering, {}), peer, "token"))

    def may_order(self, request: web.Request) -> bool:
        """Whether what a reader shows lets them give orders as well."""
        if shown := digests(request.headers.get("Authorization", "")):
            token = self.rules.ordering.find(shown)
        else:
            session = self._session(request)
            token = None if session is None else self.rules.ordering.find((session.digest,))
        return token is not None and token.tenant == DEFAULT_TENANT

    def sender(self, request: web.Request) -> Caller:
        """Who wants to write.

        Raises:
            Denied: they may not.
        """
        peer = self.peer(request)
        if not self.rules.writing.known:
            return self._unnamed(request, peer)
        return self._by_token(request, peer, self.rules.writing)

    def may_write(self, request: web.Request, tenant: str) -> bool:
        """Whether what a reader shows lets them write as well.

        Who is let in without a token must not try those of others here.
        """
        rules = self.rules
        if not rules.writing.known:
            name = _certificate(request)
            return tenant == (rules.tenant_of(name) if name else DEFAULT_TENANT)
        shown = digests(request.headers.get("Authorization", ""))
        if not shown or rules.reading.find(shown) is not None:
            token = rules.writing.find(shown)
            return token is not None and token.tenant == tenant
        try:
            return self._looked_up(self.peer(request), shown, rules.writing, {}).tenant == tenant
        except Denied:
            return False

    def holds(self, request: web.Request, caller: Caller) -> bool:
        """Whether who was let in to read would still be let in."""
        rules = self.rules
        match caller.kind:
            case "token":
                known = rules.readers.known
                return any(t.digest == caller.key and t.tenant == caller.tenant for t in known)
            case "session":
                token = self._session(request)
                return token is not None and token.tenant == caller.tenant
            case "user":
                named = bool(rules.proxies.user_header) and self.peer(request).trusted
                return named and rules.tenant_of(caller.name) == caller.tenant
            case "certificate":
                return rules.anyone_reads and rules.tenant_of(caller.name) == caller.tenant
            case _:
                return rules.anyone_reads

    def sign_in(self, request: web.Request, token: str) -> tuple[Caller, str, float]:
        """Takes a token for a session.

        Returns:
            Who they are, the cookie's value, and until when it is good, in seconds since 1970.

        Raises:
            Denied: it is no token that may read.
        """
        peer = self.peer(request)
        shown = digests(f"Bearer {token.strip()}")
        found = self._looked_up(peer, shown, self.rules.readers, {})
        ends_at = self._wall() + self.rules.session_seconds
        return _holder(found, peer, "session"), self.sessions.begin(found, ends_at), ends_at

    def check_origin(self, request: web.Request) -> None:
        """Whether a page of another site makes a browser send this.

        Raises:
            Denied: it does.
        """
        headers = request.headers
        # Any page may open a WebSocket anywhere, and read what it says (RFC 6455, 10.2).
        is_safe = request.method in _SAFE and "Upgrade" not in headers
        site = headers.get("Sec-Fetch-Site")
        if is_safe:
            good = origin.may_ask(site, headers.get("Sec-Fetch-Mode"))
        else:
            good = origin.is_own(headers.get("Origin"), site, request.host)
        if not good:
            fix = "send it from a program, or from this store's own page"
            raise Denied(403, "origin", "a page of another site sends this", fix)
        if is_safe:
            return
        if "Origin" in headers and not self.rules.writing.known and not self.peer(request).trusted:
            self._require_own_name(request)

    def check_certificate(self, request: web.Request) -> None:
        """Whether who comes shows a certificate, where one has to.

        Raises:
            Denied: there is none.
        """
        if self.rules.certificates and not _certificate(request):
            fix = "connect with a certificate that client_ca_file has signed"
            raise Denied(403, "certificate", "no certificate was shown", fix)

    def check_page(self, request: web.Request) -> None:
        """Whether this may have the page, which says no more than our source does.

        Raises:
            Denied: the browser takes us for somebody else.
        """
        open_to_all = self.rules.anyone_reads and not self.rules.certificates
        if open_to_all and not self.peer(request).trusted:
            self._require_own_name(request)

    def check_operator(self, request: web.Request) -> Caller | None:
        """Whether this may see what goes on in the daemon, of all tenants.

        That is who comes from this host, or reads the lines of the default tenant.

        Returns:
            Who reads those; None where the place alone was enough.

        Raises:
            Denied: it may not.
        """
        rules, peer = self.rules, self.peer(request)
        if rules.anyone_reads and not rules.certificates:
            self.check_page(request)
            return None
        forwarded = peer.trusted or any(name in request.headers for name in _FORWARDED)
        is_ours = not forwarded and _is_this_host(request, peer.address)
        if is_ours and rules.is_own_name(request.host):
            return None
        self.check_certificate(request)
        caller = self.reader(request)
        if caller.tenant != DEFAULT_TENANT:
            fix = "ask on the store's own host"
            raise Denied(403, "tenant", "this tells of all tenants", fix)
        return caller

    def peer(self, request: web.Request) -> Peer:
        """Where a request comes from."""
        forwarded_for = request.headers.getall("X-Forwarded-For", [])
        return self.rules.proxies.peer(request.remote or "", forwarded_for)

    def is_encrypted(self, request: web.Request) -> bool:
        """Whether the browser speaks TLS, with us or with a proxy whose word counts."""
        if request.secure:
            return True
        told = request.headers.getall("X-Forwarded-Proto", [])
        return self.peer(request).trusted and told == ["https"]

    def has_ignored_user(self, request: web.Request) -> bool:
        """Whether somebody names a user whose word does not count."""
        name = self.rules.proxies.user_header
        return bool(name) and name in request.headers and not self.peer(request).trusted

    def _user(self, request: web.Request) -> str:
        proxies = self.rules.proxies
        try:
            return proxies.user(request.headers.getall(proxies.user_header, []))
        except TwoUsers as error:
            fix = "let the proxy replace the header, not add to it"
            raise Denied(400, "user_header", str(error), fix) from None

    def _unnamed(self, request: web.Request, peer: Peer) -> Caller:
        if name := _certificate(request):
            return self._named(name, peer, "certificate")
        return Caller(DEFAULT_TENANT, ANYONE, peer.address, ANYONE, ANYONE)

    def _named(self, name: str, peer: Peer, kind: Kind) -> Caller:
        tenant = self.rules.tenant_of(name)
        if not tenant:
            fix = "name the user in user_tenants"
            raise Denied(403, "user", f"{printable(name[:64])} has no tenant here", fix)
        return Caller(tenant, name, peer.address, kind, (kind, name))

    def _session(self, request: web.Request) -> Token | None:
        # A browser sends cookies by itself, whoever made it send the request.
        if request.method not in _SAFE:
            return None
        return self._signed_in(request)

    def _signed_in(self, request: web.Request) -> Token | None:
        cookie = request.cookies.get(self.sessions.cookie, "")
        return self.sessions.token(cookie, self.rules.readers.known, self._wall())

    def _admin_session(self, request: web.Request, peer: Peer) -> Caller:
        token = self._signed_in(request)
        if token is None:
            fix = "send Authorization: Bearer TOKEN, or sign in with a token that may"
            raise Denied(401, "none", "the token is missing or wrong", fix)
        # Only our own page may use the cookie here, and a browser that says which page it shows:
        # `check_origin` has looked at what these say.
        if not any(name in request.headers for name in ("Origin", "Sec-Fetch-Site")):
            raise Denied(403, "origin", "a cookie counts from this store's own page only")
        # The same token may stand in the other file, too, under another name.
        if (may := self.rules.ordering.find((token.digest,))) is None:
            raise _reads_only()
        return _of_all(_holder(may, peer, "session"))

    def _by_token(self, request: web.Request, peer: Peer, tokens: Tokens) -> Caller:
        shown = digests(request.headers.get("Authorization", ""))
        challenge = {} if OWN_PAGE in request.headers else CHALLENGE
        if not shown:
            fix = "send Authorization: Bearer TOKEN, or sign in"
            raise Denied(401, "none", "the token is missing or wrong", fix, challenge)
        return _holder(self._looked_up(peer, shown, tokens, challenge), peer, "token")

    def _looked_up(
        self, peer: Peer, shown: Sequence[bytes], tokens: Tokens, headers: Mapping[str, str]
    ) -> Token:
        now = self._clock()
        if wait := self._failures.wait_seconds(peer.address, shown, now):
            again = {"Retry-After": str(math.ceil(wait))}
            why = "too many wrong tokens came from this address"
            raise Denied(429, "guessing", why, "wait, and send the right one", again)
        found = tokens.find(shown)
        if found is None:
            self._failures.wrong(peer.address, shown, now)
            fix = "send one that the store's token file has"
            raise Denied(401, "token", "the token is missing or wrong", fix, headers)
        self._failures.right(peer.address, found.digest)
        return found

    def _require_own_name(self, request: web.Request) -> None:
        if not self.rules.is_own_name(request.host):
            name = printable(request.host[:80])
            fix = "use 127.0.0.1 or localhost, set host_names, or set tokens"
            raise Denied(403, "host", f"{name} is no name of this store", fix)


def _holder(token: Token, peer: Peer, kind: Kind) -> Caller:
    # By its digest: one who signs in is the same as one who shows the token.
    return Caller(token.tenant, token.shown, peer.address, kind, token.digest)


def _reads_only() -> Denied:
    return Denied(403, "admin", "this token may read only", "use one that may drain")


def _of_all(caller: Caller) -> Caller:
    """The same, who must not be of one tenant of several: hosts run what all of them do."""
    if caller.tenant != DEFAULT_TENANT:
        raise Denied(403, "tenant", "this is about what all tenants run")
    return caller


def _certificate(request: web.Request) -> str:
    """The name in the certificate that was shown and verified; empty if there is none."""
    transport = request.transport
    shown = transport.get_extra_info("peercert") if transport is not None else None
    if not shown:
        return ""
    names = {key: value for part in shown.get("subject", ()) for key, value in part}
    return printable(names.get("commonName") or f"serial {shown.get('serialNumber', '')}")


def _is_this_host(request: web.Request, address: str) -> bool:
    if peers.is_loopback(address):
        return True
    transport = request.transport
    own: tuple[str, ...] = transport.get_extra_info("sockname") if transport is not None else ()
    return bool(own) and peers.plain(own[0]) == address
