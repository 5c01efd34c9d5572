"""Takes the README's pictures: python -m tests.page.picture LOGS.png FLEET.png."""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.page.browsing import Store, moment
from tests.page.conftest import CHROMIUM
from tests.page.fleet import Fleet, FleetVisit
from tests.page.fleets import troubled

HOURS = 6
LINES = 6_000
TRACE = (
    "ERROR payment of order {order} failed",
    "Traceback (most recent call last):",
    '  File "/app/shop/orders.py", line 88, in pay',
    "    response = client.post(url, json=body)",
    "ConnectionResetError: [Errno 104] Connection reset by peer",
)


def lines(dice: random.Random) -> Iterator[dict[str, Any]]:
    """Some hours of three applications on four hosts, with a quarter of an hour that went wrong."""
    end = datetime.now(UTC)
    for _ in range(LINES):
        back = HOURS * 60 * dice.random()
        bad = 0.3 < back < 14 and dice.random() < 0.3
        at = end - timedelta(minutes=back)
        app = dice.choices(("shop", "cart", "mail"), (6, 3, 1))[0]
        host = dice.randrange(4)
        source = {
            "app": app,
            "env": dice.choices(("prod", "stage"), (5, 1))[0],
            "host": f"node{host + 1}",
            "container": sha256(f"{app}{host}".encode()).hexdigest()[:16],
        }
        order, took = dice.randrange(10**5), int(dice.expovariate(1 / 60)) + 2
        trace = f"{dice.getrandbits(64):016x}"
        kind = dice.random()
        if bad or kind < 0.015:
            texts = [text.format(order=order) for text in TRACE]
        elif kind < 0.5:
            texts = [f"INFO order {order} paid in {took} ms trace={trace}"]
        elif kind < 0.62:
            texts = [
                f"\x1b[33mWARN\x1b[0m slow query: \x1b[1m{10 * took} ms\x1b[0m for order {order}"
            ]
        elif kind < 0.7:
            texts = [f"DEBUG {dice.randrange(40)} of 40 connections idle"]
        else:
            status = dice.choices((200, 302, 404), (20, 2, 1))[0]
            texts = [f'10.0.{host}.7 "POST /orders/{order} HTTP/1.1" {status} {took * 31}']
        for number, text in enumerate(texts):
            when = moment(at + timedelta(milliseconds=number))
            yield {"@timestamp": when, "message": text, "trace_id": trace, **source}


async def picture(page: Page, url: str, path: Path) -> None:
    await page.goto(f"{url}/?app=shop&app=cart&range=6h")
    await page.locator(".fold").first.wait_for()
    await page.locator(".u-over").wait_for()
    await page.locator(".fold").first.click()
    await page.mouse.move(0, 0)
    await page.screenshot(path=path)


async def fleet_picture(browser: Browser, path: Path) -> None:
    page = await browser.new_page(viewport={"width": 1200, "height": 700})
    async with Fleet().running() as fleet:
        fleet.state = troubled()
        await FleetVisit(page, fleet.url).open("/fleet")
        await page.screenshot(path=path)
        await page.close()


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="page-") as folder:
        store = Store(Path(folder))
        await store.start()
        await store.add(lines(random.Random(7)))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox"]
            )
            page = await browser.new_page(viewport={"width": 1200, "height": 700})
            await picture(page, store.url, Path(sys.argv[1]))
            await fleet_picture(browser, Path(sys.argv[2]))
            await browser.close()
        await store.process.kill()


asyncio.run(main())
