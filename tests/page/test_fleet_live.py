"""The fleet page follows the fleet, and never looks live while it is not."""

import re

import pytest
from playwright.async_api import expect

from tests.page.fleet import Fleet, FleetVisit
from tests.page.fleets import host, instance, service, troubled

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def test_changes_are_seen_as_they_come(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet?view=services&open=shop_prod")
    await expect(tab.rows).to_have_count(2 + 4)
    new = instance("shop_prod", "10.0.0.3:20900", "box3", state="starting")
    fleet.change(services={"shop_prod": {"instances": {"10.0.0.3:20900": new}}})
    await expect(tab.row("10.0.0.3:20900")).to_contain_text("starting")
    await expect(tab.status).to_have_text("2 services, 7 instances")
    up = {**new, "state": "up"}
    fleet.change(services={"shop_prod": {"instances": {"10.0.0.3:20900": up}}})
    await expect(tab.row("10.0.0.3:20900").locator(".c-state")).to_have_text("up")
    fleet.change(services={"shop_prod": {"instances": {"10.0.0.3:20900": None}}})
    await expect(tab.row("10.0.0.3:20900")).to_have_count(0)
    fleet.change(services={"shop_prod": None, "new_prod": service("new", "prod", {"box1": 1})})
    await expect(tab.page.locator(".service .c-name")).to_have_text(["cart prod", "new prod"])
    await expect(tab.page.locator(".changed")).to_have_text(re.compile(r"unchanged for \d s"))
    fleet.change(hosts={"box1": None, "box7": host(7)})
    await tab.page.keyboard.press("3")
    await expect(tab.row("box7")).to_be_visible()
    await expect(tab.page.get_by_role("link", name="3 hosts")).to_have_count(0)


async def test_the_place_is_kept_while_things_change(tab: FleetVisit, fleet: Fleet) -> None:
    held = {f"app{n:03d}_prod": service(f"app{n:03d}", "prod", {"box1": 1}) for n in range(300)}
    fleet.state["services"] = held
    await tab.open("/fleet?view=services")
    await tab.page.evaluate("document.querySelector('.scroller').scrollTop = 4000")
    row = tab.row("app120")
    before = await row.bounding_box()
    fleet.change(services={f"aaa{n}_prod": service("aaa", "prod", {"box2": 1}) for n in range(20)})
    await expect(tab.status).to_have_text("320 services, 320 instances")
    assert await row.bounding_box() == before


async def test_a_lost_connection_is_shouted_and_comes_back(tab: FleetVisit, fleet: Fleet) -> None:
    tab.allowed += ["ERR_"]
    await tab.open("/fleet")
    fleet.reachable = False
    fleet.cut()
    await expect(tab.link).to_have_text("Not live")
    alert = tab.page.get_by_role("alert")
    await expect(alert).to_contain_text("Not live.")
    banner = tab.page.locator(".banner")
    await expect(banner).to_contain_text(re.compile(r"the fleet as of \d\d:\d\d:\d\d, \d+ s ago"))
    await expect(banner).to_contain_text("Trying again")
    await expect(tab.page.locator(".all-well")).to_have_count(0)
    await expect(tab.page.get_by_text("Nothing was wrong when this was last live")).to_be_visible()
    assert (await tab.page.title()).startswith("not live: ")
    # What was there stays to be looked at, marked as what it is.
    await expect(tab.page.locator("main.not-live")).to_have_count(1)
    fleet.reachable = True
    fleet.state["services"]["back_prod"] = service("back", "prod", {"box1": 2, "box2": 1})
    await tab.button("Try now").click()
    await tab.found()
    await expect(banner).to_have_count(0)
    await expect(tab.page.get_by_role("link", name="3 services")).to_be_visible()


async def test_a_stream_that_falls_silent_is_not_live(timed_tab: FleetVisit, fleet: Fleet) -> None:
    """The connection stands, and nobody is there: EventSource would never notice."""
    await timed_tab.open("/fleet")
    # A comment is enough for a minute, as long as it comes again and again.
    for _ in range(12):
        fleet.send(b": ping\n\n")
        await timed_tab.page.clock.run_for(5_000)
    await expect(timed_tab.link).to_have_text("Live")
    fleet.silent = True
    await timed_tab.page.clock.run_for(36_000)
    await expect(timed_tab.link).not_to_have_text("Live")
    await expect(timed_tab.page.locator(".banner")).to_contain_text("Not live.")


async def test_a_store_that_is_stale_itself_is_not_live(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state = troubled()
    await tab.open("/fleet")
    fleet.tell("change", {"stale": "etcd: nothing heard for 12 s"})
    await expect(tab.link).to_have_text("Stale")
    await expect(tab.page.get_by_role("alert")).to_contain_text(
        "The store is not up to date itself: etcd: nothing heard for 12 s"
    )
    fleet.tell("change", {"stale": None})
    await tab.found()
    await expect(tab.page.locator(".banner")).to_have_count(0)


async def test_a_fleet_that_is_stale_from_the_start(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.state["stale"] = "etcd cannot be reached"
    await tab.page.goto(f"{tab.url}/fleet")
    await expect(tab.link).to_have_text("Stale")
    await expect(tab.page.locator(".banner")).to_contain_text("etcd cannot be reached")
    await expect(tab.page.locator(".all-well")).to_have_count(0)


async def test_nonsense_in_the_stream_is_no_fleet(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet")
    fleet.silent = True
    fleet.send(b"event: change\ndata: {broken\n\n")
    await expect(tab.page.locator(".banner")).to_contain_text("what this page does not understand")


async def test_one_signs_in_and_the_page_goes_on(tab: FleetVisit, fleet: Fleet) -> None:
    tab.allowed.append("401")
    fleet.token = "t" * 40
    await tab.page.goto(f"{tab.url}/fleet?view=hosts&host=box2")
    await tab.page.get_by_label("Token").fill("wrong")
    await tab.button("Sign in").click()
    await expect(tab.page.get_by_role("alert")).to_contain_text("no")
    await tab.page.get_by_label("Token").fill(fleet.token)
    await tab.button("Sign in").click()
    await tab.found()
    await expect(tab.rows).to_have_count(1)
    await expect(tab.page.locator(".account")).to_have_text("ann")
    kept = await tab.page.evaluate("JSON.stringify(localStorage) + document.cookie")
    assert fleet.token not in kept
    # A session that ends takes with it what it showed.
    fleet.token = "u" * 40
    fleet.cut()
    tab.allowed.append("ERR_")
    await expect(tab.page.get_by_label("Token")).to_be_visible()
    await expect(tab.page.get_by_text("box2")).to_have_count(0)


@pytest.mark.parametrize(("status", "why"), [(403, "another tenant's"), (404, "no fleet here")])
async def test_who_may_not_is_told_so(tab: FleetVisit, fleet: Fleet, status: int, why: str) -> None:
    tab.allowed.append(str(status))
    fleet.refusal = (status, why)
    await tab.page.goto(f"{tab.url}/fleet")
    await expect(tab.page.get_by_role("alert")).to_contain_text(why)
    await expect(tab.link).to_have_text("Not live")
    fleet.refusal = None
    await tab.button("Try again").click()
    await tab.found()
