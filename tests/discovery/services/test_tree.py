"""Keys and values of etcd, mostly hostile, read as services."""

import json

import pytest

from discovery.model import Instance
from discovery.services.instances import instance_key
from discovery.services.tree import Tree
from wharfinger import keys, kv

SHOP = "/shop_prod/10.0.0.1-80"
META = "/wharfinger/instances/shop_prod/10.0.0.1-80"


def entry(key: str, value: str | bytes, *, lease: int = 0, revision: int = 1) -> kv.KeyValue:
    raw = value.encode() if isinstance(value, str) else value
    return kv.KeyValue(key, raw, revision, revision, 1, lease)


def listed(
    values: dict[str, str], *, revision: int = 1, leases: dict[str, int] | None = None
) -> kv.Listed:
    items = {
        key: entry(key, value, lease=(leases or {}).get(key, 0), revision=revision)
        for key, value in values.items()
    }
    return kv.Listed(kv.Snapshot(revision, items))


def put(key: str, value: str | bytes, revision: int, lease: int = 0) -> kv.Event:
    return kv.Event(key, revision, entry(key, value, lease=lease, revision=revision))


def gone(key: str, revision: int) -> kv.Event:
    return kv.Event(key, revision, None)


def tree_of(values: dict[str, str]) -> Tree:
    tree = Tree()
    tree.hear(listed(values))
    return tree


def addresses(tree: Tree) -> dict[str, list[str]]:
    return {s.name: [i.address for i in s.instances] for s in tree.snapshot().services}


def rejected(tree: Tree) -> dict[str, str]:
    return {one.key: one.reason for one in tree.snapshot().rejected}


def test_an_instance_is_read_with_its_metadata() -> None:
    described = {
        "id": "c0ffee", "name": "shop-1", "image": "shop:1", "host": "h1", "weight": 3,
        "tags": ["blue"], "version": "1.2", "http_host": "Shop.Example.com",
        "http_path": "/api/", "started": "today", "state": "up", "more": {"later": 1},
    }  # fmt: skip
    tree = tree_of({SHOP: "10.0.0.1:80", META: json.dumps(described)})
    (service,) = tree.snapshot().services
    assert (service.name, service.app, service.env) == ("shop_prod", "shop", "prod")
    assert service.instances == (
        Instance(
            "10.0.0.1", 80, weight=3, host="h1", tags=("blue",), http_host="shop.example.com",
            http_path="/api", id="c0ffee", name="shop-1", image="shop:1", version="1.2",
        ),
    )  # fmt: skip
    assert not tree.snapshot().rejected


def test_instances_are_sorted_by_number_and_ipv6_stands_in_brackets() -> None:
    tree = tree_of(
        {
            "/a_b/10.0.0.10-80": "10.0.0.10:80",
            "/a_b/10.0.0.9-80": "10.0.0.9:80",
            "/a_b/10.0.0.9-9": "10.0.0.9:9",
            "/a_b/[::1]-80": "[::1]:80",
        }
    )
    assert addresses(tree) == {"a_b": ["10.0.0.9:9", "10.0.0.9:80", "10.0.0.10:80", "[::1]:80"]}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "10.0.0.1",
        "10.0.0.1:80\n",
        " 10.0.0.1:80",
        "10.0.0.1:080",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.2:80",
        "10.0.0.1:81",
        "10.0.0.1:80; } evil {",
        "10.0.0.1:80; } server { listen 1.2.3.4:81; return 200 pwned; } upstream x { server 1:1",
        "10.0.0.1:80 weight=100",
        "unix:/var/run/docker.sock",
        "localhost:80",
        "\uff11\uff10.0.0.1:80",
        "$host:80",
        "10.0.0.1:80\x00",
        "[::ffff:10.0.0.1]:80",
    ],
)
def test_a_bad_value_is_left_out_alone(value: str) -> None:
    tree = tree_of({SHOP: value, "/shop_prod/10.0.0.2-80": "10.0.0.2:80"})
    assert addresses(tree) == {"shop_prod": ["10.0.0.2:80"]}
    assert list(rejected(tree)) == [SHOP]
    assert "/shop_prod/10.0.0.1-80" not in tree.snapshot().values
    assert tree.snapshot().raw[SHOP] == value


