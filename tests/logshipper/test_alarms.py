"""The checks of lag, loss and files name the container and what to do, and come back to green."""

import pytest
from prometheus_client import CollectorRegistry

from logshipper.account import Standing
from logshipper.alarms import FIXES, MAX_RECENT, Alarms
from logshipper.config import LogshipperConfig
from logshipper.metrics import LOSS_REASONS, Metrics
from logshipper.model import Loss
from wharfinger.events import Events
from wharfinger.health import Health

CONFIG = LogshipperConfig(lag_alarm_bytes=1000, lag_alarm_seconds=60.0, loss_alarm_seconds=300.0)


class Watch:
    """Alarms with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        events = Events()
        self.health = Health(events)
        metrics = Metrics(CollectorRegistry())
        self.alarms = Alarms(self.health, events, metrics, CONFIG, lambda: self.now)

    def look(self, *standings: Standing, **troubles: str) -> str:
        self.alarms.look(standings, troubles)
        return self.health.report().why


@pytest.fixture
def watch() -> Watch:
    made = Watch()
    assert made.look() == ""
    return made


def test_lag_in_bytes_names_the_container_and_the_fix(watch: Watch) -> None:
    assert watch.look(Standing("main", "a", "web (aa)", 1000, 60.0)) == ""
    why = watch.look(Standing("main", "a", "web (aa)", 1001, 2.0), Standing("main", "b", "x", 5))
    assert "container web (aa) is 1,001 bytes and 2 s behind in sink main" in why
    assert "give the sink more requests" in why
    assert watch.look(Standing("main", "a", "web (aa)", 900, 2.0)) == ""


def test_lag_in_seconds_of_a_quiet_log_is_red_too(watch: Watch) -> None:
    quiet = Standing("main", "a", "quiet (aa)", 80, 61.0)
    loud = Standing("main", "b", "loud (bb)", 1002, 1.0)
    assert "quiet (aa) is 80 bytes and 61 s behind" in watch.look(quiet)
    # The one that is furthest beyond its limit is named, and that there are more.
    why = watch.look(Standing("main", "a", "quiet (aa)", 80, 600.0), loud, main="refused")
    assert "quiet (aa)" in why
    assert "(and 1 more)" in why
    assert "refused; its logs wait in Docker's files" in why
    assert watch.look(Standing("main", "a", "quiet (aa)")) == ""


def test_a_log_that_cannot_be_read_says_so_in_both(watch: Watch) -> None:
    why = watch.look(Standing("main", "a", "web (aa)", 2000, trouble="Permission denied; be root"))
    assert "1 cannot be read; container web (aa): Permission denied; be root" in why
    assert "behind in sink main: Permission denied" in why
    assert watch.look(Standing("main", "a", "web (aa)")) == ""


def test_loss_is_red_for_its_time_and_green_again(watch: Watch) -> None:
    watch.alarms.lose("main", "a", "web (aa)", Loss("rotated", 42, "rotated too fast"))
    why = watch.health.report().why
    assert "container web (aa) in sink main: 42 bytes rotated: rotated too fast" in why
    assert "max-size, max-file" in why
    watch.now = 200.0
    watch.alarms.lose("main", "b", "db (bb)", Loss("removed", 1, "gone"))
    assert "db (bb)" in watch.look()
    assert "(and 1 more log)" in watch.look()
    watch.now = 400.0
    assert "more" not in watch.look()
    watch.now = 501.0
    assert watch.look() == ""


def test_losses_of_very_many_logs_are_held_within_bounds(watch: Watch) -> None:
    for number in range(MAX_RECENT + 10):
        watch.alarms.lose("main", str(number), str(number), Loss("removed", 1, "gone"))
    assert f"(and {MAX_RECENT - 1} more logs)" in watch.look()


def test_every_reason_has_a_fix() -> None:
    assert set(LOSS_REASONS) <= set(FIXES)
