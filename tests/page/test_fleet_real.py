"""The fleet page on a real store that follows a real etcd."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.page.browsing import Store
from tests.page.fleet import FleetVisit
from tests.stack.etcd import ALONE, config_of
from tests.store.fleet.conftest import key_of, pair, record
from wharfinger.etcd import Etcd
from wharfinger.keys import ORDERS, OrderKey
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until
from wharfinger.orders import encode, parse

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]

ADMIN, READS, WRITES = "a" * 40, "r" * 40, "w" * 40


@dataclass
class Real:
    """All that is real."""

    server: EtcdServer
    etcd: Etcd
    store: Store
    tab: FleetVisit

    async def put(self, keys: dict[str, bytes]) -> None:
        for key, value in keys.items():
            await self.etcd.put(key, value)

    async def sign_in(self, token: str) -> None:
        await self.tab.page.get_by_label("Token").fill(token)
        await self.tab.button("Sign in").click()

    async def order(self) -> tuple[str, bytes]:
        """The only order that there is."""
        found: list[tuple[str, bytes]] = []

        async def there() -> bool:
            found[:] = [(key, kv.value) for key, kv in (await self.etcd.list(ORDERS)).items.items()]
            return bool(found)

        await until(there, timeout_seconds=20, what="an order is in etcd")
        return found[0]


@pytest_asyncio.fixture(loop_scope="session")
async def real(browser: Browser, tmp_path: Path) -> AsyncIterator[Real]:
    files = {}
    for name, token in (("admin", ADMIN), ("read", READS), ("ingest", WRITES)):
        files[f"{name}_token_file"] = path = tmp_path / f"{name}.tokens"
        path.write_text(f"{token}\n")
        path.chmod(0o600)
    server = EtcdServer(tmp_path, arguments=ALONE)
    await server.start()
    settings = {"logstore.fleet.enabled": "true", "etcd.endpoints": server.endpoint, **files}
    store = Store(tmp_path, **settings)
    store.headers = {"Authorization": f"Bearer {WRITES}"}
    async with contextlib.AsyncExitStack() as ending:
        ending.push_async_callback(server.stop)
        await store.start()
        ending.push_async_callback(store.process.kill)
        etcd = await ending.enter_async_context(Etcd(config_of(server)))
        context = await browser.new_context()
        context.set_default_timeout(20_000)
        ending.push_async_callback(context.close)
        tab = FleetVisit(await context.new_page(), store.url)
        tab.allowed.append("401")
        yield Real(server, etcd, store, tab)
    assert tab.complaints() == []


async def test_what_is_in_etcd_is_on_the_page_and_an_order_goes_back(real: Real) -> None:
    tab = real.tab
    shop = [key_of(20_017), key_of(20_018)]
    for key in shop:
        await real.put(pair(key, version="1.4.2"))
    await real.put(record(troubles=["ports: full"], health="unhealthy"))
    await real.put({"/shop_prod/10.0.0.9-x": b"nonsense"})
    await tab.page.goto(f"{tab.url}/fleet")
    await real.sign_in(ADMIN)
    await tab.found()
    await expect(tab.page.locator(".finding.error")).to_contain_text("registrar: ports: full")
    await expect(tab.page.locator(".finding.warn")).to_contain_text("/shop_prod/10.0.0.9-x")
    await tab.page.keyboard.press("2")
    await expect(tab.row("shop")).to_contain_text(re.compile("2 up.*box1 .2.*1.4.2.*one host"))
    await tab.button("Instances of shop_prod").click()
    await real.put(pair(key_of(20_019)))
    await expect(tab.row("10.0.0.5:20019")).to_be_visible()
    await real.etcd.delete(key_of(20_019).address)
    await real.etcd.delete(key_of(20_019).metadata)
    await expect(tab.row("10.0.0.5:20019")).to_have_count(0)
    await tab.button("Drain 10.0.0.5:20017 of shop_prod").click()
    await tab.page.get_by_role("alertdialog").get_by_role("button", name="Drain").click()
    progress = tab.page.get_by_role("dialog", name="Drain 10.0.0.5:20017 of shop_prod")
    await expect(progress.get_by_role("status")).to_contain_text("waiting")
    key, value = await real.order()
    order = parse(value, OrderKey.parse(key).host)
    assert (order.verb, order.target) == ("drain", shop[0].address)
    await real.put({key: encode(order.told("running", "removed"))})
    await expect(progress.get_by_role("listitem")).to_have_text(["removed"])
    await real.put({key: encode(order.told("running", "removed").told("done", "drained"))})
    await expect(progress.get_by_role("status")).to_have_text("done Done")


async def test_one_who_reads_may_not_drain(real: Real) -> None:
    tab = real.tab
    await real.put(pair(key_of(20_017)) | record())
    await tab.page.goto(f"{tab.url}/fleet?view=services&open=*")
    await real.sign_in(READS)
    await tab.found()
    await expect(tab.row("10.0.0.5:20017")).to_be_visible()
    await expect(tab.page.get_by_role("button", name=re.compile("^Drain"))).to_have_count(0)
    await tab.button("Sign in with a token that may drain").click()
    await real.sign_in(READS)
    await expect(tab.page.locator(".said")).to_have_text("This token may not drain")
    await tab.button("Sign in with a token that may drain").click()
    await real.sign_in(ADMIN)
    await expect(tab.button("Drain 10.0.0.5:20017 of shop_prod")).to_be_visible()


async def test_from_an_instance_to_its_lines_and_back(real: Real) -> None:
    tab = real.tab
    await real.put(pair(key_of(20_017)) | record())
    await real.store.say("its own line", app="shop", env="prod", container="c" * 64, host="box1")
    await real.store.say("another's", app="shop", env="prod", container="d" * 64, host="box1")
    await tab.page.goto(f"{tab.url}/fleet?view=services&open=*")
    await real.sign_in(READS)
    await tab.page.get_by_role("link", name="Logs of 10.0.0.5:20017 of shop_prod").click()
    await expect(tab.page.locator(".message")).to_have_text(["its own line"])
    await tab.page.get_by_role("link", name="Fleet").click()
    await tab.found()
    await expect(tab.rows).to_have_count(1)
    assert tab.query == "view=services&app=shop&env=prod"


async def test_an_etcd_that_goes_is_not_live(real: Real) -> None:
    tab = real.tab
    await real.put(pair(key_of(20_017)) | record())
    await tab.page.goto(f"{tab.url}/fleet")
    await real.sign_in(READS)
    await tab.found()
    await real.server.stop()
    await expect(tab.link).to_have_text("Stale", timeout=60_000)
    await expect(tab.page.get_by_role("alert")).to_contain_text("is not up to date itself")
    await real.server.start()
    await expect(tab.link).to_have_text("Live", timeout=60_000)


async def test_events_are_the_lines_that_shippers_bring(real: Real) -> None:
    tab = real.tab
    fields = {"app": "wharfinger", "stream": "events", "host": "box1", "event": "registered",
              "service": "shop_prod"}  # fmt: skip
    await real.store.say(
        *(json.dumps({"n": n}) for n in range(250)), env="registrar", level="info", **fields
    )
    await real.store.say("x", env="discovery", level="warning", **fields)
    await tab.page.goto(f"{tab.url}/fleet?view=events&live=0")
    await real.sign_in(READS)
    await expect(tab.status).to_have_text("200 events")
    await tab.page.keyboard.press("G")
    await expect(tab.status).to_have_text("251 events")
    await tab.button("Level").click()
    await tab.page.get_by_role("dialog").get_by_label("warn").check()
    await expect(tab.status).to_have_text("1 event")
    await expect(tab.rows).to_contain_text("discovery registered service=shop_prod")
