"""What the page decides by itself, module by module, in the browser that runs them."""

import random
from typing import Any

import pytest

from logshipper.store.model import BadQuery
from logshipper.store.query import language
from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]

PIECES = (
    "word", "app:shop", '"a phrase"', '"esc \\" aped \\\\"', "-not", "-", "- ", "-host:x", "a::b",
    "http://x/y", "/re gex/", "/a\\/b/", "/api/orders", "-/no/", "level:error", "user.name:ann",
    'f:"x y"', "conn*", "f:", ":", '"', "数据", "é", "\t", "(", "[", "@t:1", "x/y", "/ /", "/x/y",
)  # fmt: skip
VALUES = (
    "plain", "two words", 'quo"te', "back\\slash", "-dash", "star*", "/slash/", "a:b", "", " ",
    '"', "\\", "数据库", "x" * 300, "ends with \\", "/x", "tab\there", "*",
)  # fmt: skip


async def call(visit: Visit, module: str, expression: str, argument: object = None) -> Any:
    """Evaluates an expression in which `m` is a module of the page, and `x` the argument."""
    if not visit.page.url.startswith(visit.url):
        await visit.page.goto(f"{visit.url}/?app=pure")
    # The page's policy lets no text be run as code, so the expression is part of what is sent.
    return await visit.page.evaluate(
        """async ([module, x]) => {
          const base = document.querySelector('script[type=module]').src;
          const m = await import(new URL(module, base));
          return EXPRESSION;
        }""".replace("EXPRESSION", expression),
        [module, argument],
    )


def understood(query: str) -> list[list[object]] | None:
    """The terms of a query as the store reads them; None where it refuses."""
    try:
        return [[t.name, t.text, t.quote, t.negated] for t in language._raw_terms(query)]
    except BadQuery:
        return None


async def test_a_query_is_cut_as_the_store_cuts_it(visit: Visit, store: Store) -> None:
    dice = random.Random(3)
    queries = [
        dice.choice((" ", "", "  ")).join(dice.choices(PIECES, k=dice.randint(1, 5)))
        for _ in range(3_000)
    ]
    cut = await call(
        visit,
        "pure/query.js",
        "x.map((q) => m.terms(q).map((t) => [t.name, t.value, t.quote, t.negated]))",
        queries,
    )
    checked = 0
    for query, terms in zip(queries, cut, strict=True):
        if (expected := understood(query)) is not None:
            assert terms == expected, query
            checked += 1
    assert checked > 1_000


async def test_a_condition_that_is_added_means_its_value(visit: Visit, store: Store) -> None:
    """Whatever the value, the store finds just that in the query that the page writes."""
    asked = [(q, v, n) for q in ("", "word", '"a b" -c') for v in VALUES for n in (True, False)]
    made = await call(
        visit,
        "pure/query.js",
        "x.map(([q, v, n]) => [m.withTerm(q, 'f', v, n), "
        "m.withoutTerm(m.withTerm(q, 'f', v, n), 'f', v, n)])",
        asked,
    )
    for (query, value, negated), (with_term, without) in zip(asked, made, strict=True):
        added = (understood(with_term) or [])[-1]
        assert added[:2] + added[3:] == ["f", value, negated], with_term
        assert without == query


async def test_what_is_marked_is_what_was_asked_for(visit: Visit, store: Store) -> None:
    cases: dict[tuple[str, str], list[str]] = {
        ("order", "Order ORDER reorder order_id order"): ["Order", "ORDER", "order", "order"],
        ("conn*", "connection disconnect"): ["conn"],
        ('"a  b"', "a b a\tb ab"): ["a b", "a\tb"],
        ("-no yes", "no yes"): ["yes"],
        ("app:x level:error", "app x error"): [],
        ("message:boom", "boom"): ["boom"],
        ("/x[0-9]+/", "x12 X3"): ["x12"],
        ("数据", "大数据库"): ["数据"],
        ("$1.5 a+b", "$1.5 and a+b"): ["$1.5", "a+b"],
        (r"/(?P<n>x)/ /(a+)+/ /a*b*c*/", "x aaa abc"): [],
    }
    found = await call(
        visit,
        "pure/text.js",
        "Promise.all([import(new URL('pure/query.js', base))]).then(([q]) => x.map(([query, text])"
        " => m.marked(text, q.marks(query)).map((r) => text.slice(r.from, r.to))))",
        [list(case) for case in cases],
    )
    for (case, expected), marked in zip(cases.items(), found, strict=True):
        assert marked == expected, case


