"""confd's store functions: same answers as its memkv and Go's path.Match."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.confd.store import Pair, Store, instances_below, visible, watched
from discovery.model import Instance, Service, Snapshot
from wharfinger.errors import Rejected

STORE = Store(
    {
        "/deis/database/user": "u",
        "/deis/database/pass": "p",
        "/deis/services/key": "value",
        "/deis/services/srv/node1": "10.244.1.1:80",
        "/deis/services/srv/node2": "10.244.2.2:80",
        "/deis/services/srv/node10": "10.244.0.3:80",
        "/top": "t",
    }
)


def test_get_and_getv() -> None:
    assert STORE.get("/top") == Pair("/top", "t")
    assert STORE.getv("/top") == "t"
    assert STORE.getv("/none", "default") == "default"
    assert STORE.exists("/top")
    assert not STORE.exists("/deis")
    for missing in (STORE.get, STORE.getv):
        with pytest.raises(Rejected, match="key does not exist: /none"):
            missing("/none")


def test_gets_sorts_by_key_and_getvs_by_value() -> None:
    assert [p.key for p in STORE.gets("/deis/services/srv/*")] == [
        "/deis/services/srv/node1",
        "/deis/services/srv/node10",
        "/deis/services/srv/node2",
    ]
    assert STORE.getvs("/deis/services/srv/*") == [
        "10.244.0.3:80",
        "10.244.1.1:80",
        "10.244.2.2:80",
    ]
    assert STORE.gets("/nothing/*") == []


def test_ls_and_lsdir() -> None:
    assert STORE.ls("/deis/services") == ["key", "srv"]
    assert STORE.ls("/deis/services/") == ["key", "srv"]
    assert STORE.ls("/") == ["deis", "top"]
    assert STORE.ls("/top") == ["top"]
    assert STORE.ls("/none") == []
    assert STORE.lsdir("/deis/services") == ["srv"]
    assert STORE.lsdir("/") == ["deis"]


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    # The table of Go's path/match_test.go says the same of these.
    [
        ("abc", "abc", True), ("*", "abc", True), ("*c", "abc", True), ("a*", "a", True),
        ("a*", "abc", True), ("a*", "ab/c", False), ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False), ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False), ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True), ("ab[e-g]", "abc", False), ("ab[^c]", "abc", False),
        ("ab[^b-d]", "abc", False), ("ab[^e-g]", "abc", True), ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False), ("a?b", "a☺b", True), ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False), ("[a-\u03b6]*", "\u03b1", True), ("*[a-\u03b6]", "A", False),
        ("a?b", "a/b", False), ("a*b", "a/b", False), ("[\\]a]", "]", True),
        ("[\\-]", "-", True), ("[x\\-]", "x", True), ("[x\\-]", "z", False),
        ("*x", "xxx", True), ("a[b-a]", "ab", False), (".", "a", False), ("a\nb", "a\nb", True),
    ],
)  # fmt: skip
def test_the_glob_is_gos(pattern: str, name: str, matches: bool) -> None:
    assert bool(Store({name: "x"}).gets(pattern)) is matches


@pytest.mark.parametrize("pattern", ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc",
                                     "a[", "a[b", "\\", "[\\"])  # fmt: skip
def test_a_malformed_glob_fails_the_template(pattern: str) -> None:
    with pytest.raises(Rejected, match="syntax error in pattern"):
        STORE.gets(pattern)


@given(st.text("ab*?[]^-\\/.$(|+", max_size=12), st.text("ab-]^\\/", max_size=8))
def test_no_glob_breaks_out_of_its_grammar(pattern: str, name: str) -> None:
    try:
        found = Store({name: "x"}).gets(pattern)
    except Rejected:
        return
    except re.error:  # pragma: no cover - the failure that this test looks for
        pytest.fail(f"{pattern!r} became a bad regular expression")
    assert len(found) <= 1


SNAPSHOT = Snapshot(
    1,
    (Service("shop_prod", "shop", "prod", (Instance("10.0.0.1", 80),)),),
    {"/myapp/url": "u", "/myapp2/url": "v", "/other": "w"},
    {"/shop_prod/10.0.0.1-80": "10.0.0.1:80", "/shop_prod/evil": "; evil"},
)


def test_a_resource_sees_its_keys_without_the_prefix() -> None:
    assert visible(SNAPSHOT, keys=["/url"], prefix="/myapp") == {"/url": "u"}
    assert visible(SNAPSHOT, keys=["/"], prefix="/myapp/") == {"/url": "u"}
    assert visible(SNAPSHOT, keys=["/myapp"]) == {"/myapp/url": "u"}
    assert visible(SNAPSHOT, keys=["myapp/", "/other"]) == {"/myapp/url": "u", "/other": "w"}
    assert visible(SNAPSHOT, keys=["/oth", "/shop", "/other/x"]) == {}
    assert visible(SNAPSHOT, keys=[]) == {}


def test_a_key_comes_to_stand_for_no_other() -> None:
    values = {"/a//b": "1", "/a/c/": "2", "/a/../b": "3"}
    assert visible(Snapshot(1, (), values), keys=["/a"]) == values


def test_instances_are_seen_typed_unless_raw_is_asked_for() -> None:
    typed = visible(SNAPSHOT, keys=["/shop_prod"])
    assert typed == {"/shop_prod/10.0.0.1-80": "10.0.0.1:80"}
    raw = visible(SNAPSHOT, keys=["/shop_prod"], raw=True)
    assert raw == {**typed, "/shop_prod/evil": "; evil"}
    assert Store(typed).getvs("/shop_prod/*") == ["10.0.0.1:80"]


def test_what_to_watch_and_to_count() -> None:
    assert watched(["/", "/b/"], "/a/") == ("/a/", "/a/b")
    assert watched(["/"]) == ("/",)
    assert watched(["b"]) == ("/b",)
    assert watched(["//b/../c"], "/a") == ("/a/c",)
    assert instances_below(SNAPSHOT, ("/shop_prod",)) == 1
    assert instances_below(SNAPSHOT, ("/shop_prod/10.0.0.1-80",)) == 1
    assert instances_below(SNAPSHOT, ("/shop",)) == 0
    assert instances_below(SNAPSHOT, ("/blog",)) == 0
