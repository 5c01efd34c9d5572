"""Who may do what in etcd, and how it comes to that."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wharfinger.kv import KeyRange, Permission
from wharfinger.operator.pki import rights
from wharfinger.operator.pki.difference import (
    AddUser,
    DeleteRole,
    DeleteUser,
    Enable,
    Grant,
    Take,
    Withdraw,
    steps,
)
from wharfinger.operator.pki.model import Issued, wish
from wharfinger.operator.pki.rights import Ours, Standing

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NOTHING = Standing({}, {})


def issued(name: str, role: str, **more: Any) -> Issued:
    until = NOW + timedelta(days=365)
    asked = wish(name, [role], [], [])
    return Issued(wish=asked, serial="1", since=NOW, until=until, **more)


def may(standing: Standing, user: str, key: str) -> str:
    """What a user may do with a key."""
    found = {
        each.kind
        for role in standing.users[user]
        for each in standing.roles[role]
        if each.keys.start <= key and (each.keys.end is None or key < each.keys.end)
    }
    return "readwrite" if "readwrite" in found else "read" if found else ""


@pytest.mark.parametrize(
    ("role", "key", "allowed"),
    [
        ("host", "/shop_prod/10.0.0.5-80", "readwrite"),
        ("host", "/shop_qa/10.0.0.5-80", ""),
        ("host", "/web_qa/10.0.0.5-80", "readwrite"),
        ("host", "/wharfinger/instances/web_qa/10.0.0.5-80", "readwrite"),
        ("host", "/wharfinger/hosts/box/registrar", "readwrite"),
        ("host", "/wharfinger/hosts/boxer/registrar", "read"),
        ("host", "/wharfinger/orders/box/1", "readwrite"),
        ("host", "/wharfinger/orders/boxer/1", ""),
        ("host", "/wharfinger/deploy/shop_prod/lock", ""),
        ("edge", "/shop_qa/10.0.0.5-80", "read"),
        ("edge", "/myapp/database/url", "read"),
        ("edge", "/wharfinger/hosts/box/discovery", "readwrite"),
        ("edge", "/wharfinger/hosts/other/discovery", ""),
        ("edge", "/wharfinger/deploy/shop_prod/lock", ""),
        ("store", "/wharfinger/orders/other/1", "readwrite"),
        ("store", "/wharfinger/hosts/other/registrar", "read"),
        ("store", "/wharfinger/deploy/shop_prod/releases/1", "read"),
        ("store", "/myapp/database/url", "read"),
        ("store", "/wharfinger/instances/shop_prod/10.0.0.5-80", "read"),
        ("deploy", "/wharfinger/deploy/shop_prod/lock", "readwrite"),
        ("deploy", "/wharfinger/deploy/shop_prod/releases/1", "readwrite"),
        ("deploy", "/wharfinger/deploy/shop/pushes/1", "readwrite"),
        ("deploy", "/wharfinger/deploy/shop_pre/releases/1", "read"),
        ("deploy", "/wharfinger/deploy/we_prod/lock", "readwrite"),
        ("deploy", "/wharfinger/orders/other/1", "readwrite"),
        ("deploy", "/wharfinger/hosts/other/registrar", "read"),
        ("deploy", "/wharfinger/instances/shop_prod/10.0.0.5-80", "read"),
        ("deploy", "/shop_prod/10.0.0.5-80", "read"),
        ("deploy", "/shop_qa/10.0.0.5-80", ""),
        ("deploy", "/myapp/database/url", ""),
        ("all", "/myapp/database/url", "read"),
        ("all", "/wharfinger/orders/other/1", "readwrite"),
    ],
)
def test_each_may_do_no_more_than_it_needs(role: str, key: str, allowed: str) -> None:
    one = issued("box", role, services=("shop_prod", "we*"))
    for site in ("", "/site"):
        standing = rights.wanted([one], site)
        assert may(standing, "box", f"{site}{key}") == allowed
        assert site == "" or may(standing, "box", key) == ""


@pytest.mark.parametrize("pattern", ["*", "w*", "wharfinger*"])
def test_a_pattern_for_services_holds_nothing_of_our_own(pattern: str) -> None:
    standing = rights.wanted([issued("box", "host", services=(pattern,))], "")
    assert may(standing, "box", "/wharfinger_prod/1") == "readwrite"
    assert may(standing, "box", "/wharfinger/deploy/x_y/lock") == ""
    assert may(standing, "box", "/wharfinger/hosts/other/registrar") == "read"


def test_who_may_release_everything_writes_all_records_and_no_instance() -> None:
    for services in (("*",), ("shop_*",)):
        standing = rights.wanted([issued("ci", "deploy", services=services)], "")
        assert may(standing, "ci", "/wharfinger/deploy/shop_prod/lock") == "readwrite"
        assert may(standing, "ci", "/wharfinger/deploy/shop/pushes/3") == "readwrite"
        assert may(standing, "ci", "/shop_prod/10.0.0.5-80") == "read"
        (role,) = standing.roles.keys() - {"root"}
        ranges = [each.keys for each in standing.roles[role]]
        assert len(ranges) == len(set(ranges)), "etcd keeps one right for a range"


def test_an_administrator_may_do_all_and_a_member_is_nobody() -> None:
    standing = rights.wanted([issued("ops", "admin"), issued("m1", "etcd")], "")
    assert standing.users == {"root": {"root"}, "ops": {"root"}}


def test_from_nothing_users_come_before_they_are_asked_for() -> None:
    want = rights.wanted([issued("box", "host")], "")
    found = steps(NOTHING, want, rights.ours([issued("box", "host")]), enabled=False)
    assert found[-1] == Enable()
    assert AddUser("box") in found
    assert steps(want, want, Ours(frozenset({"box"})), enabled=True) == ()


def test_what_is_revoked_goes_and_what_is_anothers_stays() -> None:
    box, gone = issued("box", "host"), issued("gone", "edge", revoked=NOW)
    have = rights.wanted([box, issued("gone", "edge")], "")
    stranger = Permission("read", KeyRange("/", "0"))
    have.users["mary"] = frozenset({"guests"})
    have.users["box"] |= {"guests", "root"}
    have.roles["guests"] = frozenset({stranger})
    want, ours = rights.wanted([box, gone], ""), rights.ours([box, gone])
    found = set(steps(have, want, ours, enabled=True))
    assert found == {DeleteUser("gone"), DeleteRole("discovery-gone"), Take("box", "root")}


def test_a_role_named_as_a_user_of_ours_stays_and_a_user_named_as_a_role() -> None:
    current = [issued("box", "host"), issued("backup", "admin")]
    want = rights.wanted(current, "")
    have = rights.wanted(current, "")
    have.roles["backup"] = frozenset({Permission("read", KeyRange("/", "0"))})
    have.users["registrar-box"] = frozenset({"backup"})
    have.users["box"] |= {"backup"}
    assert steps(have, want, rights.ours(current), enabled=True) == ()


def test_a_right_that_became_smaller_is_replaced_not_withdrawn() -> None:
    keys = KeyRange("/a/", "/a0")
    more, less = Permission("readwrite", keys), Permission("read", keys)
    other = Permission("read", KeyRange("/b/", "/b0"))
    have = Standing({}, {"registrar-box": frozenset({more, other})})
    want = Standing({}, {"registrar-box": frozenset({less})})
    found = steps(have, want, Ours(roles=frozenset({"registrar-box"})), enabled=True)
    assert found == (Grant("registrar-box", less), Withdraw("registrar-box", other))
