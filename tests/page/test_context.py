"""A line in its context, and links to a line."""

import pytest
from playwright.async_api import expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def neighbours(store: Store, app: str) -> None:
    """Sixty lines of a container, and between them those of another."""
    await store.say(*(f"line {n:02d}" for n in range(60)), app=app, container="mine")
    await store.say(*(f"other {n}" for n in range(60)), app=app, container="other")


async def test_the_lines_around_a_hit_and_more_of_them(visit: Visit, store: Store) -> None:
    await neighbours(store, "around")
    await visit.open('/?app=around&q="line+25"')
    await visit.entries.first.locator("time").click()
    await visit.button("Context").click()
    dialog = visit.page.get_by_role("dialog", name="In its context")
    messages = dialog.locator(".message")
    await expect(messages).to_have_text([f"line {n:02d}" for n in range(15, 36)])
    await expect(dialog.locator("[aria-current=true] .message")).to_have_text("line 25")
    await expect(dialog.locator("[aria-current=true]")).to_be_in_viewport()
    await visit.button("20 more above").click()
    await expect(messages).to_have_text([f"line {n:02d}" for n in range(36)])
    await expect(dialog).to_contain_text("This is where its lines begin")
    await visit.button("20 more below").click()
    await expect(messages).to_have_count(56)
    await visit.button("20 more below").click()
    await expect(messages).to_have_text([f"line {n:02d}" for n in range(60)])
    await expect(dialog).to_contain_text("No newer line")
    await visit.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    assert "id=" not in visit.query


async def test_a_link_shows_its_line_and_back_leaves_it(visit: Visit, store: Store) -> None:
    await neighbours(store, "linked")
    await visit.open('/?app=linked&q="line+30"')
    identity = await visit.entries.first.get_attribute("data-id")
    await visit.open(f"/?id={identity}")
    dialog = visit.page.get_by_role("dialog", name="In its context")
    await expect(dialog.locator("[aria-current=true] .message")).to_have_text("line 30")
    await visit.button("Close").click()
    await expect(dialog).to_have_count(0)
    assert visit.query == ""
    await visit.page.go_back()
    await expect(dialog).to_be_visible()


async def test_a_link_to_a_line_that_is_gone_says_so(visit: Visit, store: Store) -> None:
    await store.say("here", app="gone")
    visit.allowed.append("/api/context")
    await visit.open("/?app=gone&id=20000101.1.1")
    dialog = visit.page.get_by_role("dialog", name="In its context")
    await expect(dialog.get_by_role("alert")).to_contain_text("no line with this id")
    await visit.button("Close").click()
    await visit.open("/?app=gone&id=<script>alert(1)</script>")
    await expect(dialog.get_by_role("alert")).to_contain_text("no line's id")


async def test_a_condition_from_a_line_in_context_leads_back_to_the_list(
    visit: Visit, store: Store
) -> None:
    await neighbours(store, "leads")
    await visit.open('/?app=leads&q="line+30"')
    await visit.page.keyboard.press("j")
    await visit.page.keyboard.press("c")
    dialog = visit.page.get_by_role("dialog", name="In its context")
    await dialog.locator("[aria-current=true] time").click()
    await visit.button("Only this: container mine").click()
    await expect(dialog).to_have_count(0)
    await expect(visit.messages).to_have_text(["line 30"])
    assert "container=mine" in visit.query
