"""Signing in from a browser, and out; and who one is."""

import time
from typing import Final

import msgspec
from aiohttp import web

from logshipper.store.access.audit import Audit
from logshipper.store.access.callers import Caller, Denied
from logshipper.store.access.rules import Rules
from logshipper.store.access.tokens import digests
from logshipper.store.http import shortbody
from logshipper.store.http.guard import Guard, caller_of, refusal
from logshipper.store.model import DEFAULT_TENANT, TooLarge
from wharfinger.errors import Rejected

_BODY_BYTES: Final = 4_096
_READ_SECONDS: Final = 10.0
_JSON: Final = "application/json"


class _Login(msgspec.Struct):
    token: str


class SignIn:
    """Routes for people.

    Args:
        guard: knows who may read.
        audit: notes who signs in.
        fleet: whether the store tells of the fleet, too.
    """

    def __init__(self, guard: Guard, audit: Audit, *, fleet: bool = False) -> None:
        self._guard = guard
        self._fleet = fleet
        self._door = guard.door
        self._audit = audit

    def routes(self) -> list[web.RouteDef]:
        """The routes, for an aiohttp application."""
        return [
            web.post("/api/login", self._login),
            web.post("/api/logout", self._logout),
            web.get("/api/whoami", self._guard.read("whoami", self._whoami)),
        ]

    async def _login(self, request: web.Request) -> web.Response:
        """200 and a cookie for a token that may read; the cookie counts for reading only."""
        try:
            shown = await _shown(request)
            rules = self._door.rules
            if rules.anyone_reads and rules.ordering.find(digests(f"Bearer {shown}")) is None:
                return _json(self._who(self._door.reader(request)))
            caller, cookie, ends_at = self._door.sign_in(request, shown)
        except Denied as denied:
            self._guard.count(denied, request)
            return refusal(denied)
        self._audit.note(
            "signed in", "info", reader=caller.name, tenant=caller.tenant, peer=caller.address
        )
        drains = self._fleet and may_drain(self._door.rules, caller)
        response = _json(self._who(caller, drains=drains))
        response.set_cookie(
            self._door.sessions.cookie,
            cookie,
            max_age=int(ends_at - time.time()),
            path="/",
            secure=self._door.is_encrypted(request),
            httponly=True,
            samesite="Strict",
        )
        return response

    async def _logout(self, _request: web.Request) -> web.Response:
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        response.del_cookie(self._door.sessions.cookie, path="/")
        return response

    async def _whoami(self, request: web.Request, _tenant: str) -> web.Response:
        caller = caller_of(request)
        writes = self._door.may_write(request, caller.tenant)
        drains = self._fleet and self._door.may_order(request)
        return _json(self._who(caller, writes=writes, drains=drains))

    def _who(
        self, caller: Caller, *, writes: bool = False, drains: bool = False
    ) -> dict[str, object]:
        may = ["read", *(["write"] if writes else []), *(["drain"] if drains else [])]
        fleet = {"fleet": True} if self._fleet and caller.tenant == DEFAULT_TENANT else {}
        return {"tenant": caller.tenant, "name": caller.name, "may": may, **fleet}


async def _shown(request: web.Request) -> str:
    """The token in a body, which has to say that it is JSON: no form of another site can."""
    if request.content_type != _JSON:
        raise Denied(415, "login", "this is no JSON", f"send Content-Type: {_JSON}")
    try:
        body = await shortbody.read(request, _BODY_BYTES, _READ_SECONDS)
        return msgspec.json.decode(body, type=_Login).token
    except TooLarge:
        raise Denied(413, "login", "no token is as long as this", "send the token") from None
    except (Rejected, msgspec.MsgspecError, UnicodeDecodeError):
        raise Denied(400, "login", "the body holds no token", 'send {"token":"..."}') from None


def may_drain(rules: Rules, caller: Caller) -> bool:
    """Whether who has just signed in may give orders."""
    known = rules.ordering.known
    return caller.tenant == DEFAULT_TENANT and any(t.digest == caller.key for t in known)


def _json(value: object) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, content_type=_JSON, headers={"Cache-Control": "no-store"})
