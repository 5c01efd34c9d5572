"""The search box: the language, what is wrong with a query, what was asked before."""

import pytest
from playwright.async_api import expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def test_words_are_found_and_marked(visit: Visit, store: Store) -> None:
    await store.say("order 17 failed", "order 18 done", "nothing here", app="words")
    await visit.open("/?app=words")
    await expect(visit.messages).to_have_text(["nothing here", "order 18 done", "order 17 failed"])
    await visit.search('order "17 failed"')
    await expect(visit.messages).to_have_text(["order 17 failed"])
    await expect(visit.messages.locator("mark")).to_have_text(["order", "17 failed"])
    assert visit.query == "q=order+%2217+failed%22&app=words"
    assert await visit.page.title() == 'order "17 failed" words · Logs'


async def test_a_bad_query_says_what_is_wrong_and_how_to_write_it(
    visit: Visit, store: Store
) -> None:
    await store.say("something", app="bad")
    visit.allowed.append("400")
    await visit.open("/?app=bad")
    await visit.search('"never closed')
    alert = visit.page.get_by_role("alert")
    await expect(alert).to_contain_text('the " at character 1 is never closed')
    await expect(alert).to_contain_text('add a "')
    box = visit.page.get_by_role("combobox")
    await expect(box).to_have_attribute("aria-invalid", "true")
    await visit.search("something")
    await expect(alert).to_have_count(0)
    await expect(visit.messages).to_have_text(["something"])


async def test_back_and_forward_go_through_what_was_asked(visit: Visit, store: Store) -> None:
    await store.say("one", "two", app="back")
    await visit.open("/?app=back")
    await visit.search("one")
    await visit.search("two")
    await visit.page.go_back()
    await expect(visit.messages).to_have_text(["one"])
    await expect(visit.page.get_by_role("combobox")).to_have_value("one")
    await visit.page.go_back()
    await expect(visit.messages).to_have_text(["two", "one"])
    await visit.page.go_forward()
    await expect(visit.messages).to_have_text(["one"])


async def test_what_was_asked_is_offered_again_and_may_be_kept(visit: Visit, store: Store) -> None:
    await store.say("alpha", "beta", app="kept")
    await visit.open("/?app=kept")
    await visit.search("alpha")
    await visit.search("beta")
    await visit.button("Clear the query").click()
    box = visit.page.get_by_role("combobox")
    await box.click()
    options = visit.page.get_by_role("option")
    await expect(options).to_have_text(["recentbeta", "recentalpha"])
    await box.press("ArrowDown")
    await box.press("ArrowDown")
    await box.press("Enter")
    await expect(visit.messages).to_have_text(["alpha"])
    await visit.button("Saved and recent searches").click()
    await visit.page.get_by_label("Name of this search").fill("the first")
    await visit.button("Save").click()
    await visit.search("beta")
    await visit.page.reload()
    await visit.button("Saved and recent searches").click()
    await visit.button("the first").click()
    await expect(visit.messages).to_have_text(["alpha"])
    assert visit.query == "q=alpha&app=kept"
    await visit.button("Saved and recent searches").click()
    await visit.button("Forget the first").click()
    await expect(visit.button("the first")).to_have_count(0)


async def test_memory_is_bounded_and_survives_nonsense(visit: Visit, store: Store) -> None:
    await store.say("line", app="memory")
    await visit.open("/?app=memory")
    kept = await visit.page.evaluate(
        """async () => {
          const base = document.querySelector('script[type=module]').src;
          const stored = await import(new URL('work/stored.js', base));
          for (let n = 0; n < 60; n += 1) {
            stored.remember(`q${n}`);
            stored.save(`n${n}`, '/?q=x');
          }
          stored.remember('x'.repeat(5000));
          const counts = [stored.recent().length, stored.saved().length, stored.recent()[0]];
          localStorage.setItem('wharfinger.recent', '{"not": "a list"}');
          const foreign = [{ name: 1 }, { name: 'a', address: 'javascript:1' }];
          localStorage.setItem('wharfinger.saved', JSON.stringify(foreign));
          localStorage.setItem('wharfinger.looks', 'no JSON');
          return [...counts, stored.recent(), stored.saved(), stored.looks().wrap];
        }"""
    )
    assert kept == [20, 50, "q59", [], [], True]
    await visit.page.reload()
    await expect(visit.messages).to_have_text(["line"])


