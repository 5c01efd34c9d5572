"""Who need not be inspected again, by what a list of containers says."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.container import Container
from wharfinger.roll import SHARE, Roll

HOUR, DAY = 3_600.0, 86_400.0


def human(seconds: float) -> str:
    """How the engine writes how long something lasts (docker/go-units, HumanDuration)."""
    minutes, hours = int(seconds // 60), math.floor(seconds / HOUR + 0.5)
    for limit, text in (
        (1, "Less than a second"),
        (2, "1 second"),
        (60, f"{int(seconds)} seconds"),
        (120, "About a minute"),
        (HOUR, f"{minutes} minutes"),
    ):
        if seconds < limit:
            return text
    for many, text in (
        (2, "About an hour"),
        (48, f"{hours} hours"),
        (24 * 14, f"{hours // 24} days"),
        (24 * 60, f"{hours // 24 // 7} weeks"),
        (24 * 365 * 2, f"{hours // 24 // 30} months"),
    ):
        if hours < many:
            return text
    return f"{int(seconds / HOUR) // 24 // 365} years"


def identity(number: int) -> str:
    return f"{number:064x}"


def entry(number: int, status: str = "Up 3 hours (healthy)", **fields: Any) -> dict[str, Any]:
    told = {
        "Id": identity(number),
        "Names": [f"/shop-{number}"],
        "Image": "shop:1",
        "State": "running",
        "Status": status,
        "Labels": {"wharfinger.app": "shop"},
        "Ports": [{"PrivatePort": 80, "Type": "tcp"}, {"PrivatePort": 81, "Type": "tcp"}],
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
    }
    return told | fields


class Engine:
    """Lists so many containers again and again, as `Docker.list` does."""

    def __init__(self, count: int) -> None:
        self.now = 0.0
        self.roll = Roll()
        self.entries = [entry(number) for number in range(count)]
        self.rounds = 0

    def list(self, after: float = 60.0) -> set[int]:
        """Whom it inspects, so many seconds after the last list."""
        self.now += after
        self.rounds += 1
        same = self.roll.same(self.entries, began=self.now, now=self.now)
        inspected = set()
        for number, each in enumerate(self.entries):
            if each["Id"] not in same:
                inspected.add(number)
                # A container that was inspected anew is another object.
                name = str(self.rounds)
                self.roll.inspected(each, Container(each["Id"], name), began=self.now)
        return inspected


def test_the_first_list_inspects_all_and_each_later_one_a_share_of_them_in_turn() -> None:
    engine = Engine(25)
    assert len(engine.list()) == 25
    shares = [engine.list() for _ in range(SHARE)]
    assert all(len(each) == 3 for each in shares)  # a tenth, rounded up
    assert set().union(*shares) == set(range(25))


@pytest.mark.parametrize(
    "news",
    [
        {"Names": ["/other"]},
        {"State": "paused", "Status": "Up 3 hours (Paused)"},
        {"State": "exited", "Status": "Exited (0) 3 hours ago"},
        {"Status": "Up 3 hours (unhealthy)"},
        {"Status": "Up 3 hours"},
        {"Status": "who knows"},
        {"Status": None},
        {"Labels": {"wharfinger.app": "cart"}},
        {"Image": "shop:2"},
        {"Ports": [{"PrivatePort": 80, "PublicPort": 32_768, "Type": "tcp"}]},
        {"NetworkSettings": {"Networks": {}}},
        # Of the same words, but begun after the last list: it is another run.
        {"Status": "Up 30 seconds (healthy)"},
        {"Status": "Up Less than a second (healthy)"},
        {"Status": "Up About a minute (healthy)"},
    ],
)
def test_of_whom_the_list_says_something_new_is_inspected(news: dict[str, Any]) -> None:
    engine = Engine(2 * SHARE)
    engine.list()
    engine.list()
    last = 2 * SHARE - 1  # whose turn it is not
    engine.entries[last] |= news
    assert last in engine.list()


def test_time_that_passes_and_another_order_of_ports_are_no_news() -> None:
    engine = Engine(2 * SHARE)
    engine.list()
    last = engine.entries[-1]
    last |= {"Status": "Up 4 hours (healthy)", "Ports": last["Ports"][::-1]}
    assert len(engine.list()) == 2
    last["Status"] = "Up 2 days (healthy)"
    assert len(engine.list()) == 2


def test_after_a_long_time_without_a_list_only_older_runs_are_known() -> None:
    engine = Engine(2 * SHARE)
    engine.list()
    engine.entries[-1]["Status"] = "Up 2 days (healthy)"
    assert engine.list(after=DAY) == set(range(2 * SHARE - 1))


def test_one_that_was_never_begun_is_known_and_one_that_is_being_removed_is_not() -> None:
    engine = Engine(2 * SHARE)
    engine.entries[-1] |= {"State": "created", "Status": "Created"}
    engine.entries[-2] |= {"State": "removing", "Status": "Removal In Progress"}
    engine.list()
    assert engine.list() == {0, 1, 2 * SHARE - 2}


def test_who_was_gone_or_is_forgotten_is_inspected() -> None:
    engine = Engine(2 * SHARE)
    engine.list()
    gone = engine.entries.pop()
    engine.list()
    engine.entries.append(gone)
    assert 2 * SHARE - 1 in engine.list()
    engine.roll.forget()
    assert len(engine.list()) == 2 * SHARE


@given(
    ran=st.floats(0, 3 * 365 * DAY) | st.floats(0, 3 * HOUR),
    share=st.floats(0, 0.999),
    ended=st.booleans(),
)
def test_another_run_is_never_taken_for_the_one_before(
    ran: float, share: float, *, ended: bool
) -> None:
    """Whatever the words for it: one that began `ran` seconds ago, after the last list."""
    wording = "Exited (0) {} ago" if ended else "Up {}"
    engine = Engine(2 * SHARE)
    last = engine.entries[-1]
    last["Status"] = wording.format("3 years")
    engine.list()
    last["Status"] = wording.format(human(ran))
    assert 2 * SHARE - 1 in engine.list(after=ran / (1 - share * share) + 0.001)
