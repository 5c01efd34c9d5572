"""Orders: who may give one, whether it makes sense, and a note of each."""

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web

from logshipper.store.access.audit import Audit
from logshipper.store.access.callers import Caller, Denied
from logshipper.store.fleet.live import Live
from logshipper.store.fleet.orderbook import MAX_OF_HOST
from logshipper.store.http import shortbody
from logshipper.store.http.guard import Guard, refusal
from logshipper.store.model import TooLarge
from wharfinger.errors import Rejected, WharfingerError
from wharfinger.keys import HostKey, InstanceKey, OrderKey
from wharfinger.orders import MAX_BY_LENGTH, REGISTRAR, Order, Verb
from wharfinger.text import printable, shortened

_BODY_BYTES: Final = 4_096
_READ_SECONDS: Final = 10.0
_JSON: Final = "application/json"
_ID_BYTES: Final = 8
# Somebody who drains by hand gives a few; a program that runs wild must not fill etcd. Those that
# are over stand there for minutes, too; more of a host than are shown would be of no use.
MAX_GIVING: Final = 64
MAX_STANDING: Final = MAX_OF_HOST

Give = Callable[[OrderKey, Order], Awaitable[None]]


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verb: Verb
    instance: str = ""
    host: str = ""


class Ordering:
    """The route that takes orders.

    Args:
        guard: knows who may.
        audit: notes each order, and who gave it.
        live: knows what there is.
        give: puts one into etcd.
    """

    def __init__(self, guard: Guard, audit: Audit, live: Live, give: Give) -> None:
        self._guard = guard
        self._audit = audit
        self._live = live
        self._give = give
        self._giving = 0

    async def post(self, request: web.Request) -> web.Response:
        """202 and the order's id; what becomes of it is told with the fleet."""
        try:
            caller = self._guard.admin(request)
        except Denied as denied:
            self._guard.count(denied, request)
            return refusal(denied)
        asked, key, why = "", "", ""
        try:
            asked, order_key, order = await self._understood(request, caller)
            key = order_key.key
            await self._given(order_key, order)
        except Denied as denied:
            why = str(denied)
            return refusal(denied)
        except Rejected as error:
            why = str(error)
            fix = "give the store's user in etcd the role that its README names"
            return refusal(Denied(502, "etcd", f"etcd refuses the order: {error}", fix))
        except WharfingerError as error:
            why = str(error)
            return refusal(
                Denied(503, "etcd", f"etcd did not take the order: {error}", "try again")
            )
        finally:
            self._audit.note(
                "order refused" if why else "order given", "warning" if why else "info",
                reader=caller.name, by=caller.kind, peer=caller.address,
                asked=asked, key=key, **({"why": why} if why else {}),
            )  # fmt: skip
        body = msgspec.json.encode({"order": order_key.id})
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=body, status=202, content_type=_JSON, headers=headers)

    async def _given(self, key: OrderKey, order: Order) -> None:
        if self._giving >= MAX_GIVING:
            raise Denied(429, "orders", "too many orders at once", "wait for those")
        if self._live.snapshot.orders_of(key.host) >= MAX_STANDING:
            fix = "drain the host whole, or wait: ten minutes after their end they go"
            raise Denied(429, "orders", f"{MAX_STANDING} orders to it stand in etcd", fix)
        self._giving += 1
        try:
            await self._give(key, order)
        finally:
            self._giving -= 1

    async def _understood(
        self, request: web.Request, caller: Caller
    ) -> tuple[str, OrderKey, Order]:
        asked = await _read(request)
        if not self._live.synced:
            raise Denied(409, "orders", "the fleet has not been read yet", "try again in a moment")
        host, target = self._host_target(asked) if asked.host else self._instance_target(asked)
        if not self._live.snapshot.has_registrar(host):
            fix = "ask on that host: wharfinger drain"
            raise Denied(409, "orders", f"no registrar of host {host} tells of itself", fix)
        order = Order(
            verb=asked.verb,
            target=target,
            by=printable(shortened(caller.name, MAX_BY_LENGTH))[:MAX_BY_LENGTH],
            at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        )
        return f"{asked.verb} {target}", OrderKey(host, secrets.token_hex(_ID_BYTES)), order

    def _host_target(self, asked: _Asked) -> tuple[str, str]:
        try:
            HostKey(asked.host, REGISTRAR)
        except Rejected as error:
            raise Denied(400, "orders", str(error)) from None
        if not self._live.snapshot.knows(asked.host):
            raise Denied(404, "orders", f"there is no host {asked.host}", "see /api/fleet")
        return asked.host, asked.host

    def _instance_target(self, asked: _Asked) -> tuple[str, str]:
        try:
            key = InstanceKey.parse(asked.instance)
        except Rejected as error:
            fix = "write its key: /<APP>_<ENV>/<IP>-<PORT>"
            raise Denied(400, "orders", str(error), fix) from None
        host = self._live.snapshot.host_of(key)
        if host is None:
            why = f"no registrar tells of an instance {key.address}"
            raise Denied(404, "orders", why, "see /api/fleet: what was put by hand has no host")
        return host, key.address


async def _read(request: web.Request) -> _Asked:
    """What is asked, in a body that says that it is JSON: no form of another site can."""
    if request.content_type != _JSON:
        raise Denied(415, "orders", "this is no JSON", f"send Content-Type: {_JSON}")
    form = 'send {"verb":"drain","instance":KEY} or {"verb":"drain","host":NAME}'
    try:
        body = await shortbody.read(request, _BODY_BYTES, _READ_SECONDS)
        asked = msgspec.json.decode(body, type=_Asked)
    except TooLarge:
        raise Denied(413, "orders", "no order is as long as this", form) from None
    except (Rejected, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Denied(400, "orders", printable(str(error)), form) from None
    if bool(asked.instance) == bool(asked.host):
        raise Denied(400, "orders", "an order names either an instance or a host", form)
    return asked
