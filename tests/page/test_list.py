"""The list: endless and virtual, traces folded, long lines cut, details, columns."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect

from tests.page.browsing import Store, Visit, moment

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]

PYTHON = (
    "ERROR payment failed",
    "Traceback (most recent call last):",
    '  File "shop.py", line 3, in pay',
    "    raise ValueError(order)",
    "ValueError: 17",
)
JAVA = (
    "java.lang.IllegalStateException: no such order",
    "\tat com.example.Order.load(Order.java:88)",
    "Caused by: java.io.IOException: timeout",
    "\t... 14 more",
)


@pytest.mark.parametrize(
    "count", [6_000, pytest.param(100_000, marks=pytest.mark.scenario)], ids=["6k", "100k"]
)
async def test_thousands_of_rows_of_any_height(
    browser: Browser, own_store: Store, count: int
) -> None:
    store = own_store
    first = datetime.now(UTC) - timedelta(hours=2)
    for start in range(0, count, 2_000):
        lines = (
            {
                "@timestamp": moment(first + timedelta(milliseconds=50 * n)),
                # Rows of one line, of some, and of many that are cut.
                "message": f"row {n}" + "\nmore" * (n % 7 == 0) + "\nx" * (30 * (n % 50 == 0)),
            }
            for n in range(start, start + 2_000)
        )
        await store.add(lines, app="rows")
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    visit = Visit(await context.new_page(), store.url)
    await visit.open("/?app=rows")
    # Down to the end, again and again, until everything was fetched.
    most = await visit.page.evaluate(
        """async (rows) => {
          const scroller = document.querySelector('.scroller');
          const text = () => document.querySelector('.status').textContent;
          let most = 0;
          const deadline = performance.now() + 60_000;
          const all = `${rows.toLocaleString('en')} lines`;
          while (!text().startsWith(all) && performance.now() < deadline) {
            scroller.scrollTop = scroller.scrollHeight;
            await new Promise((done) => setTimeout(done, 15));
            most = Math.max(most, document.querySelectorAll('*').length);
          }
          return most;
        }""",
        count,
    )
    await expect(visit.page.locator(".status")).to_contain_text(f"{count:,} lines")
    assert most < 6_000
    await visit.page.keyboard.press("G")
    await expect(visit.messages.last).to_contain_text("row 0")
    await expect(visit.page.locator(".foot")).to_contain_text("oldest line that is kept")
    # In the middle each row is followed by the one before it, and stands right below.
    await visit.page.evaluate(
        "document.querySelector('.scroller').scrollTop = "
        "document.querySelector('.scroller').scrollHeight / 2"
    )
    await expect(visit.messages.first).not_to_contain_text("row 0")
    rows = await visit.page.evaluate(
        """() => [...document.querySelectorAll('.listing .entry')].map((row) => {
          const { top, bottom } = row.getBoundingClientRect();
          return [Number(/row (\\d+)/.exec(row.textContent)[1]), top, bottom, row.ariaPosInSet];
        })"""
    )
    assert len(rows) > 20
    for (number, _, bottom, _), (following, top, _, position) in itertools.pairwise(rows):
        assert following == number - 1
        assert abs(top - bottom) < 1
        assert int(position) == count - following
    await visit.page.keyboard.press("g")
    await expect(visit.messages.first).to_contain_text(f"row {count - 1}")
    await context.close()
    assert visit.complaints() == []


async def test_older_lines_come_by_scrolling(visit: Visit, store: Store) -> None:
    await store.say(*(f"line {n}" for n in range(900)), app="endless")
    await visit.open("/?app=endless")
    await expect(visit.page.locator(".status")).to_contain_text("200 lines")
    for count in (700, 900):
        await visit.page.keyboard.press("G")
        await expect(visit.page.locator(".status")).to_contain_text(f"{count} lines")
    await visit.page.keyboard.press("G")
    await expect(visit.messages.last).to_have_text("line 0")
    assert sum("before=" in path for path in visit.requests) >= 2


async def test_traces_fold_under_their_line(visit: Visit, store: Store) -> None:
    container = {"app": "traces", "container": "c1"}
    await store.say(*PYTHON, ago_seconds=30, **container)
    await store.say("INFO between", ago_seconds=20, **container)
    await store.say(*JAVA, ago_seconds=10, **container)
    await visit.open("/?app=traces")
    await expect(visit.messages).to_have_text([JAVA[0], "INFO between", PYTHON[0]])
    await expect(visit.page.locator(".fold")).to_have_text(["+ 3 lines", "+ 4 lines"])
    await visit.button("+ 4 lines").click()
    await expect(visit.page.locator(".child")).to_have_text(
        [line.strip() for line in PYTHON[1:]], use_inner_text=False
    )
    await visit.button("Unfold all traces (F)").click()
    await expect(visit.page.locator(".child")).to_have_count(7)
    # Traces that come later follow.
    await store.say("ERROR later", "\tat x", ago_seconds=0, **container)
    await visit.page.keyboard.press("l")
    await expect(visit.messages).to_have_count(4)
    await visit.page.keyboard.press("F")
    await store.say("ERROR last", "\tat y", ago_seconds=0, **container)
    await expect(visit.page.locator(".child")).to_have_count(9)
    await visit.button("Fold all traces (F)").click()
    await expect(visit.page.locator(".child")).to_have_count(0)


async def test_lines_of_two_containers_fold_apart(visit: Visit, store: Store) -> None:
    at = datetime.now(UTC) - timedelta(seconds=30)
    lines = [
        {
            "@timestamp": moment(at + timedelta(milliseconds=n)),
            "container": f"c{n % 2}",
            "message": f"ERROR head of {n}" if n < 2 else f"\tat frame {n}",
        }
        for n in range(8)
    ]
    await store.add(lines, app="interleaved")
    await visit.open("/?app=interleaved")
    await expect(visit.messages).to_have_text(["ERROR head of 1", "ERROR head of 0"])
    await expect(visit.page.locator(".fold")).to_have_text(["+ 3 lines", "+ 3 lines"])


async def test_long_messages_are_cut_and_opened(visit: Visit, store: Store) -> None:
    text = "INFO configuration\n" + "\n".join(f"setting {n}" for n in range(50))
    await store.say(text, "x" * 100_000, app="long")
    await visit.open("/?app=long")
    buttons = visit.page.locator(".more-text")
    await expect(buttons).to_have_text(["show all (99 KB more)", "show all (45 more lines)"])
    await buttons.nth(1).click()
    await expect(visit.messages.nth(1)).to_contain_text("setting 49")
    await visit.button("show less").click()
    await expect(visit.messages.nth(1)).not_to_contain_text("setting 49")


async def test_details_show_every_field_with_its_conditions(visit: Visit, store: Store) -> None:
    await store.say('{"a": {"b": [1, 2]}}', app="details", user={"name": "ann b"}, status=500)
    await store.say("other", app="details", user={"name": "bob"})
    await visit.open("/?app=details")
    await visit.entries.nth(1).locator(".message").click()
    details = visit.page.locator(".details")
    await expect(details.locator("th")).to_have_text(
        ["id", "time", "app", "user.name", "status"], ignore_case=False
    )
    await expect(details.locator(".pretty")).to_have_text(
        json.dumps({"a": {"b": [1, 2]}}, indent=2)
    )
    await visit.button("Only this: user.name ann b").click()
    await expect(visit.messages).to_have_count(1)
    assert visit.query == "q=user.name%3A%22ann+b%22&app=details"
    await visit.page.go_back()
    await expect(visit.messages).to_have_count(2)
    await visit.entries.nth(1).locator(".message").click()
    await visit.button("Not this: status 500").click()
    await expect(visit.messages).to_have_text(["other"])
    await visit.page.go_back()
    await visit.entries.nth(1).locator(".message").click()
    await visit.button("± 1 minute").click()
    await expect(visit.messages).to_have_count(2)
    assert "from=" in visit.query


async def test_fields_become_columns(visit: Visit, store: Store) -> None:
    await store.say("with", app="columns", trace_id="abc123", http={"status": 200})
    await visit.open("/?app=columns")
    await visit.button("Columns").click()
    await visit.page.get_by_label("trace_id").check()
    await visit.page.get_by_label("Another field").fill("http.status")
    await visit.button("Add").click()
    await expect(visit.page.locator(".column")).to_have_text(["abc123", "200"])
    assert visit.query == "app=columns&cols=trace_id%2Chttp.status"
    await visit.page.reload()
    await expect(visit.page.locator(".column")).to_have_text(["abc123", "200"])


async def test_lines_are_copied(visit: Visit, store: Store) -> None:
    await visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await store.say(*PYTHON, app="copied", container="c")
    await visit.open("/?app=copied")
    await visit.entries.first.locator("time").click()
    for name, part in (
        ("Copy line", "\n".join(PYTHON)),
        ("Copy link", f"{store.url}/?id="),
        ("Copy JSON", '"message": "ERROR payment failed"'),
    ):
        await visit.button(name).click()
        await expect(visit.page.locator(".said")).to_contain_text("copied")
        # That is said of the one before as well.
        await visit.page.wait_for_function(
            "part => navigator.clipboard.readText().then((text) => text.includes(part))", arg=part
        )
        await visit.page.evaluate("navigator.clipboard.writeText('')")


async def test_long_lines_wrap_or_not(visit: Visit, store: Store) -> None:
    await store.say("word " * 200, app="wrapped")
    await visit.open("/?app=wrapped")
    row = visit.entries.first
    tall = (await row.bounding_box() or {})["height"]
    await visit.button("Wrap long lines (w)").click()
    await expect(visit.page.locator(".nowrap")).to_have_count(1)
    low = (await row.bounding_box() or {})["height"]
    assert low < tall / 2
    await visit.page.reload()
    await expect(visit.page.locator(".nowrap")).to_have_count(1)
