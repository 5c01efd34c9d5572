"""Hostile text is shown as what it is, and does nothing."""

from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]

MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "<a href='javascript:alert(4)'>click</a>",
    "<style>body{display:none}</style>",
    "<iframe src='http://192.0.2.1/'></iframe>",
    "${alert(5)} {{constructor.constructor('alert(6)')()}} &lt;b&gt;",
    "javascript:alert(7) http://192.0.2.1/x data:text/html,<script>alert(8)</script>",
)
COLOURS = "\x1b[31mred\x1b[0m \x1b[1;4;38;5;208mten\x1b[22m \x1b[48;2;1;2;3mrgb\x1b[m end"


async def test_markup_is_text(visit: Visit, store: Store) -> None:
    await store.say(*MARKUP, app="markup", extra=MARKUP[0], **{MARKUP[1]: MARKUP[2]})
    await visit.open(f"/?app=markup&cols=extra,{MARKUP[1]}")
    await expect(visit.messages).to_have_text(list(reversed(MARKUP)))
    await visit.entries.first.locator("time").click()
    await expect(visit.page.locator(".details")).to_contain_text(MARKUP[2])
    await expect(visit.page.locator(".column").first).to_contain_text(MARKUP[0])
    # No element that any of it names, and no link at all.
    for element in ("iframe", ".rows a", ".rows img", ".rows style", ".rows script"):
        await expect(visit.page.locator(element)).to_have_count(0)
    await visit.page.keyboard.press("c")
    await expect(visit.page.locator("dialog .message").first).to_be_visible()


async def test_hostile_names_and_queries(visit: Visit, store: Store) -> None:
    await store.say("x", app="<b>app</b>", env='"quoted" -env', host="back\\slash", container="*")
    await visit.open("/?q=%22<script>alert(1)</script>%22&app=<img src=x onerror=alert(1)>")
    await expect(visit.page.locator(".empty")).to_be_visible()
    await visit.open("/?app=<b>app</b>")
    await expect(visit.page.locator(".source")).to_have_text('<b>app</b> "quoted" -env')
    for name, value in (("env", '"quoted" -env'), ("host", "back\\slash")):
        await visit.button(f"Leave out {name} {value}").click()
        await expect(visit.page.locator(".empty")).to_be_visible()
        await visit.button(f"Leave out {name} {value}").click()
        await expect(visit.messages).to_have_text(["x"])


async def test_terminal_colours_are_colours(visit: Visit, store: Store) -> None:
    await store.say(COLOURS, "\x1b[2J\x1b]0;title\x07\x1b[99999999m\x1b[38;5m bell", app="ansi")
    await visit.open("/?app=ansi")
    coloured = visit.messages.nth(1)
    await expect(coloured).to_have_text("red ten rgb end")
    assert await coloured.locator(".ansi-color").first.inner_text() == "red"
    await expect(coloured.locator(".ansi-bold.ansi-underline")).to_have_text("ten")
    ground = coloured.locator(".ansi-ground")
    assert await ground.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(1, 2, 3)"
    # What drives a terminal is shown, and drives nothing.
    await expect(visit.messages.first).to_have_text("␛[2J␛]0;title␇ bell")


async def test_every_character_is_seen(visit: Visit, store: Store) -> None:
    await store.say("NUL \x00 BEL \x07 DEL \x7f C1 \x85 tab\there", app="unseen")
    await store.say("user\u202etxt.exe \u2066x\u2069 zero\u200bwidth \ufeff", app="unseen")
    await store.say("שלום עולם", "plain", app="unseen")
    await visit.open("/?app=unseen")
    await expect(visit.messages).to_have_text(
        [
            "plain",
            "שלום עולם",
            "userRLOtxt.exe LRIxPDI zeroZWSPwidth BOM",
            "NUL ␀ BEL ␇ DEL DEL C1 U+0085 tab here",
        ]
    )
    raw = await visit.messages.nth(2).evaluate("e => e.textContent")
    assert not set(raw) & set("\u202e\u2066\u2069\u200b\ufeff")
    # A line that is written from right to left leaves its neighbours where they are.
    for n in (0, 1):
        style = "e => getComputedStyle(e).unicodeBidi"
        assert "isolate" in await visit.messages.nth(n).evaluate(style)
    await expect(visit.messages.nth(1)).to_have_attribute("dir", "auto")


async def test_a_line_of_a_megabyte(visit: Visit, store: Store) -> None:
    await store.say("before", app="mega")
    long = {"id": "20991231.1.1", "time": "2099-12-31T00:00:00.000000000Z", "app": "mega"}
    texts = ["y" * 1_000_000, "\x1b[31m" + "\x00\u202ez" * 300_000, "a\n" * 500_000]
    hits = [{**long, "id": f"20991231.1.{n}", "message": text} for n, text in enumerate(texts)]
    await visit.page.route(
        "**/api/search*", lambda route: route.fulfill(json={"hits": hits, "more": False})
    )
    await visit.open("/?app=mega")
    nodes = "document.querySelectorAll('.rows *').length"
    assert await visit.page.evaluate(nodes) < 3_000
    await visit.page.locator(".more-text").first.click()
    await expect(visit.button("show less")).to_be_visible()
    assert len(await visit.messages.first.inner_text()) > 1_000_000


async def test_ten_thousand_short_lines_in_one(visit: Visit, store: Store) -> None:
    await store.say("\n".join(f"l{n}" for n in range(10_000)), app="short")
    await visit.open("/?app=short")
    await expect(visit.page.locator(".more-text")).to_contain_text("more lines")
    assert await visit.page.evaluate("document.querySelectorAll('*').length") < 1_500
    await visit.page.locator(".more-text").click()
    await expect(visit.messages).to_contain_text("l9999")


async def test_an_expression_that_never_ends_marks_nothing(visit: Visit, store: Store) -> None:
    await store.say("a" * 60 + "!", app="regex")
    hit = {"id": "1", "time": "2026-11-26T00:00:00.000000000Z", "message": "a" * 60 + "!"}
    await visit.page.route(
        "**/api/search*", lambda route: route.fulfill(json={"hits": [hit], "more": False})
    )
    for pattern in (r"(a+)+$", r"a*a*a*a*a*b", r"(a|a)*$", r"(?:a?){60}b"):
        await visit.open(f"/?app=regex&q={quote(f'/{pattern}/')}")
        await expect(visit.messages).to_have_text(hit["message"])
    await visit.page.unroute_all()
    await visit.open("/?app=regex&q=/a%2B!/")
    await expect(visit.messages.locator("mark")).to_have_text("a" * 60 + "!")


async def test_nothing_of_the_page_may_be_framed_or_loaded_from_elsewhere(
    visit: Visit, store: Store
) -> None:
    answer = await visit.page.goto(visit.url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    visit.allowed += ["Content Security Policy", "violates", "192.0.2.1"]
    blocked = await visit.page.evaluate(
        """async () => {
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
          const div = document.createElement('div');
          div.innerHTML = '<p style="color: rgb(1, 2, 3)" onclick="window.ran = true">x</p>';
          document.body.append(div);
          div.firstChild.click();
          const elsewhere = await fetch('http://192.0.2.1/').then(() => 'sent', () => 'blocked');
          return [window.ran, getComputedStyle(div.firstChild).color, elsewhere];
        }"""
    )
    assert blocked[0] is None
    assert blocked[1] != "rgb(1, 2, 3)"
    assert blocked[2] == "blocked"
