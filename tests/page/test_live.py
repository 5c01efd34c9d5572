"""The live tail: nothing jumps while somebody reads, nothing is missing, nothing comes twice."""

import asyncio
import json

import pytest
from playwright.async_api import Browser, expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def follow(visit: Visit, path: str) -> None:
    await visit.open(path)
    await expect(visit.page.locator(".live-on")).to_be_visible()


async def test_new_lines_stand_above(visit: Visit, store: Store) -> None:
    await store.say("before", app="live")
    await visit.open("/?app=live")
    await visit.button("Live").click()
    await expect(visit.page.locator(".live-on")).to_be_visible()
    assert visit.query == "app=live&live=1"
    await store.say("now", ago_seconds=0, app="live")
    await store.say("not this", ago_seconds=0, app="dead")
    await store.say("and now", ago_seconds=0, app="live")
    await expect(visit.messages).to_have_text(["and now", "now", "before"])
    await visit.page.keyboard.press("l")
    await expect(visit.page.locator(".live-on")).to_have_count(0)
    await store.say("unseen", ago_seconds=0, app="live")
    await expect(visit.messages).to_have_count(3)


async def test_who_reads_is_left_in_peace(visit: Visit, store: Store) -> None:
    await store.say(*(f"line {n}" for n in range(150)), app="peace")
    await follow(visit, "/?app=peace&live=1")
    await visit.page.evaluate("document.querySelector('.scroller').scrollTop = 700")
    row = visit.entries.nth(15)
    text = await row.locator(".message").inner_text()
    place = visit.page.locator(".entry", has_text=text)
    before = await place.bounding_box()
    for n in range(3):
        await store.say(f"new {n}", ago_seconds=0, app="peace")
    arrived = visit.page.locator(".arrived")
    await expect(arrived).to_have_text("3 new lines")
    assert await place.bounding_box() == before
    await arrived.click()
    await expect(visit.messages.first).to_have_text("new 2")
    await expect(arrived).to_have_count(0)
    # Now that the newest are in sight it goes on by itself.
    await store.say("newest", ago_seconds=0, app="peace")
    await expect(visit.messages.first).to_have_text("newest")


async def test_a_chosen_line_holds_the_list(visit: Visit, store: Store) -> None:
    await store.say("one", app="chosen")
    await follow(visit, "/?app=chosen&live=1")
    await visit.entries.first.locator("time").click()
    await store.say("two", ago_seconds=0, app="chosen")
    await expect(visit.page.locator(".arrived")).to_have_text("1 new line")
    await visit.page.keyboard.press("Escape")
    await visit.page.keyboard.press("Escape")
    await expect(visit.messages).to_have_text(["two", "one"])


async def test_a_line_goes_under_the_trace_that_it_belongs_to(visit: Visit, store: Store) -> None:
    await store.say("calm", app="livetrace", container="c")
    await follow(visit, "/?app=livetrace&live=1")
    await store.say("ERROR failed", "\tat one", ago_seconds=0, app="livetrace", container="c")
    await store.say("\tat two", ago_seconds=0, app="livetrace", container="c")
    await expect(visit.messages).to_have_text(["ERROR failed", "calm"])
    await expect(visit.page.locator(".fold")).to_have_text("+ 2 lines")


async def test_an_interruption_leaves_no_gap_and_no_repeat(
    browser: Browser, own_store: Store
) -> None:
    store = own_store
    context = await browser.new_context()
    visit = Visit(await context.new_page(), store.url)
    visit.allowed.append("ERR_")
    await store.say("first", app="gap")
    await follow(visit, "/?app=gap&live=1")
    await store.process.kill()
    await expect(visit.page.locator(".live-interrupted")).to_be_visible()
    await store.start()
    # More than a page of them, while nobody listens.
    await store.say(*(f"between {n}" for n in range(700)), ago_seconds=0, app="gap")
    await expect(visit.page.locator(".live-on")).to_be_visible(timeout=30_000)
    await store.say("last", ago_seconds=0, app="gap")
    await expect(visit.messages.first).to_have_text("last")
    await expect(visit.page.locator(".status")).to_contain_text("702 lines")
    await visit.page.keyboard.press("G")
    await expect(visit.messages.last).to_have_text("first")
    await context.close()
    assert visit.complaints() == []


async def test_lines_in_a_flood_are_bounded_and_told(visit: Visit, store: Store) -> None:
    await store.say("calm", app="flood")
    await follow(visit, "/?app=flood&live=1")
    for n in range(8):
        await store.say(*(f"drop {n}.{m}" for m in range(1000)), ago_seconds=0, app="flood")
    await expect(visit.messages.first).to_have_text("drop 7.999")
    held = await visit.page.locator(".status").inner_text()
    count = int(held.split("line")[0].split()[-1].replace(",", ""))
    assert count <= 5_001
    # What is not kept here is found by going on from the end.
    deadline = asyncio.get_running_loop().time() + 20
    while await visit.messages.last.inner_text() != "calm":
        assert asyncio.get_running_loop().time() < deadline
        await visit.page.keyboard.press("G")
        await asyncio.sleep(0.05)


async def test_what_the_store_leaves_out_is_told(visit: Visit, store: Store) -> None:
    await store.say("stored", app="dropped")
    hit = {"id": "1", "time": "2099-12-31T00:00:00.000000000Z", "message": "after"}
    body = f"event: dropped\ndata: 41\n\ndata: {json.dumps(hit)}\n\n"

    async def answer(route) -> None:  # noqa: ANN001
        await route.fulfill(content_type="text/event-stream", body=body)

    await visit.page.route("**/api/tail*", answer)
    await visit.open("/?app=dropped&live=1")
    await expect(visit.page.locator(".warned")).to_contain_text("lines came too fast to show")


async def test_live_leaves_a_range_in_the_past(visit: Visit, store: Store) -> None:
    await store.say("line", app="past")
    await visit.open("/?app=past&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z")
    await expect(visit.page.locator(".empty")).to_be_visible()
    await visit.button("Live").click()
    await expect(visit.messages).to_have_text(["line"])
    assert visit.query == "app=past&range=1h&live=1"
