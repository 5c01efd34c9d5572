"""How an environment stands, by its records and by what its engine runs."""

from dataclasses import replace

import pytest

from deploy.release.engine import Replica
from deploy.release.records.record import Numbered, Record, State, Verb
from deploy.release.records.standing import standing

GOOD = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


def record(
    release: str, digest: str, state: State = "succeeded", why: str = "", verb: Verb = "up"
) -> Record:
    return Record(
        verb=verb,
        release=release,
        digest=digest,
        state=state,
        at="2026-01-01T00:00:00Z",
        by="ann",
        why=why,
        replicas=2,
        declared=2,
        ended="2026-01-01T00:01:00Z",
    )


def history(*records: Record) -> list[Numbered]:
    return [Numbered(number, each) for number, each in enumerate(records, 1)]


def replicas(*digests: str, state: str = "up") -> list[Replica]:
    return [
        Replica(id=str(n), name=f"shop-{n}", host="h1", image=f"reg/shop@{each}", state=state)
        for n, each in enumerate(digests)
    ]


def test_all_is_well() -> None:
    found = standing(history(record("r1", GOOD)), replicas(GOOD, GOOD), declared=2, is_locked=False)
    assert (found.up, found.wanted, found.running, found.remarks) == (2, 2, ((GOOD, 2),), ())


def test_nothing_was_ever_released_and_nothing_runs() -> None:
    found = standing([], [], declared=2, is_locked=False)
    assert (found.serving, found.remarks) == (None, ())


def test_what_runs_though_it_should_not_is_named() -> None:
    found = standing(
        history(record("r1", GOOD)), replicas(GOOD, OTHER), declared=2, is_locked=False
    )
    assert found.remarks == (f"1 of what runs here is of {OTHER[:19]}, which should run r1",)
    stray = [Replica(id="1", name="shop-1", host="", image="shop:latest", state="up")]
    found = standing([], stray, declared=2, is_locked=False)
    unknown = "1 of what runs here is of an image by no digest"
    assert found.remarks == (f"{unknown}, and nothing is known to have been released here",)


def test_what_is_missing_or_ails_is_named() -> None:
    ailing = [*replicas(GOOD), *replicas(GOOD, state="unhealthy")]
    found = standing(history(record("r1", GOOD)), ailing, declared=2, is_locked=False)
    assert found.remarks == ("shop-0 on h1 is unhealthy", "1 of 2 instances are up")
    # No registrar tells of what has ended.
    ended = [Replica(id="1", name="shop-1", host="", image=f"i@{GOOD}", state="exited")]
    found = standing(history(record("r1", GOOD)), ended, declared=1, is_locked=False)
    assert found.remarks == ("shop-1 is exited", "0 of 1 instance is up")


def test_one_on_each_host_wants_as_many_as_there_are() -> None:
    found = standing(
        history(record("r1", GOOD)), replicas(GOOD, GOOD, GOOD), declared=0, is_locked=False
    )
    assert (found.wanted, found.remarks) == (3, ())
    found = standing(history(record("r1", GOOD)), [], declared=0, is_locked=False)
    assert found.remarks == ("nothing runs here, on no host",)


@pytest.mark.parametrize(
    ("state", "is_locked", "said"),
    [
        ("running", True, "is under way"),
        ("running", False, "was cut off"),
        ("failed", False, "failed: it exits"),
        ("rolled back", False, "was rolled back: it exits"),
    ],
)
def test_how_the_last_rollout_ended_is_said(state: State, is_locked: bool, said: str) -> None:
    known = history(record("r1", GOOD), record("r2", OTHER, state, "it exits"))
    found = standing(known, replicas(GOOD, GOOD), declared=2, is_locked=is_locked)
    assert bool(found.news) == (is_locked or state == "rolled back")
    (remark,) = (*found.remarks, *found.news)
    assert remark == f"the up of r2 by ann at 2026-01-01T00:00:00Z {said}"
    assert found.serving is not None
    assert found.serving.release == "r1"


def test_half_way_all_is_as_it_should_be() -> None:
    known = history(record("r1", GOOD), record("r2", OTHER, "running"))
    found = standing(known, replicas(GOOD, OTHER, OTHER), declared=2, is_locked=True)
    assert found.remarks == ()
    assert len(found.news) == 3


def test_down_is_as_it_should_be_and_says_since_when_and_by_whom() -> None:
    known = history(record("r1", GOOD), record("r1", GOOD, verb="down"))
    for declared in (2, 0):
        found = standing(known, [], declared=declared, is_locked=False)
        assert (found.serving, found.wanted, found.up, found.remarks) == (None, 0, 0, ())
        assert found.news == ("down since 2026-01-01T00:01:00Z by ann: r1 was taken away",)
        assert found.down == known[-1].record


def test_what_runs_though_it_was_taken_down_is_named() -> None:
    known = history(record("r1", GOOD), record("r1", GOOD, verb="down"))
    found = standing(known, replicas(GOOD), declared=2, is_locked=False)
    since = "and nothing should run here since it was taken down"
    assert found.remarks == (f"1 of what runs here is of {GOOD[:19]}, {since}",)


def test_what_no_take_down_takes_is_named_and_not_to_be_taken() -> None:
    known = history(record("r1", GOOD), record("r1", GOOD, verb="down"))
    stranger = replace(replicas(GOOD)[0], own=False)
    found = standing(known, [stranger], declared=2, is_locked=False)
    named = f"{stranger.name} on {stranger.host}"
    told = f"{named} is by its labels of something else: no take-down takes it"
    assert (len(found.remarks), found.remarks[-1], found.to_take) == (2, told, False)
    assert standing(known, replicas(GOOD), declared=2, is_locked=False).to_take


@pytest.mark.parametrize(
    ("state", "said"), [("running", "was cut off"), ("failed", "failed: etcd is away")]
)
def test_half_way_down_is_not_down(state: State, said: str) -> None:
    half = record("r1", GOOD, state, "etcd is away", verb="down")
    found = standing(history(record("r1", GOOD), half), replicas(GOOD), declared=2, is_locked=False)
    assert found.remarks[0] == f"the down of r1 by ann at 2026-01-01T00:00:00Z {said}"
    assert found.news == ()
    found = standing(history(record("r1", GOOD), half), [], declared=2, is_locked=False)
    assert found.remarks == (f"the down of r1 by ann at 2026-01-01T00:00:00Z {said}",)
    assert found.to_take


def test_what_failed_since_a_take_down_is_ended_by_another() -> None:
    known = history(
        record("r1", GOOD), record("r1", GOOD, verb="down"), record("r2", OTHER, "failed", "no")
    )
    found = standing(known, [], declared=2, is_locked=False)
    assert (len(found.remarks), found.to_take) == (1, True)
