"""What the fleet page decides by itself, module by module, in the browser that runs them."""

import json
import random
from typing import Any

import pytest

from tests.page.fleet import Fleet, FleetVisit
from tests.page.fleets import State, host, instance, order, release
from tests.page.test_pure import call

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def pure(tab: FleetVisit, module: str, expression: str, argument: object = None) -> Any:
    if not tab.page.url.startswith(tab.url):
        await tab.open("/fleet")
    return await call(tab, f"pure/{module}", expression, argument)


async def test_a_stream_may_be_cut_anywhere(tab: FleetVisit, fleet: Fleet) -> None:
    text = (
        ": hello\n\nevent: fleet\ndata: {}\n\n: ping\n\ndata: a\ndata: b\r\n\r\nid: 7\n"
        "event:change\ndata:x: y\n\nevent: lost\n\ndata\n\n"
    )
    whole = await pure(tab, "eventstream.js", "new m.EventStream().feed(x)", text)
    assert whole == [
        {"event": "fleet", "data": "{}"},
        {"event": "message", "data": "a\nb"},
        {"event": "change", "data": "x: y"},
        {"event": "message", "data": ""},
    ]
    for size in (1, 2, 3, 7):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        cut = await pure(
            tab,
            "eventstream.js",
            "(() => { const s = new m.EventStream(); return x.flatMap((p) => s.feed(p)); })()",
            pieces,
        )
        assert cut == whole


def random_change(dice: random.Random, state: State) -> State:
    """Changes a state and tells of it as the store does."""
    change: State = {"revision": state["revision"] + 1}
    state["revision"] += 1
    kind = dice.choice(("instance", "gone", "service", "host", "order", "release"))
    key = dice.choice(("shop_prod", "cart_prod", "a_b_c", "__proto__", "constructor"))
    name = dice.choice(("box1", "box2", "__proto__"))
    if kind in {"instance", "gone"} and key in state["services"]:
        endpoint = f"10.0.0.1:{dice.randrange(4)}"
        one = instance(key, endpoint, name) if kind == "instance" else None
        put(state["services"][key]["instances"], endpoint, one)
        change["services"] = {key: {"instances": {endpoint: one}}}
    elif kind == "service":
        made = {"app": "a", "env": "prod", "instances": {"1:1": instance(key, "1:1", name)}}
        told = dice.choice((None, made, made, made))
        if told and key in state["services"]:
            put(state["services"][key]["instances"], "1:1", told["instances"]["1:1"])
        else:
            put(state["services"], key, told)
        change["services"] = {key: told}
    else:
        one = {"host": host(1), "order": order("drain", name, "done", []),
                "release": [release("r1", "shop", "running", 1)]}.get(kind)  # fmt: skip
        field = {"order": "orders", "release": "releases"}.get(kind, "hosts")
        told = dice.choice((None, one or host(2)))
        put(state[field], name, told)
        change[field] = {name: told}
    return json.loads(json.dumps(change))  # type: ignore[no-any-return]


def put(held: State, key: str, told: Any) -> None:
    if told is None:
        held.pop(key, None)
    else:
        held[key] = json.loads(json.dumps(told))


async def test_changes_make_the_fleet_that_a_whole_answer_tells_of(
    tab: FleetVisit, fleet: Fleet
) -> None:
    dice = random.Random(13)
    state: State = {"revision": 1, "services": {}, "hosts": {}, "releases": {}, "orders": {}}
    first = json.dumps(state)
    changes = [json.dumps(random_change(dice, state)) for _ in range(400)]
    merged, whole = await pure(
        tab,
        "fleet.js",
        """(() => {
          const plain = (value) => JSON.stringify(value, (_, v) =>
            v instanceof Map ? [...v].sort(([a], [b]) => (a < b ? -1 : 1)) : v);
          const parsed = x.changes.map((change) => JSON.parse(change));
          const first = m.whole(JSON.parse(x.first));
          const end = parsed.reduce((held, change) => m.merged(held, change), first);
          return [plain(end), plain(m.whole(JSON.parse(x.last)))];
        })()""",
        {"first": first, "changes": changes, "last": json.dumps(state)},
    )
    assert merged == whole
    assert state["services"]


