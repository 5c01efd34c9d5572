"""A webhook that keeps what it hears."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

# Part of its address, which is a secret.
TOKEN = "T0KEN"


class Webhook:
    """What it hears, and how it answers.

    Attributes:
        file: holds its address.
        heard: each body, in order.
        answer: makes its answers.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.heard: list[dict[str, Any]] = []
        self.answer: Callable[[], Awaitable[web.StreamResponse]] = self._well

    async def _well(self) -> web.StreamResponse:
        return web.Response()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        self.heard.append(await request.json())
        return await self.answer()


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[Webhook]:
    """Serves one; its address is in `folder/webhook`."""
    hook = Webhook(folder / "webhook")
    app = web.Application()
    app.router.add_post(f"/{TOKEN}", hook.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.file.write_text(f"http://127.0.0.1:{runner.addresses[0][1]}/{TOKEN}\n")
    try:
        yield hook
    finally:
        await runner.cleanup()
