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
        ("/static/anything/main.js", "*/*", "text/javascript"),
        ("/static/anything/style/base.css", "*/*", "text/css"),
        ("/static/anything/icon.svg", "*/*", "image/svg+xml"),
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
    for path in (
        "/static/",
        "/static/main.js",
        "/static/x/../../pages.py",
        "/static/x/pages.py",
        "/static/x/%2e%2e/pages.py",
        "/static/x/vendor/manifest.json",
        "/static/x/index.html",
        "/static/x//etc/passwd",
    ):
        assert (await browser.get(path)).status == 404
    await browser.close()


async def test_files_are_kept_for_good_and_the_page_is_not() -> None:
    browser = await client()
    page = await browser.get("/", headers={"Accept": "text/html"})
    assert page.headers["Cache-Control"] == "no-cache"
    named = re.findall(r'(?:src|href)="(/static/[^"]+)"', await page.text())
    assert len(named) > 30
    for path in named:
        file = await browser.get(path)
        assert file.status == 200, path
        assert "immutable" in file.headers["Cache-Control"]
    # An address of another revision must not be kept: it may mean other bytes tomorrow.
    stale = await browser.get("/static/0123456789abcdef/main.js")
    assert stale.headers["Cache-Control"] == "no-cache"
    await browser.close()


async def test_files_are_packed_for_those_who_take_it() -> None:
    browser = await client()
    sizes = {}
    for packing in ("gzip", "identity"):
        path = "/static/x/vendor/uplot-1.6.32.iife.min.js"
        answer = await browser.get(path, headers={"Accept-Encoding": packing})
        sizes[packing] = int(answer.headers["Content-Length"])
        assert len(await answer.read()) == 51_081
    assert sizes["gzip"] < sizes["identity"] / 2
    await browser.close()


def test_nothing_can_turn_text_into_markup() -> None:
    scripts = [path for path in ROOT.rglob("*.js") if path.parent.name != "vendor"]
    assert len(scripts) > 20
    for path in scripts:
        script = path.read_text()
        assert len(script.splitlines()) <= 300, path
        for name in (
            "innerHTML =",
            "outerHTML",
            "insertAdjacentHTML",
            "dangerouslySetInnerHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "srcdoc",
        ):
            assert name not in script, path
    page = (ROOT / "index.html").read_text()
    assert not re.search(r"<script>|<style|\son\w+=|style=|https?://", page)
    for path in ROOT.rglob("*.css"):
        assert not re.search(r"https?://|@import|url\(", path.read_text()), path
