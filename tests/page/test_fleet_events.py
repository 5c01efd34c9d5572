"""Events of all daemons: chosen by host, daemon and level; more of them; as they come."""

from urllib.parse import parse_qs

import pytest
from playwright.async_api import expect

from tests.page.fleet import Fleet, FleetVisit
from tests.page.fleets import State, ago
from tests.page.test_pure import call

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


def event(number: int, **fields: object) -> State:
    """The event of so many; the higher, the newer."""
    return {
        "id": f"{number:06d}",
        "time": ago(10_000 - number),
        "host": f"box{number % 3 + 1}",
        "daemon": ("registrar", "discovery")[number % 2],
        "level": ("info", "warn", "error")[number % 3],
        "event": f"event {number}",
        "fields": {"service": "shop_prod", "seconds": number},
        **fields,
    }


def newest_first(count: int) -> list[State]:
    return [event(number) for number in reversed(range(count))]


async def test_they_are_chosen_by_host_daemon_and_level(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.events = newest_first(30)
    await tab.open("/fleet?view=events&live=0")
    await expect(tab.status).to_have_text("30 events")
    await expect(tab.rows.first).to_contain_text("event 29 service=shop_prod seconds=29")
    await tab.button("Host").click()
    await tab.page.get_by_role("dialog").get_by_label("box2").check()
    await expect(tab.status).to_have_text("10 events")
    await tab.page.keyboard.press("Escape")
    await tab.button("Daemon").click()
    await tab.page.get_by_role("dialog").get_by_label("discovery").check()
    await expect(tab.status).to_have_text("5 events")
    await tab.words("event 7")
    await expect(tab.status).to_have_text("1 event")
    assert parse_qs(tab.query) == {
        "view": ["events"], "q": ["event 7"], "host": ["box2"], "daemon": ["discovery"],
        "live": ["0"],
    }  # fmt: skip
    link = tab.page.get_by_role("link", name="In the log page")
    await expect(link).to_have_attribute("href", "/?app=wharfinger&env=discovery&host=box2")
    await tab.button("Clear all").click()
    await tab.button("Level").click()
    await tab.page.get_by_role("dialog").get_by_label("error").check()
    await expect(tab.status).to_have_text("10 events")
    assert parse_qs(fleet.asked[-1])["level"] == ["error"]


async def test_older_ones_come_as_one_scrolls(tab: FleetVisit, fleet: Fleet) -> None:
    fleet.events = newest_first(700)
    await tab.open("/fleet?view=events&live=0")
    await expect(tab.status).to_have_text("200 events")
    for count in ("400", "600", "700"):
        await tab.page.keyboard.press("G")
        await expect(tab.status).to_have_text(f"{count} events")
    await expect(tab.page.locator(".foot")).to_have_text(
        "These are the oldest that are kept and fit."
    )
    numbers = [int(one.rpartition("=")[2]) for one in fleet.asked if "before" in one]
    assert numbers == [500, 300, 100]


async def test_new_ones_come_by_themselves(timed_tab: FleetVisit, fleet: Fleet) -> None:
    fleet.events = newest_first(3)
    await timed_tab.open("/fleet?view=events")
    await expect(timed_tab.status).to_have_text("3 events")
    fleet.events = newest_first(5)
    await timed_tab.page.clock.run_for(3_500)
    await expect(timed_tab.status).to_have_text("5 events")
    await expect(timed_tab.rows.first).to_contain_text("event 4")
    # More of them than one answer holds: the list begins anew with the 100 newest, rather than have
    # a hole, and gets those before them at once, since its end is near.
    fleet.events = newest_first(300)
    await timed_tab.page.clock.run_for(3_500)
    await expect(timed_tab.status).to_have_text("300 events")
    assert [parse_qs(one)["before"] for one in fleet.asked if "before" in one] == [["000200"]]
    await timed_tab.button("Live").click()
    await expect(timed_tab.status).to_have_text("200 events")
    fleet.events = newest_first(301)
    await timed_tab.page.clock.run_for(10_000)
    # Whatever the page asked for comes before this.
    await timed_tab.page.evaluate("fetch('/api/fleet/events?limit=1').then(() => {})")
    assert fleet.asked[-2:] == ["limit=200", "limit=1"]
    await expect(timed_tab.status).to_have_text("200 events")


async def test_a_page_that_is_open_for_weeks_holds_no_more_than_it_can(
    tab: FleetVisit, fleet: Fleet
) -> None:
    await tab.open("/fleet")
    kept = await call(
        tab,
        "work/recent.js",
        """(() => {
          const recent = new m.Recent(() => {});
          const told = (n) => ({ id: `${n}`, time: new Date(1.7e12 + n * 1000).toISOString() });
          for (let from = 0; from < x; from += 1000) {
            recent.add(Array.from({ length: 1000 }, (_, n) => told(from + n)));
          }
          return [recent.events.length, recent.known.size, recent.more, recent.events[0].id];
        })()""",
        25_000,
    )
    assert kept == [20_000, 20_000, True, "24999"]


async def test_a_store_that_fails_is_told_of_and_asked_again(tab: FleetVisit, fleet: Fleet) -> None:
    tab.allowed.append("503")
    fleet.events = newest_first(3)
    await tab.page.route(
        "**/api/fleet/events*",
        lambda route: route.fulfill(status=503, json={"error": "the engine is closed"}),
    )
    await tab.open("/fleet?view=events&live=0")
    await expect(tab.page.get_by_role("alert")).to_contain_text("the engine is closed")
    await tab.page.unroute_all()
    await tab.button("Try again").click()
    await expect(tab.status).to_have_text("3 events")
    await expect(tab.page.get_by_role("alert")).to_have_count(0)


async def test_no_event_says_why(tab: FleetVisit, fleet: Fleet) -> None:
    await tab.open("/fleet?view=events")
    await expect(tab.page.locator(".empty")).to_contain_text("logshipper.events")
