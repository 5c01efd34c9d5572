"""The keyboard alone does what the mouse does."""

import pytest
from playwright.async_api import expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def test_one_walks_through_the_lines(visit: Visit, store: Store) -> None:
    await store.say(*(f"line {n}" for n in range(120)), app="keys")
    await visit.open("/?app=keys")
    press = visit.page.keyboard.press
    selected = visit.page.locator(".entry.selected")
    await press("j")
    await press("j")
    await expect(selected).to_contain_text("line 118")
    await expect(selected).to_be_focused()
    await press("k")
    await expect(selected).to_contain_text("line 119")
    for _ in range(60):
        await press("j")
    await expect(selected).to_contain_text("line 59")
    await expect(selected).to_be_focused()
    await expect(selected).to_be_in_viewport()
    await press("Enter")
    await expect(visit.page.locator(".details")).to_be_visible()
    await press("o")
    await expect(visit.page.locator(".details")).to_have_count(0)
    await press("g")
    await expect(visit.messages.first).to_be_in_viewport()
    await press("G")
    await expect(visit.messages.last).to_have_text("line 0")


async def test_keys_open_and_close(visit: Visit, store: Store) -> None:
    await store.say("ERROR trace", "\tat one", app="keyed", container="c")
    await visit.open("/?app=keyed")
    press = visit.page.keyboard.press
    await press("t")
    panel = visit.page.get_by_role("dialog", name="Time range")
    await expect(panel).to_be_visible()
    await press("Escape")
    await expect(panel).to_have_count(0)
    await press("?")
    await expect(visit.page.get_by_role("dialog", name="Help")).to_contain_text(
        "regular expression"
    )
    await press("Escape")
    await expect(visit.page.get_by_role("dialog", name="Help")).to_have_count(0)
    await press("j")
    await press("f")
    await expect(visit.page.locator(".child")).to_have_count(1)
    await press("F")
    await press("F")
    await expect(visit.page.locator(".child")).to_have_count(0)
    await press("c")
    await expect(visit.page.get_by_role("dialog", name="In its context")).to_be_visible()
    await press("Escape")
    await expect(visit.page.get_by_role("dialog", name="In its context")).to_have_count(0)
    await press("w")
    await expect(visit.page.locator(".nowrap")).to_have_count(1)
    await press("l")
    await expect(visit.button("Live")).to_have_attribute("aria-pressed", "true")


async def test_keys_are_letters_where_one_types(visit: Visit, store: Store) -> None:
    await store.say("jkgl?", app="letters")
    await visit.open("/?app=letters")
    await visit.page.keyboard.press("/")
    box = visit.page.get_by_role("combobox")
    await expect(box).to_be_focused()
    await visit.page.keyboard.type("jkgl?")
    await expect(box).to_have_value("jkgl?")
    await visit.page.keyboard.press("Enter")
    await expect(visit.messages).to_have_text(["jkgl?"])
    assert "live" not in visit.query


async def test_tab_reaches_everything_and_shows_where_it_is(visit: Visit, store: Store) -> None:
    await store.say("line", app="tabbed")
    await visit.open("/?app=tabbed")
    await visit.button("Hide the fields").click()
    await visit.page.reload()
    await visit.found()
    await visit.page.keyboard.press("Tab")
    await expect(visit.page.get_by_text("To the lines")).to_be_focused()
    seen = set()
    for _ in range(60):
        await visit.page.keyboard.press("Tab")
        name, outlined = await visit.page.evaluate(
            """() => { const e = document.activeElement; const s = getComputedStyle(e);
              const around = getComputedStyle(e.closest('.search') ?? e);
              return [e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 20),
                s.outlineStyle !== 'none' || around.outlineStyle !== 'none']; }"""
        )
        if name.startswith("\n") or name == "":
            continue
        seen.add(name)
        assert outlined or await visit.page.evaluate("document.activeElement === document.body")
    for name in ("Search the logs", "Live", "Download", "Columns", "Help (?)", "All time"):
        assert name in seen
