"""The fleet over HTTP, from a real etcd: whole, live, with orders and their rights."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.store.fleet.conftest import (
    BEARS_ADMIN,
    BEARS_READS,
    Stream,
    key_of,
    pair,
    record,
    store_of,
)
from tests.store.running import Store, ended
from wharfinger.etcd import Etcd
from wharfinger.keys import ORDERS
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real


async def put(etcd: Etcd, keys: dict[str, bytes], *, lease: int = 0) -> None:
    for key, value in keys.items():
        await etcd.put(key, value, lease=lease)


async def whole(store: Store, **headers: str) -> dict[str, Any]:
    found: dict[str, Any] = await store.get("/api/fleet", headers=BEARS_READS | headers)
    return found


async def until_there(store: Store, *path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def there() -> bool:
        nonlocal found
        found = await whole(store)
        place: Any = found
        for name in path:
            if name not in place:
                return False
            place = place[name]
        return found["stale"] is None

    await until(there, timeout_seconds=20, what=f"the fleet has {path}")
    return found


def instances(told: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(told.get("services", {}).get("shop_prod", {}).get("instances", {}).items())


async def test_what_etcd_holds_is_told_whole(fleet: Store, etcd: Etcd) -> None:
    await put(etcd, pair(key_of(20_017), tags=("blue",), http_host="shop.example"))
    await put(etcd, record(troubles=["ports: full"], unregistered=[{"name": "a", "reason": "b"}]))
    await put(etcd, record("edge1", "discovery", applied_revision=7, why="check: red"))
    release = {"release": "r12", "image": "shop:1", "state": "succeeded", "by": "ops"}
    await put(etcd, {"/wharfinger/deploy/shop_prod/releases/12": json.dumps(release).encode()})
    found = await until_there(fleet, "releases", "shop_prod")
    shop = found["services"]["shop_prod"]
    assert (shop["app"], shop["env"]) == ("shop", "prod")
    assert shop["instances"]["10.0.0.5:20017"] == {
        "key": "/shop_prod/10.0.0.5-20017", "host": "box1", "container": "c" * 12,
        "name": "shop-1", "image": "shop:1", "version": "", "weight": 1, "tags": ["blue"],
        "http_host": "shop.example", "http_path": "", "started": "2026-01-01T00:00:00Z",
        "state": "up",
    }  # fmt: skip
    box = found["hosts"]["box1"]
    assert (box["ip"], box["drained"], box["drains"]) == ("10.0.0.5", False, [])
    assert box["daemons"]["registrar"]["troubles"] == ["ports: full"]
    assert box["unregistered"] == [{"name": "a", "reason": "b"}]
    edge = found["hosts"]["edge1"]["daemons"]["discovery"]
    assert (edge["applied_revision"], edge["troubles"]) == (7, ["check: red"])
    assert found["hosts"]["store1"]["daemons"]["logstore"]["version"]
    assert found["releases"]["shop_prod"][0]["release"] == "r12"
    assert found["may_drain"] is False
    assert found["stale"] is None
    told = await fleet.get("/api/whoami", headers=BEARS_ADMIN)
    assert (told["may"], told["fleet"]) == (["read", "drain"], True)


async def test_what_is_hostile_is_left_out_alone_and_named(fleet: Store, etcd: Etcd) -> None:
    good, bad = key_of(1), key_of(2)
    await put(etcd, pair(good))
    await put(etcd, {bad.address: b"10.0.0.5:2; evil", bad.metadata: b"[" * 5000})
    await put(etcd, {"/shop_prod/what": b"?", "/own_key/of": b"the user's"})
    await put(etcd, {"/wharfinger/hosts/box2/registrar": b'{"health": "' + b"x" * 70_000 + b'"}'})
    await put(etcd, {"/wharfinger/hosts/box3/registrar": b'{"version": "\\u001b[2J"}'})
    await put(etcd, {"/wharfinger/orders/box1/../../evil": b"{}", f"{ORDERS}box1/aaaaaaaa": b"{}"})
    await put(etcd, {"/wharfinger/deploy/shop_prod/releases/1": b'{"state": "great"}'})
    await put(etcd, record("last"))
    found = await until_there(fleet, "hosts", "last")
    states = {k: i["state"] for k, i in found["services"]["shop_prod"]["instances"].items()}
    assert states == {"10.0.0.5:1": "up", "10.0.0.5:2": "missing"}
    assert found["services"].keys() == {"shop_prod"}
    assert found["hosts"].keys() == {"last", "store1"}
    assert not found["orders"]
    assert not found["releases"]
    assert {each["key"] for each in found["rejected"]} == {
        "/shop_prod/10.0.0.5-2",
        "/shop_prod/what",
        "/wharfinger/hosts/box2/registrar",
        "/wharfinger/hosts/box3/registrar",
        "/wharfinger/orders/box1/../../evil",
        f"{ORDERS}box1/aaaaaaaa",
        "/wharfinger/deploy/shop_prod/releases/1",
    }


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_a_reader_gets_the_whole_and_then_what_changes(
    fleet: Store, etcd: Etcd, coding: str
) -> None:
    first, second = key_of(1), key_of(2)
    await put(etcd, pair(first))
    await until_there(fleet, "services", "shop_prod")
    headers = {**BEARS_READS, "Accept-Encoding": coding}
    async with fleet.client.get("/api/fleet/live", headers=headers) as response:
        assert response.headers.get("Content-Encoding", "identity") == coding
        stream = Stream(response)
        name, told = await stream.next()
        assert name == "fleet"
        assert told.keys() >= {"revision", "time", "stale", "may_drain", "services", "hosts"}
        await put(etcd, pair(second, host="box2"))
        await stream.until(lambda told: "box2" in [i["host"] for _, i in instances(told)])
        await put(etcd, pair(key_of(3), host="box3"))
        # Both of its keys may come in one change, or in two; of the others nothing is said.
        change = await stream.until(lambda told: bool(instances(told)))
        assert [endpoint for endpoint, _ in instances(change)] == ["10.0.0.5:3"]
        await etcd.delete_prefix("/wharfinger/instances/")
        await etcd.delete_prefix("/shop_prod/")
        await stream.until(lambda told: told.get("services") == {"shop_prod": None})


async def test_a_token_that_reads_gives_no_orders(fleet: Store, etcd: Etcd) -> None:
    await put(etcd, pair(key_of(1)) | record())
    await until_there(fleet, "hosts", "box1")
    order = {"verb": "drain", "instance": key_of(1).address}
    for headers, status in (
        ({}, 401),
        (BEARS_READS, 403),
        ({"Authorization": "Bearer wrong-token-9"}, 401),
        ({"Authorization": "Bearer sends-token-1"}, 401),
        ({**BEARS_ADMIN, "Origin": "https://evil.example"}, 403),
    ):
        answer = await fleet.client.post("/api/fleet/orders", json=order, headers=headers)
        assert answer.status == status, headers
        assert (await answer.json())["error"]
    assert not (await etcd.list(ORDERS)).items


async def test_an_order_stands_in_etcd_under_a_lease_of_its_own(fleet: Store, etcd: Etcd) -> None:
    await put(etcd, pair(key_of(1)) | record())
    await until_there(fleet, "hosts", "box1")
    order = {"verb": "drain", "instance": key_of(1).address}
    answer = await fleet.client.post("/api/fleet/orders", json=order, headers=BEARS_ADMIN)
    assert answer.status == 202
    order_id = (await answer.json())["order"]
    (kv,) = (await etcd.list(ORDERS)).items.values()
    assert kv.key == f"{ORDERS}box1/{order_id}"
    assert kv.lease
    told = (await until_there(fleet, "orders", order_id))["orders"][order_id]
    assert told.pop("at")
    assert told == {
        "verb": "drain", "target": "/shop_prod/10.0.0.5-1", "host": "box1",
        "state": "waiting", "steps": [], "by": "ops",
    }  # fmt: skip
    await etcd.revoke(kv.lease)

    async def lapsed() -> bool:
        return bool((await whole(fleet))["orders"][order_id]["state"] == "lapsed")

    await until(lapsed, timeout_seconds=10, what="the order has lapsed")


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"verb": "drain", "instance": "/shop_prod/10.0.0.5-9"}, 404),
        ({"verb": "drain", "host": "nobody"}, 404),
        ({"verb": "drain", "host": "edge1"}, 409),
        ({"verb": "explode", "host": "box1"}, 400),
        ({"verb": "drain", "host": "box1", "instance": "/shop_prod/10.0.0.5-1"}, 400),
        ({"verb": "drain"}, 400),
        ({"verb": "drain", "instance": "../../etc"}, 400),
        ({"verb": "drain", "host": "a/b"}, 400),
        ({"verb": "drain", "host": "x" * 5000}, 413),
        ([1], 400),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    fleet: Store, etcd: Etcd, order: object, status: int
) -> None:
    await put(etcd, pair(key_of(1)) | record() | record("edge1", "discovery", applied_revision=1))
    await until_there(fleet, "hosts", "edge1")
    answer = await fleet.client.post("/api/fleet/orders", json=order, headers=BEARS_ADMIN)
    assert answer.status == status, await answer.text()
    assert not (await etcd.list(ORDERS)).items


async def test_a_browser_that_signed_in_as_an_admin_may_drain(fleet: Store, etcd: Etcd) -> None:
    await put(etcd, record())
    await until_there(fleet, "hosts", "box1")
    for token, may, status in (("admin-token-1", True, 202), ("reading-token-1", False, 403)):
        fleet.client.session.cookie_jar.clear()
        answer = await fleet.client.post("/api/login", json={"token": token})
        assert answer.status == 200
        cookie = "; ".join(f"{each.key}={each.value}" for each in answer.cookies.values())
        signed = {"Cookie": cookie}
        assert ("drain" in (await answer.json())["may"]) is may
        assert (await fleet.get("/api/fleet", headers=signed))["may_drain"] is may
        order = {"verb": "drain", "host": "box1"}
        own = {**signed, "Sec-Fetch-Site": "same-origin"}
        answer = await fleet.client.post("/api/fleet/orders", json=order, headers=own)
        assert answer.status == status
        for headers in (signed, {**signed, "Sec-Fetch-Site": "cross-site"}):
            answer = await fleet.client.post("/api/fleet/orders", json=order, headers=headers)
            assert answer.status == 403


async def test_without_etcd_the_fleet_is_stale_and_lines_go_on(
    fleet: Store, etcd: Etcd, etcd_server: EtcdServer
) -> None:
    await put(etcd, pair(key_of(1)) | record())
    await until_there(fleet, "hosts", "box1")
    headers = {**BEARS_READS}
    async with fleet.client.get("/api/fleet/live", headers=headers) as response:
        stream = Stream(response)
        await stream.next()
        await etcd_server.process.kill()
        await stream.until(lambda told: bool(told["stale"]))
        found = await whole(fleet)
        assert found["stale"]
        assert "10.0.0.5:1" in found["services"]["shop_prod"]["instances"]
        red = [each.name for each in fleet.scope.health.report().checks if not each.healthy]
        assert red == ["fleet"]
        sends = {"Authorization": "Bearer sends-token-1"}
        line = json.dumps({"message": "still here"})
        answer = await fleet.bulk('{"create":{}}', line, headers=sends)
        assert (await answer.json())["errors"] is False
        answer = await fleet.client.post(
            "/api/fleet/orders", json={"verb": "drain", "host": "box1"}, headers=BEARS_ADMIN
        )
        assert answer.status == 503
        await etcd_server.start()
        await stream.until(lambda told: told["stale"] is None)


async def test_events_of_daemons_come_out_of_the_lines(fleet: Store) -> None:
    sends = {"Authorization": "Bearer sends-token-1"}
    for number in range(3):
        line = {
            "app": "wharfinger", "env": "registrar", "host": "box1", "level": "info",
            "stream": "events", "message": "instance registered key=/a_b/1.1.1.1-1",
            "event": "instance registered", "key": "/a_b/1.1.1.1-1", "seq": number,
        }  # fmt: skip
        await fleet.bulk('{"create":{}}', json.dumps(line), headers=sends)
    other = {"app": "shop", "env": "registrar", "stream": "events", "message": "no event"}
    # A container may have any labels and write any line: only its stream is not for it to say.
    forged = {"app": "wharfinger", "env": "registrar", "host": "box1", "stream": "stdout",
              "message": "order done", "event": "order done"}  # fmt: skip
    for each in (other, forged, {**forged, "stream": "stderr"}):
        await fleet.bulk('{"create":{}}', json.dumps(each), headers=sends)
    found = await fleet.get("/api/fleet/events?limit=2&daemon=registrar", headers=BEARS_READS)
    assert found["more"]
    assert [each["fields"]["seq"] for each in found["events"]] == [2, 1]
    first = found["events"][0]
    assert (first["event"], first["host"]) == ("instance registered", "box1")
    before = found["events"][-1]["id"]
    rest = await fleet.get(f"/api/fleet/events?before={before}", headers=BEARS_READS)
    assert [each["fields"]["seq"] for each in rest["events"]] == [0]
    assert not (await fleet.get("/api/fleet/events?level=error", headers=BEARS_READS))["events"]
    await fleet.get("/api/fleet/events?limit=x", status=400, headers=BEARS_READS)


async def test_only_the_default_tenant_is_told_of_the_fleet(
    fleet: Store, token_files: dict[str, Any]
) -> None:
    token_files["read_token_file"].write_text("reading-token-1\nother-token-1 team-b\n")
    other = {"Authorization": "Bearer other-token-1"}

    async def known() -> bool:
        return (await fleet.client.get("/api/whoami", headers=other)).status == 200

    await until(known, timeout_seconds=10, what="the token is read")
    assert "fleet" not in await fleet.get("/api/whoami", headers=other)
    for path in ("/api/fleet", "/api/fleet/live", "/api/fleet/events"):
        await fleet.get(path, status=403, headers=other)
        await fleet.get(path, status=401)


async def test_a_slow_reader_begins_anew(
    fleet: Store, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(etcd, pair(key_of(1)))
    await until_there(fleet, "services", "shop_prod")
    live = fleet.daemon._fleet._live  # type: ignore[union-attr]
    monkeypatch.setattr(live._ring, "_kept_bytes", 2_000)
    reader = live.events(may_drain=False)
    assert (await anext(reader))[0].plain.startswith(b"event: fleet")
    for port in range(2, 30):
        await put(etcd, pair(key_of(port)))
        if port % 10 == 0:
            await asyncio.sleep(0.25)
    await until_there(fleet, "services", "shop_prod", "instances", "10.0.0.5:29")
    again = b"".join(frame.plain for frame in await anext(reader))
    assert again.startswith(b"event: fleet")
    assert b"10.0.0.5:29" in again
    assert live._ring._bytes <= 2_000
    await reader.aclose()


async def test_a_store_that_anybody_reads_wants_a_token_for_orders(
    tmp_path: Path, etcd: Etcd, etcd_server: EtcdServer, token_files: dict[str, Path]
) -> None:
    await put(etcd, record())
    for files, status in (({}, 403), ({"admin_token_file": token_files["admin_token_file"]}, 202)):
        store = await store_of(tmp_path, etcd_server, **files)
        try:
            await until_there(store, "hosts", "box1")
            order = {"verb": "drain", "host": "box1"}
            answer = await store.client.post("/api/fleet/orders", json=order)
            assert answer.status in (401, 403)
            answer = await store.client.post("/api/fleet/orders", json=order, headers=BEARS_ADMIN)
            assert answer.status == status
            # Who may read without a token signs in with one to drain.
            answer = await store.client.post("/api/login", json={"token": "admin-token-1"})
            assert ("drain" in (await answer.json())["may"]) is (status == 202)
            assert bool(answer.cookies) is (status == 202)
        finally:
            await ended(store.daemon, store.scope, store.client)
