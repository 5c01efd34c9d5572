"""Whose host it is: our own restart takes it up, whoever else lives is never written over."""

import math

import pytest

from registrar.host.tenure import PROOF_SECONDS, Outcome, Standing, Vigil, foreign, holder, standing
from wharfinger.kv import KeyValue

HERE = "aaaa.bbbb"
OURS = {7}


def record(lease: int = 7, value: bytes = b"") -> KeyValue:
    text = value or (
        b'{"version":"1","since":"2026-01-01T00:00:00+00:00","health":"healthy",'
        b'"ip":"10.0.0.5","machine":"aaaa.bbbb"}'
    )
    return KeyValue("/wharfinger/hosts/box/registrar", text, 5, 5, 1, lease)


@pytest.mark.parametrize(
    ("found", "machine", "expected"),
    [
        (None, HERE, Standing.OURS),
        (record(), HERE, Standing.OURS),
        (record(lease=0), HERE, Standing.OURS),
        (record(lease=0), "other", Standing.OURS),
        (record(), "aaaa.cccc", Standing.CLONED),
        (record(lease=8), HERE, Standing.FOREIGN),
        (record(lease=8, value=b"damaged"), HERE, Standing.FOREIGN),
        (record(value=b"damaged"), "other", Standing.OURS),
        # As a version before wrote it.
        (record(value=b'{"version":"1","since":"x","health":"healthy"}'), HERE, Standing.OURS),
    ],
)
def test_the_record_says_whose_the_host_is(
    found: KeyValue | None, machine: str, expected: Standing
) -> None:
    assert standing(found, OURS, machine) is expected
    assert foreign(found, OURS) is (expected is Standing.FOREIGN)


def test_the_holder_is_named_with_all_that_helps_to_find_it() -> None:
    told = holder("box", record(lease=255))
    assert told == (
        "host box is held by another registrar, address 10.0.0.5, machine aaaa.bbbb, "
        "since 2026-01-01T00:00:00+00:00, version 1, lease ff"
    )
    assert holder("box", record(value=b"[" * 9_000)) == (
        "host box is held by another registrar, lease 7"
    )
    hostile = b'{"version":"\\u001b[2J","since":"x","health":"healthy"}'
    assert "\x1b" not in holder("box", record(value=hostile))


def outcomes(vigil: Vigil, *remaining: int | None) -> list[Outcome]:
    return [vigil.look(each, float(at)) for at, each in enumerate(remaining)]


def test_a_lease_left_alone_runs_out() -> None:
    assert outcomes(Vigil(8), 3, 2, 1, 0, None) == [Outcome.WAIT] * 4 + [Outcome.FREE]


def test_a_lease_that_is_kept_shows_it_twice() -> None:
    assert outcomes(Vigil(8), 15, 12, 15, 13, 15) == [Outcome.WAIT] * 4 + [Outcome.KEPT]


def test_an_etcd_that_restarts_gives_every_lease_its_time_again_once() -> None:
    seen = outcomes(Vigil(8), 15, 9, 15, 8, 1, None)
    assert seen == [Outcome.WAIT] * 5 + [Outcome.FREE]


def test_our_own_lease_of_before_a_reboot_need_not_run_out() -> None:
    long = Vigil(7, until=PROOF_SECONDS)
    assert long.look(3_000, 0) is Outcome.WAIT
    assert long.look(2_990, PROOF_SECONDS - 1) is Outcome.WAIT
    assert long.look(2_985, PROOF_SECONDS) is Outcome.FREE
    renewed = Vigil(7, until=PROOF_SECONDS)
    assert [renewed.look(each, at) for each, at in ((9, 0), (15, 5), (10, 20))] == (
        [Outcome.WAIT] * 3
    )
    assert Vigil(7).until == math.inf