def test_a_value_that_is_no_text_is_left_out_alone() -> None:
    tree = tree_of({"/shop_prod/10.0.0.2-80": "10.0.0.2:80"})
    tree.hear(kv.Changed(2, (put(SHOP, b"\xff\xfe", 2),)))
    assert addresses(tree) == {"shop_prod": ["10.0.0.2:80"]}
    assert list(rejected(tree)) == [SHOP]


@pytest.mark.parametrize(
    "child",
    ["evil", "10.0.0.1-80; }", "10.0.0.1-80 ", "10.0.0.1-80}", "", "010.0.0.1-80", "::1-80"],
)
def test_another_child_beside_instances_is_refused(child: str) -> None:
    tree = tree_of({f"/shop_prod/{child}": "10.0.0.1:80", "/shop_prod/10.0.0.2-80": "10.0.0.2:80"})
    assert addresses(tree) == {"shop_prod": ["10.0.0.2:80"]}
    assert list(rejected(tree)) == [f"/shop_prod/{child}"]


def test_a_child_is_refused_beside_metadata_alone() -> None:
    tree = tree_of({"/shop_prod/evil": "x", META: "{}"})
    assert addresses(tree) == {}
    assert list(rejected(tree)) == ["/shop_prod/evil"]


@pytest.mark.parametrize("name", ["a;b_c", "a b_c", "a{_c", "x" * 129 + "_c", "\u0430_b", "a_\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    tree = tree_of({f"/{name}/10.0.0.1-80": "10.0.0.1:80", SHOP: "10.0.0.1:80"})
    assert addresses(tree) == {"shop_prod": ["10.0.0.1:80"]}
    assert list(rejected(tree)) == [f"/{name}/10.0.0.1-80"]


def test_all_other_keys_are_the_users_own() -> None:
    own = {
        "/myapp/database/url": "db;{}",
        "/my_app/url": "x",
        "/cluster/10.0.0.1-80": "not an instance: no <APP>_<ENV>",
        "/shop_prod/deep/10.0.0.1-80": "y",
    }
    tree = tree_of({**own, SHOP: "10.0.0.1:80"})
    assert dict(tree.snapshot().values) == own
    assert not tree.snapshot().rejected


@pytest.mark.parametrize(
    "described",
    [
        {"weight": -1}, {"weight": 1001}, {"weight": "1; }"}, {"weight": 1.5}, {"weight": True},
        {"http_host": "a;b"}, {"http_host": "a b"}, {"http_host": "~^.*$"}, {"http_host": "$host"},
        {"http_host": "a\n"}, {"http_host": "x" * 254}, {"http_host": "ex\u212aample.com"},
        {"http_host": "a{b"}, {"http_host": "*.*.com"}, {"http_host": '"'}, {"http_host": "_.a;"},
        {"http_host": "-a.com"}, {"http_host": "a..b"}, {"http_host": "a/b"}, {"http_host": "é.fr"},
        {"http_path": "api"}, {"http_path": "/a;b"}, {"http_path": "/a b"}, {"http_path": "/a{"},
        {"http_path": "/../etc"}, {"http_path": "/a/./b"}, {"http_path": "/a\n"},
        {"http_path": "//a"}, {"http_path": "/$uri"}, {"http_path": "/" + "a" * 200},
        {"http_path": "~ /x"}, {"http_path": '/"'}, {"http_path": "/%2e%2e"}, {"http_path": 7},
        {"tags": ["a b"]}, {"tags": ["a;b"]}, {"tags": ['a"']}, {"tags": ["a}"]}, {"tags": "x"},
        {"tags": ["x\n"]}, {"tags": ["`id`"]}, {"tags": [""]}, {"tags": ["x" * 129]},
        {"tags": ["t"] * 65}, {"tags": ["a\\"]}, {"tags": ["'"]}, {"name": "a\nb"},
        {"image": "x" * 513}, {"host": "\x1b[2J"}, {"id": 7}, {"version": ["1"]}, [], "x", 7, None,
    ],
)  # fmt: skip
def test_bad_metadata_is_left_out_and_the_instance_serves_without(described: object) -> None:
    tree = tree_of({SHOP: "10.0.0.1:80", META: json.dumps(described)})
    (service,) = tree.snapshot().services
    assert service.instances == (Instance("10.0.0.1", 80),)
    assert list(rejected(tree)) == [META]


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":"' + b"x" * 20_000])
def test_metadata_that_is_no_json_is_left_out(value: bytes) -> None:
    tree = tree_of({SHOP: "10.0.0.1:80"})
    tree.hear(kv.Changed(2, (put(META, value, 2),)))
    assert addresses(tree) == {"shop_prod": ["10.0.0.1:80"]}
    assert list(rejected(tree)) == [META]


def test_of_two_names_that_differ_by_case_the_older_stays() -> None:
    tree = Tree()
    older = entry("/shop_prod/10.0.0.1-80", "10.0.0.1:80", revision=5)
    newer = entry("/Shop_prod/10.0.0.2-80", "10.0.0.2:80", revision=9)
    tree.hear(kv.Listed(kv.Snapshot(9, {newer.key: newer, older.key: older})))
    assert addresses(tree) == {"shop_prod": ["10.0.0.1:80"]}
    assert list(rejected(tree)) == ["/Shop_prod/10.0.0.2-80"]
    tree.hear(kv.Changed(10, (gone(older.key, 10),)))
    assert addresses(tree) == {"Shop_prod": ["10.0.0.2:80"]}


def test_updates_are_applied_and_only_real_changes_count() -> None:
    tree = tree_of({SHOP: "10.0.0.1:80"})
    assert not tree.hear(kv.Changed(2, (put(SHOP, "10.0.0.1:80", 2),))).changed
    assert tree.revision == 2
    assert tree.hear(kv.Changed(3, (put("/shop_prod/10.0.0.2-80", "10.0.0.2:80", 3),))).changed
    assert addresses(tree) == {"shop_prod": ["10.0.0.1:80", "10.0.0.2:80"]}
    tree.hear(kv.Changed(5, (gone(SHOP, 4), gone("/shop_prod/10.0.0.2-80", 5))))
    assert addresses(tree) == {}


def test_progress_and_what_hosts_report_are_no_reason_to_report() -> None:
    tree = tree_of({SHOP: "10.0.0.1:80"})
    own = put("/wharfinger/hosts/h/discovery", "{}", 2)
    assert not tree.hear(kv.Changed(2, (own,))).changed
    assert not tree.hear(kv.Changed(9, ())).changed
    assert tree.revision < 9


def test_a_snapshot_does_not_change_afterwards() -> None:
    tree = tree_of({SHOP: "10.0.0.1:80", "/my/key": "1"})
    before = tree.snapshot()
    tree.hear(kv.Changed(2, (put("/my/key", "2", 2), gone(SHOP, 2))))
    assert before.values["/my/key"] == "1"
    assert before.services[0].instances


LEASED = {
    "/shop_prod/10.0.0.1-80": "10.0.0.1:80",
    "/wharfinger/instances/shop_prod/10.0.0.1-80": '{"host":"h"}',
    "/shop_prod/10.0.0.1-81": "10.0.0.1:81",
    "/wharfinger/instances/shop_prod/10.0.0.1-81": '{"host":"h"}',
}


def leased() -> Tree:
    tree = Tree()
    tree.hear(listed(LEASED, leases=dict.fromkeys(LEASED, 7)))
    return tree


def test_what_goes_with_its_whole_lease_at_one_revision_is_lost() -> None:
    heard = leased().hear(kv.Changed(2, tuple(gone(key, 2) for key in LEASED)))
    assert sorted(one.instance.address for one in heard.lost) == ["10.0.0.1:80", "10.0.0.1:81"]
    assert {one.lease for one in heard.lost} == {7}
    assert all(one.instance.host == "h" for one in heard.lost)


def test_what_is_deleted_while_its_lease_holds_more_is_not_lost() -> None:
    first = list(LEASED)[:2]
    assert not leased().hear(kv.Changed(2, tuple(gone(key, 2) for key in first))).lost


def test_what_is_deleted_bit_by_bit_is_not_lost() -> None:
    tree = leased()
    events = tuple(gone(key, 2 + number // 2) for number, key in enumerate(LEASED))
    heard = tree.hear(kv.Changed(3, events))
    # The second half was all that was left of the lease: whoever asks etcd will learn that the
    # lease lives on. The first half was deleted by somebody.
    assert {one.instance.address for one in heard.lost} <= {"10.0.0.1:81"}


def test_keys_without_a_lease_are_never_lost_by_deletion() -> None:
    tree = tree_of(LEASED)
    assert not tree.hear(kv.Changed(2, tuple(gone(key, 2) for key in LEASED))).lost


def test_a_list_at_an_older_revision_loses_whatever_it_lacks() -> None:
    tree = Tree()
    tree.hear(listed(LEASED, revision=100))
    heard = tree.hear(listed({"/shop_prod/10.0.0.1-81": "10.0.0.1:81"}, revision=3))
    assert heard.backwards
    assert [one.instance.address for one in heard.lost] == ["10.0.0.1:80"]
    assert addresses(tree) == {"shop_prod": ["10.0.0.1:81"]}


def test_a_later_list_loses_only_what_went_with_its_lease() -> None:
    tree = Tree()
    tree.hear(listed({**LEASED, "/a_b/1.1.1.1-1": "1.1.1.1:1"}, leases=dict.fromkeys(LEASED, 7)))
    heard = tree.hear(listed({}, revision=50))
    assert not heard.backwards
    assert {one.key.service.name for one in heard.lost} == {"shop_prod"}


def test_an_instance_that_comes_back_in_the_same_update_is_not_lost() -> None:
    again = put("/shop_prod/10.0.0.1-80", "10.0.0.1:80", 3, lease=8)
    heard = leased().hear(kv.Changed(3, (*(gone(key, 2) for key in LEASED), again)))
    assert [one.instance.address for one in heard.lost] == ["10.0.0.1:81"]


def test_protocol_and_attributes_are_read_and_udp_claims_no_route() -> None:
    described = {
        "http_host": "dns.example", "protocol": "udp", "attributes": {"region": "eu"},
    }  # fmt: skip
    (service,) = tree_of({SHOP: "10.0.0.1:80", META: json.dumps(described)}).snapshot().services
    (instance,) = service.instances
    assert (instance.protocol, instance.attributes) == ("udp", {"region": "eu"})
    assert not instance.http
    assert service.routes == ()
    bad = {"weight": 3, "attributes": {"region": "eu\n"}}
    tree = tree_of({SHOP: "10.0.0.1:80", META: json.dumps(bad)})
    (service,) = tree.snapshot().services
    assert service.instances == (Instance("10.0.0.1", 80),)
    assert "region" in rejected(tree)[META]


@pytest.mark.parametrize("key", ["//x", "/wharfinger/instances//x"])
def test_a_name_may_be_empty(key: str) -> None:
    tree = Tree()
    assert tree.hear(kv.Changed(1, (put(key, "1", 1),))).changed
    before = tree.snapshot()
    assert before.raw.get(key, before.values.get(key)) == "1"
    assert tree.hear(kv.Changed(2, (gone(key, 2),))).changed
    after = tree.snapshot()
    assert (after.values, dict(after.raw), after.rejected) == ({}, {}, ())


def test_what_was_read_is_not_parsed_again_to_be_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = Tree()
    name = "shop_prod/10.0.0.1-80"
    values = {
        f"/{name}": b"10.0.0.1:80",
        f"/wharfinger/instances/{name}": b"{}",
        "/shop_prod/nonsense": b"1",
        "/wharfinger/instances/shop_prod/nonsense": b"{}",
    }
    items = {key: kv.KeyValue(key, value, 1, 1, 1, 7) for key, value in values.items()}
    tree.hear(kv.Listed(kv.Snapshot(1, items)))
    tree.snapshot()
    parsed = []

    def noted(key: str) -> keys.InstanceKey | None:
        parsed.append(key)
        return instance_key(key)

    monkeypatch.setattr("discovery.services.tree.instance_key", noted)
    assert set(tree.instances().items) == {f"/{name}", f"/wharfinger/instances/{name}"}
    assert not [key for key in parsed if name in key]
