"""What instances ask of the balancer, read from tags and attributes that anybody may write."""

from hypothesis import given
from hypothesis import strategies as st

from discovery.builtin.pools import BALANCES, Pool, Rule, pool_of
from discovery.model import Instance, Service


def pool(*instances: Instance, rule: Rule | None = None) -> Pool:
    return pool_of(Service("shop_prod", "shop", "prod", instances), rule or Rule())


def at(number: int, **more: object) -> Instance:
    return Instance(f"10.0.0.{number}", 80, **more)  # type: ignore[arg-type]


def test_roles() -> None:
    held = pool(
        at(1, weight=3),
        at(2, weight=0),
        at(3, state="draining"),
        at(4, tags=("backup",)),
        at(5, attributes={"backup": "true"}),
        at(6, tags=("down", "backup")),
        at(7, weight=0, tags=("backup",)),
    )
    assert [peer.role for peer in held.peers] == ["p", "d", "d", "b", "b", "x", "d"]
    assert [peer.address for peer in held.serving] == ["10.0.0.1:80"]
    assert [peer.address for peer in held.backups] == ["10.0.0.4:80", "10.0.0.5:80"]
    assert [peer.address for peer in held.down] == ["10.0.0.6:80"]
    assert held.pieces[:3] == ("round_robin 1 10 http", "10.0.0.1:80/3/p", "10.0.0.2:80/1/d")


def test_backups_alone_serve() -> None:
    held = pool(at(1, tags=("backup",)), at(2, weight=0))
    assert [peer.address for peer in held.serving] == ["10.0.0.1:80"]


def test_a_service_says_how_it_is_balanced_and_the_configuration_otherwise() -> None:
    rule = Rule("ip_hash", 5, 60)
    assert pool(at(1), rule=rule).rule == rule
    tags = ("balance=least_conn", "max_fails=0", "fail_timeout=30s", "grpc")
    held = pool(at(1), at(2, tags=tags), rule=rule)
    assert held.rule == Rule("least_conn", 0, 30)
    assert held.grpc
    assert not held.sticky
    assert pool(at(1, attributes={"balance": "sticky"})).sticky


def test_what_cannot_be_read_is_passed_over() -> None:
    for text in ("", "random", "-1", "1e3", "99999", "\u0661", "0x1", "5;", "3600000", "; }"):
        tags = (f"balance={text}", f"max_fails={text}", f"fail_timeout={text}")
        assert pool(at(1, tags=tags)).rule == Rule()
    assert pool(at(1, tags=("fail_timeout=0",))).rule == Rule()


@given(st.lists(st.text(max_size=20), max_size=4), st.dictionaries(st.text(), st.text()))
def test_no_tag_and_no_attribute_gets_out_of_the_format(
    tags: list[str], attributes: dict[str, str]
) -> None:
    held = pool(at(1, tags=tuple(tags), attributes=attributes))
    head, peer = held.pieces
    balance, fails, timeout, protocol = head.split(" ")
    assert balance in BALANCES
    assert 0 <= int(fails) <= 1000
    assert 1 <= int(timeout) <= 3600
    assert protocol in {"http", "grpc"}
    assert peer.rpartition("/")[0] == "10.0.0.1:80/1"


def test_each_service_has_a_cookie_of_its_own() -> None:
    one, two = pool(at(1)), pool_of(Service("blog_prod", "blog", "prod"), Rule())
    assert one.cookie != two.cookie
    assert one.cookie.startswith("wharfinger_")