async def test_addresses_are_read_as_they_are_written(visit: Visit, store: Store) -> None:
    dice = random.Random(5)
    states = [
        {
            "q": dice.choice(VALUES),
            **{
                name: sorted({v.strip() for v in dice.sample(VALUES, 2)} - {""})
                for name in ("level", "app", "env", "host", "container", "stream")
            },
            "range": dice.choice(("5m", "24h", "all", "30d")),
            "from": "",
            "to": "",
            "live": dice.random() < 0.5,
            "columns": dice.choice(([], ["host"], ["a.b", "c"])),
            "id": dice.choice(("", "20261126.1.2")),
        }
        for _ in range(200)
    ]
    read = await call(
        visit, "pure/url.js", "x.map((s) => m.parse(m.format(s).replace(/^[^?]*/, '')))", states
    )
    assert read == states
    # Nonsense is no error, and nothing of it stays.
    odd = await call(
        visit, "pure/url.js", "m.format(m.parse('?range=1y&from=x&cols=,,&live=yes&evil=1'))"
    )
    assert odd == "/"


async def test_each_terminal_colour_can_be_read(visit: Visit, store: Store) -> None:
    poor = await call(
        visit,
        "pure/ansi.js",
        """(() => {
          const grounds = [[226, 239, 244], [255, 255, 255], [26, 47, 57], [18, 23, 27]];
          const all = Array.from({ length: 256 }, (_, index) => m.rgbOf({ index }));
          return all.filter((rgb) => grounds.some((ground, n) =>
            m.contrast(m.readable(rgb, grounds[n < 2 ? 0 : 2]), ground) < 4.5));
        })()""",
    )
    assert poor == []


async def test_lines_are_the_same_from_either_end(visit: Visit, store: Store) -> None:
    """Pages of older lines and lines as they come make the same entries, however they are cut."""
    dice = random.Random(11)
    texts = ("INFO calm", "ERROR bad", "\tat frame", "Traceback (most recent call last):",
             "ValueError: x", "Caused by: y", "  indented", "java.lang.Exception: z")  # fmt: skip
    hits = []
    for number in range(600):
        text = dice.choice(texts)
        hits.append(
            {
                "id": f"{number}",
                "time": f"2026-11-26T00:{number // 60:02}:{number % 60:02}.000000000Z",
                "message": text,
                "container": dice.choice("ab"),
                "level": "error" if text.startswith("ERROR") else "",
            }
        )
    both = await call(
        visit,
        "pure/lines.js",
        """(() => {
          const shape = (lines) => lines.entries.map((e) => e.lines.map((hit) => hit.id));
          const whole = new m.Lines();
          whole.addOlder([...x].reverse());
          const cut = new m.Lines();
          for (let at = x.length; at > 0; at -= 7) {
            cut.addOlder(x.slice(Math.max(0, at - 7), at).reverse());
          }
          const again = cut.addOlder(x.slice(0, 50)) + cut.addNewer(x.slice(100, 200));
          const coming = new m.Lines();
          for (let at = 0; at < x.length; at += 5) coming.addNewer(x.slice(at, at + 5));
          const sizes = coming.entries.map((e) => e.lines.length);
          return [shape(whole), shape(cut), again, coming.count, sizes];
        })()""",
        hits,
    )
    whole, cut, again, count, sizes = both
    assert whole == cut
    assert again == 0
    assert count == len(hits) == sum(sizes) == sum(map(len, whole))
    assert {number for entry in whole for number in entry} == {hit["id"] for hit in hits}


async def test_rows_stand_where_their_heights_say(visit: Visit, store: Store) -> None:
    found = await call(
        visit,
        "pure/heights.js",
        """(() => {
          const rows = Array.from({ length: 5000 }, (_, n) => ({ height: n % 3 ? 0 : n % 50 }));
          const heights = new m.Heights(20);
          heights.rebuild(rows);
          const wrong = [];
          for (let y = -5; y < heights.total + 50; y += 37) {
            const at = heights.find(y);
            const below = y < heights.offset(at + 1) || at === 4999;
            if (heights.offset(at) > Math.max(y, 0) || !below) wrong.push(y);
          }
          heights.rebuild([]);
          return [wrong, heights.total, heights.find(100)];
        })()""",
    )
    assert found == [[], 0, 0]
