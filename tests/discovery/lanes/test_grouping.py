"""Which resources are published together, and how times are written and spread."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.builtin.config import NginxConfig
from discovery.confd.durations import seconds_of
from discovery.config import Config, DiscoveryConfig
from discovery.lanes.grouping import grouped
from discovery.lanes.lanes import settle_of, splay_of
from discovery.resources.resources import Resource


def resource(name: str, **more: object) -> Resource:
    return Resource(name, Path("/t.j2"), Path(f"/{name}"), **more)  # type: ignore[arg-type]


def names(*resources: Resource) -> list[set[str]]:
    return [{one.name for one in group} for group in grouped(resources)]


def test_what_shares_no_command_stands_alone() -> None:
    plain, other = resource("a"), resource("b", check_cmd="test {{.src}}", reload_cmd="x")
    third = resource("c", check_cmd="test {{.src}}", reload_cmd="y")
    assert names(plain, other, third) == [{"a"}, {"b"}, {"c"}]
    assert names() == []


def test_one_reload_or_one_check_in_place_makes_a_group() -> None:
    assert names(
        resource("a", reload_cmd="x"),
        resource("b", check_cmd="t"),
        resource("c", reload_cmd="x", check_cmd="t"),
        resource("d", reload_cmd="z"),
    ) == [{"a", "b", "c"}, {"d"}]
    builtin = resource("nginx", nginx=NginxConfig(), reload_cmd="x")
    assert names(resource("a", reload_cmd="x"), builtin, resource("b")) == [{"a", "nginx"}, {"b"}]


@given(st.lists(st.tuples(st.sampled_from("xyz "), st.sampled_from("tuv ")), max_size=8))
def test_a_command_never_stands_in_two_groups(commands: list[tuple[str, str]]) -> None:
    made = [
        resource(str(number), reload_cmd=reload.strip(), check_cmd=check.strip())
        for number, (reload, check) in enumerate(commands)
    ]
    groups = grouped(made)
    assert sorted(one.name for group in groups for one in group) == sorted(r.name for r in made)
    for kind in ("reload_cmd", "check_cmd"):
        seen: dict[str, int] = {}
        for number, group in enumerate(groups):
            for one in group:
                command = getattr(one, kind)
                if command:
                    assert seen.setdefault(command, number) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("2", 2), (".5s", 0.5), ("0", 0)],
)
def test_a_time_as_go_writes_it(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1 s", "1d", "-1s", "1s2", "1e3s", "soon"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        seconds_of(text)


def test_hosts_are_spread_and_each_keeps_its_time() -> None:
    shares = [splay_of(f"host-{number}", 60.0) for number in range(1000)]
    assert shares == [splay_of(f"host-{number}", 60.0) for number in range(1000)]
    assert all(0 <= share < 60 for share in shares)
    for tenth in range(10):
        assert 50 < sum(tenth * 6 <= share < tenth * 6 + 6 for share in shares) < 150
    assert splay_of("host", 0.0) == 0


def test_the_longest_times_of_a_group_hold_for_all_of_it() -> None:
    group = (
        resource("a", debounce_seconds=2.0),
        resource("b", min_reload_interval_seconds=30.0),
    )
    settle = settle_of(Config(discovery=DiscoveryConfig(splay_seconds=1.0)), group)
    assert (settle.quiet_seconds, settle.longest_seconds) == (2.0, 8.0)
    assert settle.interval_seconds == 30.0
    assert 0 <= settle.splay_seconds < 1
    due = settle.changed(100.0).due_at
    assert due == pytest.approx(102.0 + settle.splay_seconds)
    alone = settle_of(Config(), (resource("b"),))
    assert alone.changed(100.0).due_at == 100.0
