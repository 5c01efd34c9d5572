"""Who is kept out on request, what of it is on disk, and which container a person means."""

import pytest

from registrar import drained
from registrar.drained import Candidate, Drain, Drains, meant
from wharfinger.errors import Conflict, Rejected

A, B, C = "a" * 64, "b" * 64, "abcd" + "0" * 60
ANN = Drain("ann", "2026-11-25T20:00:00+00:00", ("/shop_prod/10.0.0.5-20000",))
BOB = Drain("bob", "2026-11-25T21:00:00+00:00")


def test_a_container_is_out_with_its_own_reason_before_the_hosts() -> None:
    held = Drains().of_container(A, ANN).of_host(BOB)
    assert held.out([A, B]) == {
        A: "drained by ann since 2026-11-25T20:00:00+00:00",
        B: "host drained by bob since 2026-11-25T21:00:00+00:00",
    }
    assert held.of_host(None).out([A, B]).keys() == {A}
    assert held.of_host(None).of_container(A, None) == Drains()
    assert Drains().out([A]) == {}


def test_one_that_is_gone_is_forgotten_and_the_host_is_not() -> None:
    held = Drains().of_container(A, ANN).of_container(B, BOB).of_host(BOB)
    assert held.only([A]) == Drains().of_container(A, ANN).of_host(BOB)
    assert held.only([A, B]) is held


def test_what_is_written_is_read() -> None:
    held = Drains().of_container(A, ANN).of_host(BOB)
    assert drained.decode(drained.encode(held)) == held


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"format":2}',
        b'{"hosts":{}}',
        b'{"containers":{"x":{"by":"a","since":"b"}}}',
        b'{"containers":' + b"[" * 50_000,
        b'{"host":{"by":"a","since":"b","keys":["/shop_prod/nowhere"]}}',
    ],
)
def test_what_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(Rejected, match="the drains"):
        drained.decode(data)


ONE = Candidate(A, "shop-1", ("/shop_prod/10.0.0.5-20000",))
TWO = Candidate(B, "shop-2", ("/shop_prod/[fd00::5]-20001", "/shop_prod/10.0.0.5-20001"))
ODD = Candidate(C, "aaaa")
ALL = [ONE, TWO, ODD]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (A, ONE),
        ("shop-2", TWO),
        ("aaaa", ODD),  # a name, and the beginning of another's id
        ("aaaaa", ONE),
        ("abcd", ODD),
        ("10.0.0.5:20000", ONE),
        ("[fd00::5]:20001", TWO),
        ("/shop_prod/10.0.0.5-20001", TWO),
        ("/wharfinger/instances/shop_prod/10.0.0.5-20001", TWO),
    ],
)
def test_whom_a_person_means(text: str, expected: Candidate) -> None:
    assert meant(text, ALL) is expected


@pytest.mark.parametrize(
    "text", ["", "aaa", "shop", "10.0.0.5:1", "10.0.0.5", "/shop_prod/", "A" * 64]
)
def test_nobody_is_meant(text: str) -> None:
    with pytest.raises(Rejected, match=r"there are aaaa \(abcd00000000\), shop-1"):
        meant(text, ALL)


def test_nobody_is_there_and_hostile_text_is_escaped() -> None:
    with pytest.raises(Rejected, match=r"no instance '\\x1b\[2J'; there is none on this host"):
        meant("\x1b[2J", [])


def test_one_that_could_be_several_is_none() -> None:
    twin = Candidate("aaaaab" + "0" * 58, "twin", ONE.keys)
    for text in ("aaaaa", "10.0.0.5:20000"):
        with pytest.raises(Conflict, match="several: shop-1"):
            meant(text, [ONE, twin])
