"""registrator's entries: what each means as an instance, and the words for those that mean none."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfinger import metadata
from wharfinger.errors import Rejected
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.operator.registrator import Entry, read, services

PREFIX = "/services/"


def one(key: str, value: str = "10.0.0.5:8080", **mapped: Service) -> Entry:
    return Entry(f"{PREFIX}{key}", value, 7)


def why(entry: Entry) -> str:
    moves, (refusal,) = read([entry], PREFIX, "prod", {})
    assert moves == []
    assert refusal.entry is entry
    return refusal.why


def test_an_entry_becomes_the_instance_that_it_means() -> None:
    (move,), refusals = read([one("shop/web-1:happy_shop:80")], PREFIX, "prod", {})
    assert refusals == []
    assert move.key == InstanceKey(Service("shop", "prod"), Endpoint("10.0.0.5", 8080))
    assert (move.metadata.host, move.metadata.name) == ("web-1", "happy_shop")
    assert (move.metadata.state, move.metadata.imported) == ("up", "registrator")
    read_again = metadata.parse(msgspec.json.encode(move.metadata))
    assert read_again.host == "web-1"


def test_ipv6_and_an_id_of_the_users_own() -> None:
    entries = [one("shop/my-own-id"), one("shop/web-1:shop:80", "[fd00::5]:80")]
    moves, refusals = read(entries, PREFIX, "prod", {})
    assert refusals == []
    assert [move.key.endpoint.value for move in moves] == ["10.0.0.5:8080", "[fd00::5]:80"]
    assert (moves[0].metadata.host, moves[0].metadata.name) == ("", "my-own-id")


def test_udp_stays_udp() -> None:
    entries = [one("dns/web-1:dns:53:udp", "10.0.0.5:53"), one("dns/web-1:dns:54", "10.0.0.5:54")]
    moves, _ = read(entries, PREFIX, "prod", {})
    told = {(m.key.endpoint.port, m.metadata.host, m.metadata.protocol) for m in moves}
    assert told == {(53, "web-1", "udp"), (54, "web-1", "tcp")}


def test_services_are_mapped_by_name() -> None:
    mapped = services(["shop-80=shop", "old=my_app_qa"], "prod")
    assert mapped == {"shop-80": Service("shop", "prod"), "old": Service("my_app", "qa")}
    entries = [one("shop-80/a:b:80"), one("old/a:b:80"), one("other/a:b:80")]
    moves, _ = read(entries, PREFIX, "prod", mapped)
    assert {move.key.service.name for move in moves} == {"shop_prod", "my_app_qa", "other_prod"}


@pytest.mark.parametrize("texts", [["shop"], ["=shop"], ["a=b", "a=c"], ["a=sh op"], ["a="]])
def test_a_map_that_makes_no_sense_is_refused(texts: list[str]) -> None:
    with pytest.raises(Rejected):
        services(texts, "prod")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (one("shop"), "is no /services/SERVICE/ID"),
        (one("shop/a/b"), "is no /services/SERVICE/ID"),
        (Entry("/elsewhere/shop/a:b:80", "10.0.0.5:1", 1), "is no /services/SERVICE/ID"),
        (one("sh op/a:b:80"), "app 'sh op' may hold"),
        (one("shop/a:b:80", "10.0.0.5"), "is not IP:PORT"),
        (one("shop/a:b:80", "10.0.0.5:80\n"), "is not IP:PORT"),
        (one("shop/a:b:80", "0.0.0.0:80"), "no address of a host"),
        (one("shop/a:b:80", "web-1:80"), "no IP address"),
        (one("shop/a:b:80", "10.0.0.5:80; return 200"), "is not IP:PORT"),
        (one("shop/a\x1b:b:80"), "cannot be printed"),
    ],
)
def test_what_means_no_instance_is_refused_with_its_reason(entry: Entry, expected: str) -> None:
    assert expected in why(entry)


@settings(deadline=None)
@given(key=st.text(max_size=60), value=st.text(max_size=60))
def test_nothing_that_stands_there_breaks_it_and_nothing_is_passed_over(
    key: str, value: str
) -> None:
    entries = [one(key, value), one("shop/a:b:80")]
    moves, refusals = read(entries, PREFIX, "prod", {})
    assert len(moves) + len(refusals) == len(entries)
    for move in moves:
        metadata.parse(msgspec.json.encode(move.metadata))
