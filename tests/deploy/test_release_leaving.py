"""Which environment a take-down is about, and when it is refused before anything has changed."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploy.release.app.model import App, Build, EngineName, Environment
from deploy.release.commands.leaving import Leaving, environment_meant, require_ours
from deploy.release.engine import Replica
from deploy.release.records.record import Numbered, Record
from wharfinger.errors import Rejected, Unavailable

PROD = Environment(name="prod", engine=EngineName.COMPOSE, docker="tcp://build:2375")
APP = App(name="shop", image="reg/shop", build=Build(layer="none"), environments={"prod": PROD})
RELEASED = Record(release="r7", image="reg/shop@sha256:1", state="succeeded", engine="compose")
DOWN = Record(release="r7", state="succeeded", verb="down", by="ann", ended="today")
RUNS = (Replica(id="1", name="shop-1", host="box", image="reg/shop@sha256:1", state="up"),)
THERE = {"10.0.0.9:80": "shop-9 on box9"}


def history(*records: Record) -> list[Numbered]:
    return [Numbered(number, each) for number, each in enumerate(records, 1)]


def test_one_of_the_file_is_as_the_file_says() -> None:
    assert environment_meant(APP, "prod", []) is PROD
    assert environment_meant(APP, "prod", history(RELEASED)) is PROD
    assert environment_meant(APP, "prod", [], docker="tcp://b:1").docker == "tcp://b:1"


def test_one_that_the_file_has_no_more_is_where_it_was_released() -> None:
    on_swarm = Record(release="r7", state="succeeded", engine="swarm")
    found = environment_meant(APP, "old", history(on_swarm), docker="tcp://b:1")
    assert (found.name, found.engine, found.docker) == ("old", EngineName.SWARM, "tcp://b:1")
    failed = Record(release="r8", state="failed", engine="compose")
    found = environment_meant(APP, "old", history(on_swarm, failed))
    assert found.engine == EngineName.SWARM, "what has run there"


def test_one_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Rejected, match=r"an environment 'prd' of 'shop'; wharf\.yaml has prod"):
        environment_meant(APP, "prd", [])
    hostile = Record(release="r7", state="succeeded", engine="../rm")
    with pytest.raises(Rejected, match="names no engine"):
        environment_meant(APP, "old", history(hostile))


def test_one_that_runs_on_another_engine_than_the_file_says_is_refused() -> None:
    moved = Record(release="r7", state="succeeded", engine="swarm")
    with pytest.raises(
        Rejected, match=r"on compose by wharf\.yaml, and r7 was released there on s"
    ):
        environment_meant(APP, "prod", history(moved))
    # That file is of the application as it is called now.
    assert environment_meant(APP, "prod", history(moved), was="till").engine == EngineName.SWARM
    assert environment_meant(APP, "prod", history(RELEASED), was="till") is PROD


def leaving(
    release: Record | None = RELEASED,
    down: Record | None = None,
    replicas: tuple[Replica, ...] = RUNS,
    elsewhere: Mapping[str, str] = {},
    others: tuple[Replica, ...] = (),
    *,
    is_tried_since: bool = False,
    drained: Mapping[str, str] = {},
) -> Leaving:
    return Leaving(
        app=APP,
        environment=PROD,
        release=release,
        down=down,
        is_tried_since=is_tried_since,
        replicas=replicas,
        others=others,
        elsewhere=elsewhere,
        drained=drained,
        back="deploy rollback prod",
    )


def test_what_runs_here_is_taken_away_whatever_else_there_is() -> None:
    require_ours(leaving())
    require_ours(leaving(elsewhere=THERE))
    require_ours(leaving(release=None))
    # Its host is gone, and all that is left to do is to say so.
    require_ours(leaving(replicas=()))


def test_what_runs_elsewhere_alone_is_not_called_down_from_here() -> None:
    with pytest.raises(Unavailable, match=r"10.0.0.9:80 \(shop-9 on box9\): say it there, or"):
        require_ours(leaving(replicas=(), elsewhere=THERE))
    # Half-way the last of it may be gone from here, and is waited for by the engine.
    half = replace_state(DOWN, "failed")
    require_ours(leaving(replicas=(), elsewhere=THERE, down=half))


def test_what_never_was_is_not_taken_down() -> None:
    with pytest.raises(Unavailable, match="nothing of shop was ever released to prod"):
        require_ours(leaving(release=None, replicas=()))


def test_it_is_down_only_where_nothing_is_left() -> None:
    assert leaving(down=DOWN, replicas=()).is_down
    assert not leaving(down=DOWN).is_down
    assert not leaving(down=DOWN, replicas=(), is_tried_since=True).is_down
    assert not leaving(down=DOWN, replicas=(), elsewhere=THERE).is_down
    assert not leaving(down=replace_state(DOWN, "failed"), replicas=()).is_down


def test_all_of_it_is_shown_and_nothing_hostile() -> None:
    hostile = (replace(RUNS[0], name="a\x1b[2J"),) * 25
    said = leaving(replicas=hostile, elsewhere=THERE).lines
    assert said[0] == "shop in prod, on compose: 25 instances; released last: r7, by somebody at "
    assert said[-2:] == ("  and 5 more", f"  none of these, and let be: {shown()}")
    assert all(each.isprintable() for each in said)


def test_an_image_of_another_registry_is_shown_as_such() -> None:
    other = replace(RUNS[0], name="shop-2", image="old.test/shop@sha256:1")
    _, *said = leaving(replicas=(*RUNS, other)).lines
    assert said == [
        "  shop-1 on box: up, sha256:1",
        "  shop-2 on box: up, sha256:1 of old.test/shop",
    ]


def test_what_is_only_filed_with_it_is_named_and_does_not_keep_it_up() -> None:
    stranger = replace(RUNS[0], name="till-1", own=False)
    said = "by its labels of something else, and let be: till-1 on box"
    assert leaving(others=(stranger,)).let_be == (said,)
    (said,) = leaving(drained=THERE).let_be
    assert said.startswith(f"drained, and not on this engine: {shown()}; if it runs still")
    assert leaving(others=(stranger,), replicas=(), down=DOWN).is_down


def shown() -> str:
    return "10.0.0.9:80 (shop-9 on box9)"


def replace_state(record: Record, state: str) -> Record:
    return Record(release=record.release, state=state, verb="down")  # type: ignore[arg-type]
