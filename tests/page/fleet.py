"""A fleet to look at: a server that gives the page's own files, and whatever state a test wants.

The daemons behind it are real elsewhere (tests/store). Here a stream must fall silent, a fleet
have 50,000 instances, and an order fail halfway, all of it at the test's word.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from playwright.async_api import Locator, expect

from logshipper.store.http.pages import Pages
from tests.page.browsing import Visit
from tests.page.fleets import State, ago, calm
from wharfinger.operator.parts.process import free_port


class FleetVisit(Visit):
    """One tab on the fleet page."""

    async def open(self, path: str) -> None:
        """Goes to a path and waits until it is live."""
        await self.page.goto(f"{self.url}{path}")
        await self.found()

    async def found(self) -> None:
        await expect(self.link).to_have_text("Live")

    @property
    def link(self) -> Locator:
        return self.page.locator(".link [role=status]")

    @property
    def rows(self) -> Locator:
        return self.page.locator(".listing .entry")

    def row(self, text: str) -> Locator:
        return self.rows.filter(has_text=text)

    @property
    def status(self) -> Locator:
        return self.page.locator(".bar .status")

    async def words(self, text: str) -> None:
        await self.page.get_by_role("search").get_by_role("textbox").fill(text)


class Fleet:
    """The server, and the state that it tells of.

    Attributes:
        state: of the fleet; change it by `change`, so that browsers hear of it.
        events: that the daemons told of, newest first.
        posted: bodies of orders.
        asked: queries for events.
        token: that has to be shown by a session; none for anybody.
        refusal: status and reason of what every question gets; None to answer.
        order_refusal: the same of orders.
        silent: whether a stream that begins says nothing.
        reachable: whether anybody is let in.
    """

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._streams: set[asyncio.Queue[bytes | None]] = set()
        self.reset()

    def reset(self) -> None:
        """Makes it a calm fleet that answers anybody, for the next test."""
        self.cut()
        self.state = calm()
        self.events: list[State] = []
        self.posted: list[State] = []
        self.asked: list[str] = []
        self.token = ""
        self.refusal: tuple[int, str] | None = None
        self.order_refusal: tuple[int, str] | None = None
        self.silent = False
        self.reachable = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Fleet"]:
        application = web.Application()
        application.add_routes(Pages(_version, lambda _request: None, fleet=True).routes())
        application.add_routes(
            [
                web.get("/api/fleet", self._whole),
                web.get("/api/fleet/live", self._live),
                web.get("/api/fleet/events", self._events),
                web.post("/api/fleet/orders", self._order),
                web.post("/api/login", self._login),
                web.get("/api/whoami", self._whoami),
            ]
        )
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(self.url.rsplit(":", 1)[1])).start()
        yield self
        self.cut()
        await runner.cleanup()

    def change(self, **changes: Any) -> None:
        """Merges into the state what has changed, None for what is gone, and tells of it."""
        for name, change in changes.items():
            held = self.state[name]
            if not isinstance(held, dict):
                self.state[name] = change
                continue
            for key, told in change.items():
                _merge(held, key, told, deep=name == "services")
        self.state["time"] = changes["time"] = ago(0)
        self.state["revision"] += 1
        self.tell("change", {**changes, "revision": self.state["revision"]})

    def tell(self, event: str, told: State) -> None:
        self.send(f"event: {event}\ndata: {json.dumps(told)}\n\n".encode())

    def send(self, data: bytes) -> None:
        for queue in self._streams:
            queue.put_nowait(data)

    def cut(self) -> None:
        """Ends all streams."""
        for queue in self._streams:
            queue.put_nowait(None)

    def _denied(self, request: web.Request) -> web.Response | None:
        if not self.reachable:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if self.token and request.cookies.get("session") != self.token:
            return _error(401, "the token is missing or wrong")
        return _error(*self.refusal) if self.refusal else None

    async def _whole(self, request: web.Request) -> web.Response:
        return self._denied(request) or web.json_response(self.state)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if denied := self._denied(request):
            return denied
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.add(queue)
        try:
            if not self.silent:
                whole = json.dumps(self.state)
                await response.write(f": hello\n\nevent: fleet\ndata: {whole}\n\n".encode())
            while (data := await queue.get()) is not None:
                await response.write(data)
        except ConnectionError:
            pass
        finally:
            self._streams.discard(queue)
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _events(self, request: web.Request) -> web.Response:
        if denied := self._denied(request):
            return denied
        query = request.query
        self.asked.append(request.query_string)
        found = [
            event
            for event in self.events
            if all(
                not query.getall(name, []) or event[name] in query.getall(name)
                for name in ("host", "daemon", "level")
            )
            and ("before" not in query or event["id"] < query["before"])
        ]
        limit = int(query.get("limit", "100"))
        return web.json_response({"events": found[:limit], "more": len(found) > limit})

    async def _order(self, request: web.Request) -> web.Response:
        if self.order_refusal:
            return _error(*self.order_refusal)
        assert request.content_type == "application/json"
        body = await request.json()
        self.posted.append(copy.deepcopy(body))
        identity = f"o{len(self.posted)}"
        target = body.get("instance", body.get("host"))
        self.change(
            orders={
                identity: {
                    "verb": body["verb"], "target": target, "host": body.get("host", "box1"),
                    "state": "waiting", "steps": [], "by": "ann", "at": ago(0),
                }
            }
        )  # fmt: skip
        return web.json_response({"order": identity}, status=202)

    async def _login(self, request: web.Request) -> web.Response:
        if (await request.json())["token"] != self.token:
            return _error(401, "the token is missing or wrong")
        response = web.json_response({"name": "ann"})
        response.set_cookie("session", self.token, httponly=True, samesite="Strict")
        return response

    async def _whoami(self, request: web.Request) -> web.Response:
        name = "ann" if self.token else "anyone"
        return self._denied(request) or web.json_response(
            {"tenant": "default", "name": name, "may": ["read"], "fleet": True}
        )


def _merge(held: State, key: str, told: Any, *, deep: bool) -> None:
    if told is None:
        held.pop(key, None)
    elif deep and key in held:
        for endpoint, one in told["instances"].items():
            _merge(held[key]["instances"], endpoint, one, deep=False)
    else:
        held[key] = told


def _error(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)


async def _version(_request: web.Request) -> web.Response:
    return web.json_response({})
