"""How many requests a service has had at this edge, for whoever asks: `/usage?service=NAME`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from wharfinger.endpoints import json_answer
from wharfinger.errors import Rejected, WharfingerError
from wharfinger.keys import Service


class Usage:
    """Asks Nginx when it is asked.

    Args:
        requests: of a service, since Nginx was started.
    """

    def __init__(self, requests: Callable[[str], Awaitable[int]]) -> None:
        self._requests = requests
        # Behind the same door wait the changes that Nginx is told of: of us, one at a time.
        self._gate = asyncio.Lock()

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes, for discovery's address."""
        return [web.get("/usage", self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        try:
            service = Service.parse(request.query.get("service", "")).name
        except Rejected as error:
            return json_answer({"error": f"service: {error}"}, status=400)
        told: dict[str, Any] = {"service": service, "requests": None}
        try:
            async with self._gate:
                told |= {"requests": await self._requests(service), "at": time.monotonic()}
        except WharfingerError as error:
            told["why"] = str(error)
        return json_answer(told)
