"""Spans of time, the zone they are in, and the histogram."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from tests.page.browsing import Store, Visit, moment

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def test_quick_ranges_stay_relative_in_the_address(visit: Visit, store: Store) -> None:
    await store.say("fresh", ago_seconds=120, app="quick")
    await store.say("hours ago", ago_seconds=3 * 3600, app="quick")
    await visit.open("/?app=quick&range=24h")
    await expect(visit.messages).to_have_text(["fresh", "hours ago"])
    await visit.button("Last 24 hours").click()
    await visit.button("Last 1 hour").click()
    await expect(visit.messages).to_have_text(["fresh"])
    assert visit.query == "app=quick&range=1h"
    await visit.page.reload()
    await expect(visit.button("Last 1 hour")).to_be_visible()
    await expect(visit.messages).to_have_text(["fresh"])


async def test_an_address_without_a_time_means_all_and_the_bare_page_what_is_new(
    visit: Visit, store: Store
) -> None:
    await store.say("of old zanzibar", ago_seconds=3 * 86_400, app="bare")
    await store.say("of today", ago_seconds=60, app="bare")
    await visit.open("/?q=zanzibar")
    await expect(visit.messages).to_have_text(["of old zanzibar"])
    await expect(visit.button("All time")).to_be_visible()
    await visit.open("/")
    await expect(visit.button("Last 24 hours")).to_be_visible()
    await visit.search("app:bare")
    await expect(visit.messages).to_have_text(["of today"])
    assert visit.query == "q=app%3Abare&range=24h"


async def test_absolute_ranges_in_local_time_and_in_utc(visit: Visit, store: Store) -> None:
    day = (datetime.now(UTC) - timedelta(days=2)).replace(hour=11, minute=0, second=0)
    lines = [
        {"@timestamp": moment(day + timedelta(hours=n)), "message": f"at {n}"} for n in range(3)
    ]
    await store.add(lines, app="absolute")
    await visit.open("/?app=absolute&range=all")
    await expect(visit.messages).to_have_count(3)
    # Berlin is ahead of UTC by one hour or two.
    await expect(visit.page.locator(".zone-button")).to_contain_text("Local, UTC+0")
    await visit.button("All time").click()
    await visit.button("Use UTC").click()
    await visit.page.get_by_label("From", exact=True).fill(
        (day + timedelta(minutes=30)).strftime("%FT%T")
    )
    await visit.page.get_by_label("To", exact=True).fill(
        (day + timedelta(hours=2)).strftime("%FT%T")
    )
    await visit.button("Apply").click()
    await expect(visit.messages).to_have_text(["at 1"])
    shown = visit.entries.locator("time")
    await expect(shown).to_contain_text((day + timedelta(hours=1)).strftime("%m-%d 12:00:00"))
    await visit.page.locator(".zone-button").click()
    await expect(shown).not_to_contain_text("12:00:00")
    assert f"from={day.strftime('%F')}T11%3A30%3A00.000Z" in visit.query
    await visit.page.reload()
    await expect(visit.messages).to_have_text(["at 1"])


async def test_a_range_that_ends_before_it_begins_is_not_taken(visit: Visit, store: Store) -> None:
    await store.say("line", app="backward")
    await visit.open("/?app=backward")
    await visit.page.keyboard.press("t")
    await visit.page.get_by_label("From", exact=True).fill("2026-01-02T00:00:00")
    await visit.page.get_by_label("To", exact=True).fill("2026-01-01T00:00:00")
    await visit.button("Apply").click()
    await expect(visit.page.get_by_role("alert")).to_have_text(
        "The end is not after the beginning."
    )
    assert visit.query == "app=backward"


async def test_times_in_an_address_may_be_nonsense(visit: Visit, store: Store) -> None:
    await store.say("line", app="nonsense")
    await visit.open("/?app=nonsense&from=yesterday&range=99999999y&cols=,,&level=&id=")
    await expect(visit.messages).to_have_text(["line"])


async def histogram(visit: Visit, store: Store, app: str) -> None:
    await store.say("INFO late", "INFO late", ago_seconds=600, app=app)
    await store.say("ERROR early", ago_seconds=5 * 3600, app=app)
    await visit.open(f"/?app={app}&range=6h")
    chart = visit.page.get_by_role("img", name="3 lines by time: error 1, info 2")
    await expect(chart).to_be_visible()
    await expect(visit.page.locator(".status")).to_contain_text("3 lines")


async def test_the_histogram_is_dragged_over_and_left_by_back(visit: Visit, store: Store) -> None:
    await histogram(visit, store, "drag")
    over = await visit.page.locator(".u-over").bounding_box()
    assert over is not None
    middle = over["y"] + over["height"] / 2
    await visit.page.mouse.move(over["x"] + over["width"] * 0.5, middle)
    await visit.page.mouse.down()
    await visit.page.mouse.move(over["x"] + over["width"] * 0.7, middle)
    await visit.page.mouse.move(over["x"] + over["width"] - 2, middle, steps=3)
    await visit.page.mouse.up()
    await expect(visit.messages).to_have_text(["INFO late", "INFO late"])
    assert "from=" in visit.query
    assert "to=" in visit.query
    await visit.page.go_back()
    await expect(visit.messages).to_have_count(3)
    assert visit.query == "app=drag&range=6h"


async def test_a_bar_is_clicked(visit: Visit, store: Store) -> None:
    await histogram(visit, store, "bar")
    over = await visit.page.locator(".u-over").bounding_box()
    assert over is not None
    at = over["x"] + over["width"] * (1 - 600 / 21_600)
    await visit.page.mouse.move(at, over["y"] + 40)
    tip = visit.page.locator(".tip")
    await expect(tip).to_contain_text("info 2")
    await visit.page.mouse.click(at, over["y"] + 40)
    await expect(visit.messages).to_have_text(["INFO late", "INFO late"])
    await visit.button("Wider").click()
    assert "from=" in visit.query


async def test_the_legend_chooses_levels(visit: Visit, store: Store) -> None:
    await histogram(visit, store, "legend")
    await visit.page.locator(".legend-level", has_text="error").click()
    await expect(visit.messages).to_have_text(["ERROR early"])
    assert visit.query == "level=error&app=legend&range=6h"
    # The others may still be chosen, too.
    await visit.page.locator(".legend-level", has_text="info").click()
    await expect(visit.messages).to_have_count(3)
    assert "level=error&level=info" in visit.query
    await visit.page.locator(".legend-level", has_text="info").click()
    await visit.page.locator(".legend-level", has_text="error").click()
    await expect(visit.messages).to_have_count(3)


async def test_any_query_is_counted(visit: Visit, store: Store) -> None:
    await store.say("ERROR order 17", "INFO order 18", "INFO nothing", app="any", host="a b")
    await visit.open('/?app=any&host=a+b&range=15m&q="order"+/1[78]/+-nothing')
    await expect(
        visit.page.get_by_role("img", name="2 lines by time: error 1, info 1")
    ).to_be_visible()
    await visit.search("/order 1[0-7]/")
    await expect(visit.page.get_by_role("img", name="1 line by time: error 1")).to_be_visible()


async def test_all_time_is_counted_from_the_first_line_on(visit: Visit, store: Store) -> None:
    await store.say("old", ago_seconds=4 * 86_400, app="everything")
    await store.say("new", ago_seconds=60, app="everything")
    await visit.open("/?app=everything&range=all")
    await expect(visit.page.get_by_role("img", name="2 lines by time")).to_be_visible()


async def test_counts_that_cannot_be_had_do_no_harm(visit: Visit, store: Store) -> None:
    await store.say("line", app="uncounted")
    visit.allowed.append("500")
    for name in ("histogram", "fields"):
        await visit.page.route(
            f"**/api/{name}*",
            lambda route: route.fulfill(status=500, json={"error": "no counts today"}),
        )
    await visit.open("/?app=uncounted")
    await expect(visit.messages).to_have_text(["line"])
    await expect(visit.page.locator(".chart-note")).to_contain_text("no counts today")


async def test_counts_in_part_say_so(visit: Visit, store: Store) -> None:
    await store.say("line", app="part")
    at = moment(datetime.now(UTC) - timedelta(minutes=5))
    part = {
        "bucket_seconds": 60,
        "bucket_minutes": 1,
        "exact": False,
        "counted_from": at,
        "buckets": [{"time": at, "levels": {"info": 7}}],
    }
    await visit.page.route("**/api/histogram*", lambda route: route.fulfill(json=part))
    await visit.open("/?app=part&range=1h")
    await expect(visit.page.locator(".legend")).to_contain_text("counted since")
    await expect(visit.page.locator(".status")).to_contain_text("1 line of more than 7")
