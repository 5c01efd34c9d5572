"""How the page looks and what it says of itself: themes, widths, names, roles, contrast."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]

LINES = (
    "INFO order 17 done",
    "WARN \x1b[33mslow\x1b[0m \x1b[38;5;226mquery\x1b[0m \x1b[34;40mblue\x1b[0m",
    "WARN \x1b[37mwhite\x1b[0m \x1b[30mblack\x1b[0m \x1b[30;47mboth\x1b[0m",
    "ERROR failed",
    "\tat one",
    "DEBUG \x1b[90mgrey\x1b[0m \x1b[97mbright\x1b[0m \x00",
    "INFO " + "\n".join(f"setting {n}" for n in range(40)),
)
CHECKS = Path(__file__).with_name("checks.js").read_text()


async def check(visit: Visit, *names: str) -> None:
    for name in names:
        assert await visit.page.evaluate(f"{CHECKS.strip()}.{name}()") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_and_has_a_name(
    browser: Browser, store: Store, scheme: str
) -> None:
    await store.say(*LINES, app=f"looks-{scheme}", env="prod", host="h1", container="c" * 16)
    context = await browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    visit = Visit(await context.new_page(), store.url)
    await visit.open(f"/?app=looks-{scheme}&q=order+OR&cols=host")
    await visit.open(f"/?app=looks-{scheme}&cols=host&range=1h")
    await check(visit, "poor", "nameless")
    await visit.page.keyboard.press("F")
    await visit.entries.first.locator("time").click()
    await expect(visit.page.locator(".details")).to_be_visible()
    await check(visit, "poor", "nameless")
    # A short value stands on one line, whatever else its row holds.
    tall = "rows => Math.max(...rows.map((row) => row.getBoundingClientRect().height))"
    assert await visit.page.locator(".details tr").evaluate_all(tall) < 40
    await visit.search("order")
    await check(visit, "poor")
    for name in ("Last 1 hour", "Columns", "Download", "Saved and recent searches"):
        await visit.button(name).click()
        await check(visit, "poor", "nameless")
        await visit.page.keyboard.press("Escape")
    await visit.page.keyboard.press("?")
    await check(visit, "poor")
    await visit.page.keyboard.press("Escape")
    await visit.page.keyboard.press("j")
    await visit.page.keyboard.press("c")
    await expect(visit.page.locator("dialog .current")).to_be_visible()
    await check(visit, "poor")
    await context.close()
    assert visit.complaints() == []


@pytest.mark.parametrize("width", [360, 768, 2560])
async def test_it_fits_every_width(browser: Browser, store: Store, width: int) -> None:
    app = f"width-{width}"
    await store.say(*LINES, "x" * 900, app=app, env="production", host="a-long-host.example.com")
    context = await browser.new_context(viewport={"width": width, "height": 740}, has_touch=True)
    context.set_default_timeout(20_000)
    visit = Visit(await context.new_page(), store.url)
    await visit.open(f"/?app={app}&level=info&level=warn&level=error&level=unknown&level=debug")
    await expect(visit.messages.first).to_be_in_viewport()
    await check(visit, "outside")
    for name in ("All time", "Columns", "Download", "Saved and recent searches"):
        await visit.button(name).click()
        await check(visit, "outside")
        await visit.page.keyboard.press("Escape")
    await visit.entries.first.locator("time").click()
    await expect(visit.page.locator(".details")).to_be_visible()
    await check(visit, "outside")
    if width < 900:
        await visit.button("Fields (b)").click()
        await expect(visit.page.get_by_role("complementary", name="Fields")).to_be_in_viewport()
        await visit.button("Hide the fields").click()
        await expect(visit.page.get_by_role("complementary", name="Fields")).to_be_hidden()
    await context.close()
    assert visit.complaints() == []


async def test_a_theme_is_chosen_and_kept(visit: Visit, store: Store) -> None:
    await store.say("line", app="theme")
    await visit.page.emulate_media(color_scheme="dark")
    await visit.open("/?app=theme")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark, light = await visit.page.evaluate(ground), "rgb(255, 255, 255)"
    assert dark != light

    async def becomes(colour: str) -> None:
        # A theme is taken up with the next painting.
        await visit.page.wait_for_function(f"colour => {ground} === colour", arg=colour)

    await visit.button("Theme: the system's").click()
    await becomes(light)
    await visit.page.reload()
    await becomes(light)
    await visit.button("Theme: light").click()
    await visit.page.emulate_media(color_scheme="light")
    await becomes(dark)


async def test_the_page_says_what_its_parts_are(visit: Visit, store: Store) -> None:
    await store.say("ERROR one", "INFO two", app="parts")
    await visit.open("/?app=parts")
    for role, name in (
        ("search", None),
        ("complementary", "Fields"),
        ("toolbar", "Tools"),
        ("region", "Lines over time"),
        ("list", "Lines, newest first"),
    ):
        found = visit.page.get_by_role(role, name=name) if name else visit.page.get_by_role(role)
        await expect(found).to_have_count(1)
    await expect(visit.page.get_by_role("main")).to_have_count(1)
    row = visit.entries.first
    await expect(row).to_have_attribute("aria-posinset", "1")
    await expect(row).to_have_attribute("aria-setsize", "2")
    # The level is said, too, not only shown by a colour.
    await expect(visit.page.locator(".level")).to_have_text(["info", "error"])
    await expect(visit.page.get_by_role("status").first).to_have_text("2 lines")