async def test_addresses_are_read_as_they_are_written(tab: FleetVisit, fleet: Fleet) -> None:
    dice = random.Random(5)
    values = ("plain", "two words", "<b>", "a&b=c", "%2f", "数据库", "*", "__proto__")
    names = ("app", "env", "host", "state", "risk", "daemon", "level", "closed")
    states = [
        {
            "view": "services",
            "q": dice.choice(("", " word ", "a -b", "%")),
            **{name: dice.sample(values, dice.randrange(3)) for name in names},
            "sort": dice.choice(("name", "risk", "changed")),
            "open": dice.sample(values, 2),
            "live": dice.random() < 0.5,
            "order": dice.choice(("", "o1")),
        }
        for _ in range(200)
    ]
    read = await pure(
        tab, "url.js", "x.map((s) => m.parse(m.format(s).replace(/^[^?]*/, '')))", states
    )
    assert read == states
    odd = await pure(tab, "url.js", "m.format(m.parse('?view=x&sort=y&live=2&evil=1&open='))")
    assert odd == "/fleet"


async def test_one_row_is_opened_and_closed_beside_all_others(
    tab: FleetVisit, fleet: Fleet
) -> None:
    opened = await pure(
        tab,
        "url.js",
        """(() => {
          let state = m.parse("");
          const said = [];
          const note = () => said.push(["a", "b"].map((key) => m.isOpen(state, key)));
          for (const step of x) {
            state = { ...state, ...(step === "*" ? m.flippedAll(state) : m.flipped(state, step)) };
            note();
          }
          return said;
        })()""",
        ["a", "a", "*", "b", "b", "a", "*"],
    )
    assert opened == [
        [True, False], [False, False], [True, True], [True, False], [True, True], [False, True],
        [False, False],
    ]  # fmt: skip


async def test_a_discovery_is_behind_the_one_that_is_ahead(tab: FleetVisit, fleet: Fleet) -> None:
    found = await pure(
        tab,
        "hosts.js",
        """(() => {
          const host = (name, applied) => ({ name, daemons: [{ applied: null }, { applied }] });
          const at = (before, now, ...all) =>
            m.lags(all.map((v, n) => host(`h${n}`, v)), before, now);
          const first = at(new Map(), 1, 10, 12, null);
          const second = at(first, 5, 11, 15, 15);
          const third = at(second, 9, 15, 15, 15);
          return [first, second, third].map((one) => [...one]);
        })()""",
    )
    assert found == [[["h0", {"by": 2, "since": 1}]], [["h0", {"by": 4, "since": 1}]], []]


async def test_ages_are_short(tab: FleetVisit, fleet: Fleet) -> None:
    seconds = [-5, 0, 59, 60, 3_599, 3_600, 7_260, 86_400, 100_000, 900_000]
    ages = await pure(tab, "ages.js", "x.map(m.age)", seconds)
    assert ages == [
        "0 s", "0 s", "59 s", "1 min", "59 min", "1 h", "2 h 1 min", "1 d", "1 d 3 h", "10 d"
    ]  # fmt: skip


async def test_what_an_image_is_called(tab: FleetVisit, fleet: Fleet) -> None:
    images = ["reg:5000/a/shop:1.2", "shop", "reg:5000/shop", "shop@sha256:" + "a" * 64, ""]
    tags = await pure(tab, "services.js", "x.map(m.tagOf)", images)
    assert tags == ["1.2", "", "", "sha256:aaaaaaaaaaaa", ""]
    name = await pure(tab, "services.js", "m.nameOf(x, '1.2')", images[0])
    assert name == "shop"
