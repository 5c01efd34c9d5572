"""How the fleet page looks, what it says of itself, and that no name does anything in it."""

import pytest
from playwright.async_api import Browser, expect

from tests.page.fleet import Fleet, FleetVisit
from tests.page.fleets import State, ago, drain, host, instance, large, order, release, troubled
from tests.page.test_looks import check

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]

VIEWS = (
    "/fleet",
    "/fleet?view=services&open=*&app=shop&app=pay.api",
    "/fleet?view=hosts&open=*",
    "/fleet?view=events",
    "/fleet?view=releases&open=*",
    "/fleet?view=hosts&q=nothing",
    "/fleet?order=a2",
)
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "javascript:alert(4)",
    "__proto__",
    "constructor",
    "user\u202etxt.exe",
    "\x1b[31mred\x1b[0m \x00 \x07",
    "שלום עולם",
    "x" * 600,
    "two\nlines\ttab",
)


def events() -> list[State]:
    return [
        {"id": f"{9 - n}", "time": ago(n), "host": f"box{n}", "daemon": "registrar",
         "level": ("info", "warn", "error", "debug")[n % 4], "event": "registered",
         "fields": {"service": "shop_prod", "why": "w" * 60 * n}}
        for n in range(9)
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_and_has_a_name(
    browser: Browser, fleet: Fleet, scheme: str
) -> None:
    fleet.state, fleet.events = troubled(), events()
    fleet.state["may_drain"] = True
    context = await browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    tab = FleetVisit(await context.new_page(), fleet.url)
    for path in VIEWS:
        await tab.open(path)
        await check(tab, "poor", "nameless")
    await tab.page.keyboard.press("Escape")
    await tab.page.keyboard.press("2")
    for name in ("App", "Trouble", "Orders"):
        await tab.button(name).click()
        await check(tab, "poor", "nameless")
        await tab.page.keyboard.press("Escape")
    await tab.page.keyboard.press("3")
    await tab.button("Drain box4").click()
    await expect(tab.page.get_by_role("alertdialog")).to_be_visible()
    await check(tab, "poor", "nameless")
    await tab.page.keyboard.press("Escape")
    await tab.page.keyboard.press("?")
    await check(tab, "poor", "nameless")
    await tab.page.keyboard.press("Escape")
    fleet.tell("change", {"stale": "etcd is silent"})
    await expect(tab.page.locator(".banner")).to_be_visible()
    await check(tab, "poor", "nameless")
    await context.close()
    assert tab.complaints() == []


@pytest.mark.parametrize("width", [360, 768, 2560])
async def test_it_fits_every_width(browser: Browser, fleet: Fleet, width: int) -> None:
    fleet.state, fleet.events = troubled(), events()
    fleet.state["may_drain"] = True
    long = "a-long-host-name-of-some-data-centre.example.com"
    fleet.state["hosts"][long] = host(9)
    fleet.state["services"]["shop_prod"]["instances"]["[2001:db8:ffff:ffff::1]:20017"] = instance(
        "shop_prod", "[2001:db8:ffff:ffff::1]:20017", long, name="n" * 60, tags=["t" * 40] * 5
    )
    context = await browser.new_context(viewport={"width": width, "height": 740}, has_touch=True)
    context.set_default_timeout(20_000)
    tab = FleetVisit(await context.new_page(), fleet.url)
    for path in VIEWS:
        await tab.open(path)
        await check(tab, "outside")
    await tab.open("/fleet?view=services&open=*&app=shop")
    await expect(tab.rows.first).to_be_in_viewport()
    for name in ("Env", "Trouble", "Orders"):
        await tab.button(name).click()
        await check(tab, "outside")
        await tab.page.keyboard.press("Escape")
    fleet.tell("change", {"stale": "etcd is silent " * 5})
    await expect(tab.page.locator(".banner")).to_be_visible()
    await check(tab, "outside")
    await context.close()
    assert tab.complaints() == []


def hostile() -> State:
    """A fleet in which everybody has chosen the worst names that they could think of."""
    fleet = troubled()
    fleet["may_drain"] = True
    for name in HOSTILE:
        key = f"{name}_{name}"
        one = instance("shop_prod", "10.0.0.1:1", name, name=name, image=name, version=name,
                       tags=[name, name], http_host=name, http_path=name, state=name,
                       container=name, started=name, weight=name, key=f"/{key}/1")  # fmt: skip
        fleet["services"][key] = {"app": name, "env": name, "instances": {name: one}}
        fleet["hosts"][name] = host(1, ip=name, unregistered=[{"name": name, "reason": name}])
        fleet["hosts"][name]["drains"] = [{**drain(key, "1:1", name), "endpoint": name}]
        fleet["hosts"][name]["daemons"][name] = {
            "version": name, "since": name, "health": name, "troubles": [name, name]
        }  # fmt: skip
        fleet["releases"][key] = [{**release(name, name, name, 5), "by": name, "at": name}]
        fleet["orders"][name] = {**order(name, name, name, [name]), "by": name, "at": name}
        fleet["rejected"].append({"key": name, "reason": name})
    return fleet


async def test_no_name_does_anything(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = hostile()
    fleet.events = [
        {"id": str(n), "time": name, "host": name, "daemon": name, "level": name, "event": name,
         "fields": {name: name}} for n, name in enumerate(HOSTILE)
    ]  # fmt: skip
    for path in (VIEWS[0], "/fleet?view=services&open=*", *VIEWS[2:5]):
        await tab.open(path)
        for element in ("iframe", "#view img", "#view style", "#view script", "#view svg[onload]"):
            await expect(tab.page.locator(element)).to_have_count(0)
        shown = await tab.page.locator("#view").evaluate("e => e.textContent")
        assert not set(shown) & set("\u202e\x00\x07\x1b"), path
        hrefs = await tab.page.locator("a").evaluate_all("all => all.map((a) => a.href)")
        assert all(href.startswith(fleet.url) for href in hrefs)
    await tab.open("/fleet?view=hosts&q=alert(1)")
    await tab.button(f"Drain {HOSTILE[0]}").click()
    dialog = tab.page.get_by_role("alertdialog")
    await expect(dialog).to_have_accessible_name(f"Drain {HOSTILE[0]}?")
    await tab.page.keyboard.press("Escape")
    for name in HOSTILE[:6]:
        fleet.change(hosts={name: None}, services={f"{name}_{name}": None})
    await expect(tab.page.get_by_role("heading", name="No hosts match")).to_be_visible()


async def test_addresses_may_hold_anything(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open(
        "/fleet?view=<script>&q=<img src=x onerror=alert(1)>&app=__proto__&sort=constructor"
        "&open=__proto__&order=<svg onload=alert(2)>&live=x&risk=toString"
    )
    await expect(tab.page.get_by_role("dialog", name="Order")).to_contain_text("is not known")
    await tab.page.keyboard.press("Escape")
    await tab.open("/fleet?view=services&risk=toString&state=__proto__")
    await expect(tab.page.get_by_role("heading", name="No services match")).to_be_visible()


async def test_fifty_thousand_instances(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = large()
    elements = "document.querySelectorAll('*').length"
    await tab.open("/fleet?view=services&open=*")
    await expect(tab.status).to_have_text("500 services, 50,000 instances")
    assert await tab.page.evaluate(elements) < 3_000
    await tab.page.keyboard.press("G")
    await expect(tab.row("app499").first).to_be_visible()
    assert await tab.page.evaluate(elements) < 3_000
    await tab.words("app123 box3")
    await expect(tab.page.locator(".service")).to_have_count(1)
    await tab.words("")
    endpoint = "10.200.1.1:31000"
    one = instance("app007_prod", endpoint, "box1")
    fleet.change(services={"app007_prod": {"instances": {endpoint: one}}})
    await expect(tab.status).to_have_text("500 services, 50,001 instances")
    await tab.page.keyboard.press("Escape")
    await tab.page.keyboard.press("3")
    await expect(tab.status).to_have_text("1,000 hosts")
    assert await tab.page.evaluate(elements) < 3_000


async def test_a_place_for_everything(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet?view=services&open=cart_prod")
    for role, name in (
        ("navigation", "Views"),
        ("region", "Totals"),
        ("toolbar", "Tools"),
        ("list", "Services"),
        ("main", None),
        ("search", None),
    ):
        found = tab.page.get_by_role(role, name=name) if name else tab.page.get_by_role(role)  # type: ignore[arg-type]
        await expect(found).to_have_count(1)
    await expect(tab.page.locator("[aria-current=page]")).to_have_text("Services")
    row = tab.rows.nth(1)
    await expect(row).to_have_attribute("aria-posinset", "2")
    await expect(row).to_have_attribute("aria-setsize", "4")
    await tab.page.keyboard.press("Tab")
    await expect(tab.page.get_by_text("To the view")).to_be_focused()
