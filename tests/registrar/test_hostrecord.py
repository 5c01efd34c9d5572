"""What a host tells of itself: nothing that is no news, and nothing of another's damage."""

from typing import Any

import msgspec
import pytest

from registrar.host.hostrecord import (
    NEWS_SECONDS,
    UNHEALTHY_TOLD_AFTER_SECONDS,
    WORDS_SECONDS,
    OwnRecord,
)
from registrar.ofhost import OfHost
from wharfinger import __version__
from wharfinger.events import Events
from wharfinger.health import Check, Health
from wharfinger.hostrecord import Drained, Unregistered

BEGAN = "2026-01-02T03:04:05+00:00"


class Life:
    """One life of a registrar, with one check and a clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        health = Health(Events())
        self.check: Check = health.check("docker")
        self.record = OwnRecord(
            health,
            ip=lambda: "10.0.0.7",
            machine="m.b",
            started_at=1_767_323_045.9,
            clock=lambda: self.now,
        )

    def told(self, before: bytes | None) -> Any:
        return msgspec.json.decode(self.record(before))


@pytest.fixture
def life() -> Life:
    return Life()


def test_the_first_word_is_told_whatever_is_red(life: Life) -> None:
    told = life.told(None)
    assert (told["health"], told["since"], told["ip"]) == ("unhealthy", BEGAN, "10.0.0.7")
    assert (told["machine"], told["version"]) == ("m.b", __version__)


def test_what_is_red_for_moments_is_no_news(life: Life) -> None:
    life.check.ok()
    healthy = life.record(None)
    life.check.fail("Docker does not answer")
    assert life.record(healthy) == healthy
    life.now += UNHEALTHY_TOLD_AFTER_SECONDS - 0.1
    assert life.record(healthy) == healthy
    life.now += 0.1
    assert life.told(healthy)["health"] == "unhealthy"
    life.check.ok()
    assert life.record(b"anything") == healthy


def test_after_a_restart_the_same_stands_there(life: Life) -> None:
    life.check.ok()
    before = life.record(None).replace(BEGAN.encode(), b"2020-01-01T00:00:00+00:00")
    assert life.record(before) == before
    upgraded = before.replace(__version__.encode(), b"0.0.1-old")
    assert life.told(upgraded)["since"] == BEGAN


@pytest.mark.parametrize("damage", [b"", b"\xff", b"null", b'{"since": 1}', b"[" * 100_000])
def test_damage_is_put_right(life: Life, damage: bytes) -> None:
    life.check.ok()
    assert life.told(damage)["since"] == BEGAN


def test_drains_are_told_at_once_and_the_rest_in_a_while() -> None:
    now, of_host = [100.0], [OfHost()]
    health = Health(Events())
    health.check("docker").ok()
    record = OwnRecord(
        health, ip=lambda: "10.0.0.7", machine="m.b", started_at=0.0,
        of_host=lambda: of_host[0], clock=lambda: now[0],
    )  # fmt: skip
    first = record(None)
    now[0] += 1
    of_host[0] = OfHost(unregistered=(Unregistered(name="a", reason="waits for 1 s"),))
    assert record(first) == first
    now[0] += NEWS_SECONDS
    second = record(first)
    assert b"waits for 1 s" in second
    # The same in other words is hardly news.
    of_host[0] = OfHost(unregistered=(Unregistered(name="a", reason="waits for 9 s"),))
    now[0] += NEWS_SECONDS
    assert record(second) == second
    now[0] += WORDS_SECONDS
    third = record(second)
    assert b"waits for 9 s" in third
    drained = Drained(key="/shop_prod/10.0.0.7-1", name="a", since="2026-01-01T00:00:00Z")
    of_host[0] = OfHost(drained=True, drains=(drained,), unregistered=of_host[0].unregistered)
    assert b"/shop_prod/10.0.0.7-1" in record(third)
