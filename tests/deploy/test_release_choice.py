"""What a rollback goes to, over random histories; and what a record may hold."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from deploy.release.records import choice
from deploy.release.records.record import (
    MAX_BYTES,
    Numbered,
    Record,
    State,
    Verb,
    encode,
    number_of,
    parse,
)
from logshipper.store.fleet import shown
from wharfinger.errors import Rejected

STATES: tuple[State, ...] = ("running", "succeeded", "failed", "rolled back")


def record(release: str, state: State = "succeeded", verb: Verb = "up", **more: int) -> Record:
    return Record(release=release, digest=f"sha256:{release}", state=state, verb=verb, **more)


def history(*records: Record) -> list[Numbered]:
    return [Numbered(number, each) for number, each in enumerate(records, 1)]


def sha(*releases: str) -> set[str]:
    return {f"sha256:{each}" for each in releases}


def test_goes_to_the_release_before() -> None:
    known = history(record("r1"), record("r2"), record("r3"))
    assert choice.target(known, sha("r3")).release == "r2"


def test_leaves_out_what_did_not_succeed_here() -> None:
    known = history(record("r1"), record("r2", "failed"), record("r3", "rolled back"), record("r4"))
    assert choice.target(known, sha("r4")).release == "r1"


def test_twice_goes_back_by_two_and_never_to_what_was_rolled_away_from() -> None:
    known = history(record("r1"), record("r2"), record("r3"), record("r2", verb="rollback"))
    assert choice.target(known, sha("r2")).release == "r1"
    later = history(*(each.record for each in known), record("r4"))
    assert choice.target(later, sha("r4")).release == "r2"


def test_after_a_rollout_that_broke_off_it_is_the_one_that_should_run() -> None:
    known = history(record("r1"), record("r2"), record("r3", "failed"))
    assert choice.target(known, sha("r2", "r3")).release == "r2"
    assert choice.target(known, sha("r3")).release == "r2"
    assert choice.target(known, sha("r2")).release == "r1", "what should run does"


def test_a_scale_is_no_release_of_its_own() -> None:
    known = history(record("r1"), record("r2"), record("r2", verb="scale", replicas=5))
    assert choice.target(known, sha("r2")).release == "r1"
    assert len(choice.succeeded(known)) == 2


def test_what_was_tried_while_nothing_came_up_is_unproven() -> None:
    assert choice.unproven([]) == set()
    tried = [record("r1", "failed"), record("r2", "running")]
    assert choice.unproven(history(*tried)) == sha("r1", "r2")
    for came_up in ("succeeded", "rolled back"):
        # What a rollback has put back serves, whether or not we know of it.
        assert choice.unproven(history(record("r0", came_up), *tried)) == set()
        assert choice.unproven(history(*tried, record("r3", came_up))) == set()


def test_what_was_tried_before_a_take_down_has_gone_with_it() -> None:
    tried = [record("r1"), record("r2", "failed")]
    half_way = record("r1", "failed", verb="down")
    down = record("r1", verb="down")
    assert choice.unproven(history(record("r1", "failed"), half_way)) == sha("r1")
    assert choice.unproven(history(*tried, half_way)) == set()
    assert choice.unproven(history(*tried, down)) == set()
    # What ran once runs no more: the first after it has nothing to go back to.
    assert choice.unproven(history(*tried, down, record("r3", "running"))) == sha("r3")
    assert choice.unproven(history(*tried, down, record("r3"))) == set()


def test_is_refused_where_there_is_none() -> None:
    with pytest.raises(Rejected, match="no release has succeeded here"):
        choice.target(history(record("r1", "failed")), sha("r1"))
    with pytest.raises(Rejected, match="r1 is the first release"):
        choice.target(history(record("r1")), sha("r1"))


def test_a_named_one_must_have_succeeded_here_and_not_run_already() -> None:
    known = history(record("r1"), record("r2", "failed"), record("r3"))
    assert choice.target(known, sha("r3"), "r1").release == "r1"
    with pytest.raises(Rejected, match="r2 has not succeeded here; what has: r3, r1"):
        choice.target(known, sha("r3"), "r2")
    with pytest.raises(Rejected, match="runs here already"):
        choice.target(known, sha("r3"), "r3")
    assert choice.target(known, sha("r1", "r3"), "r3").release == "r3", "half of it does not count"


def test_a_named_one_that_failed_when_all_of_it_ran_is_gone_on_with() -> None:
    known = history(record("r1"), record("r2"), record("r1", "failed", "rollback"))
    assert choice.target(known, sha("r1"), "r1").release == "r1", "the same command again"
    known = history(record("r1"), record("r2"), record("r3", "failed"))
    assert choice.target(known, sha("r2"), "r2").release == "r2", "perhaps not all of it"


@pytest.mark.parametrize(
    ("last", "settled"),
    [("succeeded", True), ("rolled back", True), ("failed", False), ("running", False)],
)
def test_a_scale_that_failed_tells_nothing_of_the_rollout_before(
    last: State, settled: bool
) -> None:
    for scaled in STATES:
        known = history(record("r1"), record("r2", last), record("r2", scaled, "scale"))
        assert choice.is_settled(known) is (settled or scaled in ("succeeded", "rolled back"))
    assert not choice.is_settled([])


def test_one_that_was_rolled_away_from_may_be_named() -> None:
    known = history(record("r1"), record("r2"), record("r1", verb="rollback"))
    assert choice.target(known, sha("r1"), "r2").release == "r2"


RECORDS = st.builds(
    record,
    st.sampled_from(["r1", "r2", "r3", "r4"]),
    st.sampled_from(STATES),
    st.sampled_from(["up", "promote", "rollback", "scale", "down"]),
)


@given(
    st.lists(RECORDS, max_size=12), st.frozensets(st.sampled_from(["r1", "r2", "r3", "r4", "x"]))
)
def test_never_goes_to_what_did_not_succeed_or_is_all_that_runs(
    records: list[Record], running: frozenset[str]
) -> None:
    known = history(*records)
    try:
        found = choice.target(known, sha(*running))
    except Rejected:
        return
    good = [each for each in records if each.state == "succeeded" and each.verb != "down"]
    assert any(each.digest == found.digest for each in good)
    unended = known[-1].record.verb == "rollback" and known[-1].record.state == "failed"
    if choice.taken_down(known) is not None:
        assert unended or found.digest == good[-1].digest, "what was taken away"
        return
    assert unended or sha(*running) != {found.digest}


@given(st.lists(RECORDS, max_size=12))
def test_what_serves_is_the_latest_that_succeeded(records: list[Record]) -> None:
    known = history(*records)
    good = [each for each in records if each.state == "succeeded" and each.verb != "down"]
    latest = choice.serving(known)
    if choice.taken_down(known) is not None:
        assert latest is None
        return
    assert (latest.digest if latest else None) == (good[-1].digest if good else None)


@given(st.lists(RECORDS, max_size=12))
def test_going_back_again_and_again_ends(records: list[Record]) -> None:
    known = history(*records)
    if (latest := choice.serving(known)) is None:
        return
    visited = [latest.digest]
    for _ in range(len(records) + 1):
        try:
            found = choice.target(known, {visited[-1]})
        except Rejected:
            break
        visited.append(found.digest)
        known.append(Numbered(len(known) + 1, record(found.release, verb="rollback")))
        serves = choice.serving(known)
        assert serves is not None
        assert serves.digest == found.digest
    else:
        pytest.fail(f"it goes on for ever: {visited}")


@pytest.mark.parametrize("state", STATES)
def test_since_a_take_down_nothing_should_run_and_a_rollback_undoes_it(state: State) -> None:
    known = history(record("r1"), record("r2"), record("r2", state, "down"))
    assert choice.serving(known) is None, "half of it, too"
    assert choice.taken_down(known) == known[-1].record
    for running in (set(), sha("r2"), sha("x")):
        assert choice.target(known, running).release == "r2"
    assert choice.target(known, set(), "r1").release == "r1"


@pytest.mark.parametrize("state", ["running", "failed", "rolled back"])
@pytest.mark.parametrize("verb", ["up", "promote", "rollback", "scale"])
def test_what_failed_since_a_take_down_brings_nothing_back(state: State, verb: Verb) -> None:
    down = record("r2", verb="down")
    known = history(record("r1"), record("r2"), down, record("r3", state, verb))
    assert choice.taken_down(known) is down
    assert choice.serving(known) is None
    assert choice.target(known, sha("r3")).release == "r2"
    known = history(*(each.record for each in known), record("r3"))
    assert (choice.taken_down(known), choice.serving(known)) == (None, known[-1].record)


def test_a_take_down_is_no_release_to_go_back_to() -> None:
    known = history(record("r1", "failed"), record("r1", verb="down"))
    assert choice.succeeded(known) == ()
    for named in ("", "r1"):
        with pytest.raises(Rejected, match="succeeded here"):
            choice.target(known, set(), named)
    assert choice.to_take_down(known) is not None, "what was tried"
    assert choice.to_take_down([]) is None
    known = history(record("r1"), record("r2"), record("r3", "failed"))
    assert choice.to_take_down(known) is known[1].record


def test_the_way_back_names_what_was_taken_away() -> None:
    """`up` alone takes the newest push."""
    known = history(record("r1"), record("r1", verb="down"))
    assert choice.way_back(known, "prod") == "deploy rollback prod"
    known = history(record("r1", "failed"), record("r1", verb="down"))
    assert choice.way_back(known, "prod") == "deploy up prod r1"
    (digest,) = sha("r1")
    by_digest = structs.replace(record("r1", "failed"), release=digest[:19])
    known = history(by_digest, structs.replace(by_digest, verb="down"))
    assert choice.way_back(known, "prod") == f"deploy up prod --digest {digest}"
    assert choice.way_back([], "prod") == "deploy up prod"


def test_a_take_down_keeps_how_many_there_were() -> None:
    known = history(
        record("r1", replicas=2, declared=2),
        record("r1", verb="scale", replicas=5, declared=2),
        record("r1", verb="down", replicas=0, declared=2),
    )
    assert choice.replicas(known, 2) == 5


def test_a_scale_holds_until_the_file_asks_for_another_number() -> None:
    known = history(record("r1", replicas=2, declared=2))
    assert choice.replicas(known, 2) == 2
    known = history(
        record("r1", replicas=2, declared=2),
        record("r1", verb="scale", replicas=5, declared=2),
        record("r2", "failed", replicas=9, declared=2),
    )
    assert choice.replicas(known, 2) == 5
    assert choice.replicas(known, 3) == 3
    assert choice.replicas([], 4) == 4


def test_an_end_keeps_the_first_line_and_as_many_of_the_last_as_fit() -> None:
    begun = record("r1", "running")
    ended = begun.over("failed", "now", "it does not come up\n\n" + "\n".join(map(str, range(50))))
    assert (ended.why, ended.said[0], ended.said[-1]) == ("it does not come up", "30", "49")
    wide = begun.over("failed", "now", "\n".join(["\N{SNOWMAN}\x1b" * 1_000] * 40))
    assert len(encode(wide)) <= MAX_BYTES
    assert parse(encode(wide)) == wide
    assert shown.read_release(encode(wide)).why == wide.why, "the fleet page reads it"


def test_a_record_is_read_as_written() -> None:
    whole = record("r1", replicas=3, declared=2)
    assert parse(encode(whole)) == whole
    assert b'"from"' in encode(msgspec.structs.replace(whole, source="pre"))


@pytest.mark.parametrize("running", [{"r1", "r3"}, {"r1"}, {"r3"}])
@pytest.mark.parametrize("named", ["", "r2", "r3"])
def test_a_rollback_that_did_not_end_is_gone_on_with_and_not_taken_back(
    running: set[str], named: str
) -> None:
    known = history(*map(record, ("r1", "r2", "r3")), record("r1", "failed", "rollback"))
    if named and {f"sha256:{named}"} == {f"sha256:{each}" for each in running}:
        return
    found = choice.target(known, {f"sha256:{each}" for each in running}, named)
    assert found.release == (named or "r1")


def test_a_rollback_to_what_never_ran_is_not_gone_on_with() -> None:
    known = history(*map(record, ("r1", "r2")), record("r9", "failed", "rollback"))
    assert choice.target(known, {"sha256:r2"}).release == "r1"
    # What came after it is another matter.
    known = history(
        *map(record, ("r1", "r2", "r3")), record("r1", "failed", "rollback"), record("r4", "failed")
    )
    assert choice.target(known, {"sha256:r3", "sha256:r4"}).release == "r3"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b'{"release": "r1"}',
        b'{"release": "r1", "state": "gone"}',
        b'{"release": "r1\\u001b[2J", "state": "failed"}',
        b'{"release": "r1", "state": "failed", "said": ["\\u0007"]}',
        b'{"release": "' + b"r" * 600 + b'", "state": "failed"}',
        b'{"release": "r1", "state": "failed", "replicas": -1}',
        b" " * (MAX_BYTES + 1),
        b"[" * 5_000,
    ],
)
def test_what_is_no_record_is_refused(value: bytes) -> None:
    with pytest.raises(Rejected):
        parse(value)


@pytest.mark.parametrize("name", ["", "x", "-1", "²", "0", "01", "1/2", "1" * 13, "9\n"])
def test_what_is_no_number_is_refused(name: str) -> None:
    assert number_of("a/releases/10", "a/releases/") == 10
    with pytest.raises(Rejected):
        number_of(f"a/releases/{name}", "a/releases/")
