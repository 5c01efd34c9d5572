"""Loki's live tail: lines that come, over a WebSocket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from logshipper.store.http import guard as guarding
from logshipper.store.http.loki import replies
from logshipper.store.http.loki.asking import Asking
from logshipper.store.model import BadQuery, Found
from logshipper.store.query.backend import Counting
from logshipper.store.query.logql import parser
from logshipper.store.query.logql.answers import Answers, passed
from logshipper.store.query.logql.entries import Entry
from logshipper.store.query.logql.translate import Asked, translate

_PING_SECONDS: Final = 15.0
_MAX_MESSAGE_BYTES: Final = 4096


class Tailing:
    """The route of live tails.

    Args:
        backend: where lines come from.
        answers: finds those that came before.
        clock_ns: wall time.
    """

    def __init__(
        self, backend: Counting, answers: Answers, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._backend = backend
        self._answers = answers
        self._clock_ns = clock_ns

    async def tail(self, asking: Asking, tenant: str, request: web.Request) -> Any:
        """Sends what was since `start`, at most `limit` lines of it, then what comes."""
        log = parser.parse_log(asking.query())
        asked, limit = translate(log), asking.limit()
        start_ns, _ = asking.span()
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise BadQuery("this is no WebSocket", "ask with Upgrade: websocket")
        socket = web.WebSocketResponse(heartbeat=_PING_SECONDS, max_msg_size=_MAX_MESSAGE_BYTES)
        async with self._backend.tail(tenant, asked.query, _PING_SECONDS) as coming:
            # From here on nothing is missed; what is found here and comes, too, has one id.
            before = await self._answers.lines(
                tenant, translate(log, start_ns), limit, newest_first=True
            )
            await socket.prepare(request)
            sending = asyncio.create_task(self._send(request, socket, before[::-1], coming, asked))
            listening = asyncio.create_task(_until_closed(socket))
            try:
                await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                listening.cancel()
                sending.cancel()
                await asyncio.gather(listening, sending, return_exceptions=True)
            await socket.close()
        return socket

    async def _send(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        before: Sequence[Entry],
        coming: AsyncIterator[tuple[Sequence[Found], int]],
        asked: Asked,
    ) -> None:
        known = {one.id for one in before}
        if before:
            await socket.send_str(self._message(before, 0))
            guarding.gave(request, len(before))
        async for found, dropped in coming:
            new = [one for one in found if one.id not in known]
            kept = await asyncio.to_thread(passed, new, asked) if new else []
            if kept or dropped:
                await socket.send_str(self._message(kept, dropped))
                guarding.gave(request, len(kept))

    def _message(self, lines: Sequence[Entry], dropped: int) -> str:
        reply = replies.tail(lines, dropped, self._clock_ns())
        return msgspec.json.encode(reply).decode()


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            return
