"""The page's files: what they may do, and that log text can never become markup."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from logshipper.store.http import pages
from logshipper.store.http.pages import Pages

ROOT = Path(pages.__file__).with_name("page")


async def _version(_request: web.Request) -> web.Response:
    return web.json_response({"version": {}})


async def client(denied: web.Response | None = None) -> "TestClient[Any, Any]":
    application = web.Application()
    application.add_routes(Pages(_version, lambda _request: denied).routes())
    made: TestClient[Any, Any] = TestClient(TestServer(application))
    await made.start_server()
    return made


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html"),
        ("/?q=word&app=shop", "*/*", "text/html"),
        ("/", "*/*", "application/json"),
        ("/", "application/vnd.elasticsearch+json; compatible-with=8", "application/json"),
        ("/static/page.js", "*/*", "text/javascript"),
        ("/static/page.css", "*/*", "text/css"),
    ],
)
async def test_the_page_for_browsers_the_version_for_clients(
    path: str, accept: str, kind: str
) -> None:
    browser = await client()
    answer = await browser.get(path, headers={"Accept": accept})
    assert (answer.status, answer.content_type) == (200, kind)
    if kind != "application/json":
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    await browser.close()


async def test_nothing_else_is_served() -> None:
    browser = await client()
    for path in ("/static/", "/static/../model.py", "/static/page.py", "/static/%2e%2e/api.py"):
        assert (await browser.get(path)).status == 404
    await browser.close()


def test_nothing_can_turn_text_into_markup() -> None:
    script = (ROOT / "page.js").read_text()
    for name in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
    ):
        assert name not in script
    page = (ROOT / "index.html").read_text()
    assert not re.search(r"<script>|<style|\son\w+=|style=|https?://", page)
    assert not re.search(r"https?://|@import|url\(", (ROOT / "page.css").read_text())
