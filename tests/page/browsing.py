"""A visit of the page in a real browser, and a real log store to visit."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from playwright.async_api import ConsoleMessage, Dialog, Locator, Page, Request, expect

from tests.stack.logstore import StoreProcess


class Store(StoreProcess):
    """A log store in a process of its own."""

    def __init__(self, folder: Path, **settings: object) -> None:
        super().__init__(folder, **settings)
        self.headers: dict[str, str] = {}

    async def add(self, lines: Iterable[Mapping[str, Any]], **fields: object) -> None:
        """Stores lines; they can be found when this returns."""
        body = b"".join(
            b'{"create":{}}\n' + json.dumps({**fields, **line}).encode() + b"\n" for line in lines
        )
        headers = {"Content-Type": "application/x-ndjson", **self.headers}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(f"{self.url}/_bulk", data=body) as answer,
        ):
            stored = await answer.json()
        assert not stored["errors"], stored

    async def say(self, *messages: str, ago_seconds: float = 60, **fields: object) -> None:
        """Stores messages, a millisecond apart, the last of them so long ago."""
        first = datetime.now(UTC) - timedelta(seconds=ago_seconds, milliseconds=len(messages))
        await self.add(
            (
                {"@timestamp": moment(first + timedelta(milliseconds=n)), "message": message}
                for n, message in enumerate(messages, 1)
            ),
            **fields,
        )


def moment(at: datetime) -> str:
    """A time as the API writes and takes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Visit:
    """One tab on the page; whatever it should never do is written down.

    Attributes:
        wrongs: dialogs, errors of scripts, refusals of the policy, requests to elsewhere.
        allowed: parts of complaints that a test provokes.
        requests: paths that were asked for.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.wrongs: list[str] = []
        self.allowed: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.wrongs.append(f"script: {error}"))
        page.on("dialog", self._asked)
        page.on("request", self._requested)

    def _heard(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        if message.type in {"error", "warning"}:
            self.wrongs.append(f"console: {message.text} {where}")

    async def _asked(self, dialog: Dialog) -> None:
        self.wrongs.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" != self.url and parts.scheme not in {"data", "blob"}:
            self.wrongs.append(f"request: {request.url}")
        self.requests.append(request.url.removeprefix(self.url))

    def complaints(self) -> list[str]:
        return [w for w in self.wrongs if not any(part in w for part in self.allowed)]

    async def open(self, path: str) -> None:
        """Goes to a path and waits until its lines are there."""
        await self.page.goto(f"{self.url}{path}")
        await self.found()

    async def found(self) -> None:
        """Waits until nothing is searched for."""
        await expect(self.page.get_by_role("list", name="Lines, newest first")).to_have_attribute(
            "aria-busy", "false"
        )
        await expect(self.page.locator(".listing.stale")).to_have_count(0)

    @property
    def entries(self) -> Locator:
        return self.page.locator(".listing .entry")

    @property
    def messages(self) -> Locator:
        return self.page.locator(".listing .entry .message")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def query(self) -> str:
        return urlsplit(self.page.url).query

    async def search(self, text: str) -> None:
        box = self.page.get_by_role("combobox", name="Search the logs")
        await box.fill(text)
        await box.press("Enter")
        await self.found()