async def test_fields_and_their_values_are_offered(visit: Visit, store: Store) -> None:
    await store.say("from one", app="offered-one")
    await store.say("from two", app="offered-two")
    await visit.open("/")
    box = visit.page.get_by_role("combobox")
    await box.click()
    await box.press_sequentially("ap")
    await expect(visit.page.get_by_role("option").first).to_have_text("fieldapp:")
    await box.press("ArrowDown")
    await box.press("Tab")
    await box.press_sequentially("offered-t")
    await expect(visit.page.get_by_role("option")).to_have_text(["appoffered-two"])
    await visit.page.get_by_role("option").click()
    await expect(visit.messages).to_have_text(["from two"])
    assert visit.query == "q=app%3Aoffered-two&range=24h"


async def test_nothing_found_says_where_the_nearest_is(visit: Visit, store: Store) -> None:
    await store.say("old news", ago_seconds=3 * 86_400, app="empty")
    await visit.open("/?app=empty&range=1h")
    await expect(visit.page.get_by_role("heading", name="No lines match")).to_be_visible()
    await expect(visit.page.locator(".empty")).to_contain_text("3 days ago")
    await visit.button("Search all time").click()
    await expect(visit.messages).to_have_text(["old news"])
    await visit.search("nothinglikethis")
    await expect(visit.page.locator(".empty")).to_contain_text("None in all that is kept")
    await visit.button("Clear the conditions").click()
    await expect(visit.messages.first).to_be_visible()


async def test_a_slow_search_tells_its_time_and_can_be_given_up(visit: Visit, store: Store) -> None:
    await store.say("slow", app="slow")
    await visit.open("/?app=slow")
    await visit.page.route("**/api/search?q=slow*", lambda route: None)
    box = visit.page.get_by_role("combobox")
    await box.fill("slow")
    await box.press("Enter")
    await expect(visit.page.locator(".elapsed")).to_contain_text(" s")
    await visit.button("Cancel").click()
    # What was there before stays, and may be searched again.
    await expect(visit.page.get_by_role("alert")).to_contain_text("cancelled")
    await visit.page.unroute_all()
    await visit.search("slow")
    await expect(visit.messages).to_have_text(["slow"])


async def test_a_store_that_is_away_says_so_and_is_asked_again(visit: Visit, store: Store) -> None:
    await store.say("here", app="away")
    visit.allowed += ["ERR_CONNECTION_REFUSED", "ERR_FAILED"]
    await visit.open("/?app=away")
    await visit.page.route("**/api/**", lambda route: route.abort("connectionrefused"))
    await visit.search("here")
    alert = visit.page.get_by_role("alert")
    await expect(alert).to_contain_text("The log store cannot be reached")
    await visit.page.unroute_all()
    await visit.button("Try again").click()
    await expect(visit.messages).to_have_text(["here"])


async def test_a_fault_of_the_page_leaves_no_blank_window(visit: Visit, store: Store) -> None:
    visit.allowed += ["TypeError", "console"]
    hit = {"id": "1", "time": "2026-11-26T00:00:00.000000000Z"}
    await visit.page.route(
        "**/api/search*", lambda route: route.fulfill(json={"hits": [hit], "more": False})
    )
    await visit.page.goto(f"{visit.url}/?app=fault")
    await expect(visit.page.get_by_role("alert")).to_contain_text("The page has failed")
    await visit.page.unroute_all()
    await visit.button("Load it again").click()
    await expect(visit.page.locator(".empty")).to_contain_text("No lines match")


async def test_an_expression_is_not_looked_for_further_back_unasked(
    visit: Visit, store: Store
) -> None:
    await store.say("old one", ago_seconds=2 * 86_400, app="unasked")
    await visit.open("/?app=unasked&q=/ol[d]/&range=1h")
    await expect(visit.page.locator(".empty")).to_contain_text("None in this time")
    searches = [path for path in visit.requests if "/api/search" in path]
    assert len(searches) == 1
    await visit.button("Search all time").click()
    await expect(visit.messages).to_have_text(["old one"])
