"""What a host tells of itself: nothing that is no news, and nothing of another's damage."""

from typing import Any

import msgspec
import pytest

from registrar.host.hostrecord import UNHEALTHY_TOLD_AFTER_SECONDS, OwnRecord
from wharfinger import __version__
from wharfinger.events import Events
from wharfinger.health import Check, Health

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
