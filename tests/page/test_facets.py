"""The fields beside the list: values taken in, left out, several at once, found by name."""

import pytest
from playwright.async_api import Locator, expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


def facet(visit: Visit, name: str) -> Locator:
    return visit.page.locator(f".facet-{name}")


def value(visit: Visit, name: str, text: str) -> Locator:
    return facet(visit, name).get_by_role("checkbox", name=text)


async def test_values_are_taken_in_several_at_once(visit: Visit, store: Store) -> None:
    for app in ("facet-one", "facet-two", "facet-three"):
        await store.say(f"from {app}", app=app, env="facets")
    await visit.open("/?env=facets")
    await expect(visit.messages).to_have_count(3)
    await value(visit, "app", "facet-one").check()
    await expect(visit.messages).to_have_text(["from facet-one"])
    await value(visit, "app", "facet-two").check()
    await expect(visit.messages).to_have_text(["from facet-two", "from facet-one"])
    assert visit.query == "app=facet-one&app=facet-two&env=facets"
    # A chosen one does not hide the others: that would be the end of choosing.
    await expect(value(visit, "app", "facet-three")).to_be_visible()
    await value(visit, "app", "facet-one").uncheck()
    await expect(visit.messages).to_have_text(["from facet-two"])
    await visit.button("Clear the choice of app").click()
    await expect(visit.messages).to_have_count(3)


async def test_values_are_left_out_in_the_query(visit: Visit, store: Store) -> None:
    await store.say("loud", app="out", host="loud host")
    await store.say("quiet", app="out", host="quiet")
    await visit.open("/?app=out")
    await facet(visit, "host").locator(".value", has_text="loud host").hover()
    await visit.button("Leave out host loud host").click()
    await expect(visit.messages).to_have_text(["quiet"])
    await expect(visit.page.get_by_role("combobox")).to_have_value('-host:"loud host"')
    left_out = visit.button("Leave out host loud host")
    await expect(left_out).to_have_attribute("aria-pressed", "true")
    await left_out.click()
    await expect(visit.messages).to_have_count(2)


async def test_a_value_in_the_query_is_chosen_beside_it_too(visit: Visit, store: Store) -> None:
    await store.say("ERROR one", "INFO two", app="typed")
    await visit.open("/?q=app:typed+level:error")
    await expect(visit.messages).to_have_text(["ERROR one"])
    await expect(value(visit, "level", "error")).to_be_checked()
    await value(visit, "level", "error").uncheck()
    await expect(visit.messages).to_have_count(2)
    await expect(visit.page.get_by_role("combobox")).to_have_value("app:typed")


async def test_a_value_is_found_among_many(visit: Visit, store: Store) -> None:
    lines = [{"message": f"line {n}", "host": f"host-{n:02d}"} for n in range(40)]
    await store.add(lines, app="many-hosts")
    await visit.open("/?app=many-hosts")
    hosts = facet(visit, "host")
    await hosts.get_by_label("Find a value of host").fill("host-37")
    await value(visit, "host", "host-37").check()
    await expect(visit.messages).to_have_text(["line 37"])


async def test_counts_stand_beside_values(visit: Visit, store: Store) -> None:
    await store.say(*["WARN counted"] * 5, app="counted")
    await visit.open("/?app=counted")
    row = facet(visit, "level").locator(".value", has_text="warn")
    await expect(row.locator(".count")).to_have_text("5")


async def test_counts_follow_the_query(visit: Visit, store: Store) -> None:
    await store.say("ERROR broken", "INFO fine", "INFO fine too", app="follow", host="h1")
    await visit.open("/?app=follow")
    row = facet(visit, "host").locator(".value", has_text="h1")
    await expect(row.locator(".count")).to_have_text("3")
    await visit.search("fine")
    await expect(row.locator(".count")).to_have_text("2")
    await expect(facet(visit, "level").locator(".value")).to_have_text(["info2"])


async def test_conditions_stand_above_the_list_with_their_way_out(
    visit: Visit, store: Store
) -> None:
    await store.say("ERROR x", "INFO y", app="chips")
    await visit.open("/?app=chips&level=error")
    await visit.button("Remove level error").click()
    await expect(visit.messages).to_have_count(2)
    assert visit.query == "app=chips"


async def test_the_fields_may_go(visit: Visit, store: Store) -> None:
    await store.say("x", app="hidden")
    await visit.open("/?app=hidden")
    aside = visit.page.get_by_role("complementary", name="Fields")
    await expect(aside).to_be_visible()
    await visit.page.keyboard.press("b")
    await expect(aside).to_be_hidden()
    await visit.page.reload()
    await expect(visit.messages).to_have_count(1)
    await expect(aside).to_be_hidden()
