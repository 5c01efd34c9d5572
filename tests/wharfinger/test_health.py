"""Checks that go red by themselves, in virtual time."""

import pytest

from wharfinger.events import Events
from wharfinger.health import Health


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def health(events: Events, clock: Clock) -> Health:
    return Health(events, clock=clock)


def told(events: Events) -> list[tuple[object, object, object]]:
    return [(line["event"], line["check"], line["why"]) for _, line in events.since(0)]


def test_red_until_confirmed(health: Health, events: Events) -> None:
    check = health.check("etcd watch")
    report = health.report()
    assert not report.healthy
    assert report.why == "etcd watch: not yet confirmed"
    check.ok("revision 7")
    assert health.report().healthy
    assert health.report().why == ""
    assert told(events) == [("check healthy", "etcd watch", "revision 7")]


def test_one_red_check_makes_the_whole_red(health: Health) -> None:
    health.check("a").ok()
    health.check("b").fail("x")
    health.check("c").fail("y")
    assert not health.report().healthy
    assert health.report().why == "b: x; c: y"


def test_no_checks_are_healthy(health: Health) -> None:
    assert health.report().healthy


def test_goes_stale_by_itself_and_says_so_once(
    health: Health, events: Events, clock: Clock
) -> None:
    check = health.check("watch", stale_after_seconds=5)
    check.beat()
    clock.now += 5
    assert health.report().healthy
    clock.now += 0.5
    assert not health.report().healthy
    assert health.report().checks[0].why == "stale: nothing heard for 6 s"
    clock.now += 60
    report = health.report().checks[0]
    assert report.why == "stale: nothing heard for 66 s"
    assert report.since_seconds == 60
    check.beat()
    assert health.report().healthy
    assert health.report().why == ""
    assert [event for event, _, _ in told(events)] == [
        "check healthy", "check unhealthy", "check healthy",
    ]  # fmt: skip


def test_a_failure_is_not_painted_over_by_staleness(health: Health, clock: Clock) -> None:
    check = health.check("watch", stale_after_seconds=5)
    check.ok()
    check.fail("refused")
    clock.now += 60
    assert health.report().why == "watch: refused"


def test_never_confirmed_is_red_however_long(health: Health, clock: Clock) -> None:
    health.check("watch", stale_after_seconds=5)
    clock.now += 60
    assert health.report().why == "watch: not yet confirmed"


def test_transitions_are_told_once(health: Health, events: Events) -> None:
    check = health.check("lease")
    for _ in range(3):
        check.fail("down")
    check.fail("still down")
    assert health.report().why == "lease: still down"
    for _ in range(3):
        check.ok("granted")
        check.beat()
    assert health.report().checks[0].why == "granted"
    assert told(events) == [
        ("check unhealthy", "lease", "down"),
        ("check healthy", "lease", "granted"),
    ]
    assert [line["level"] for _, line in events.since(0)] == ["warning", "info"]


def test_since_counts_from_the_last_change(health: Health, clock: Clock) -> None:
    check = health.check("lease")
    clock.now += 3
    assert health.report().checks[0].since_seconds == 3
    check.ok()
    clock.now += 2
    check.ok()
    assert health.report().checks[0].since_seconds == 2


def test_a_check_is_made_once_and_can_be_forgotten(health: Health) -> None:
    check = health.check("a", stale_after_seconds=5)
    assert health.check("a") is check
    assert health.check("a", stale_after_seconds=5) is check
    with pytest.raises(ValueError, match="stale after 5"):
        health.check("a", stale_after_seconds=50)
    health.forget("a")
    health.forget("a")
    assert health.report().checks == ()
    assert health.check("a") is not check
