"""What a host tells stays small, comes back as it went, and is read as hostile."""

import msgspec
import pytest

from wharfinger.errors import Rejected
from wharfinger.hostrecord import (
    MAX_BYTES,
    MAX_TROUBLES,
    Beside,
    Drained,
    RegistrarRecord,
    Unregistered,
    encode,
    parse,
    text,
    troubles,
)


def made(drains: int = 0, unregistered: int = 0, said: str = "why") -> RegistrarRecord:
    return RegistrarRecord(
        version="1", since="2026-01-01T00:00:00Z", health="unhealthy", ip="10.0.0.5",
        troubles=troubles([("docker", said)]), drained=bool(drains),
        drains=tuple(
            Drained(key=f"/shop_prod/10.0.0.5-{n}", name=text(said), by="ann")
            for n in range(drains)
        ),
        unregistered=tuple(
            Unregistered(name=f"c{n}", reason=text(said)) for n in range(unregistered)
        ),
        beside={"logshipper": Beside(health="healthy", version="1")},
    )  # fmt: skip


def test_what_goes_comes_back() -> None:
    told = parse(encode(made(3, 2)))
    assert [each.key for each in told.drains] == [f"/shop_prod/10.0.0.5-{n}" for n in range(3)]
    assert [each.name for each in told.unregistered] == ["c0", "c1"]
    assert (told.drains_more, told.unregistered_more) == (0, 0)
    assert told.beside["logshipper"].health == "healthy"
    assert told.drained


@pytest.mark.parametrize("said", ["why", "x" * 5_000, "\x1b[2J" * 200, "\U0001f6a2" * 300])
@pytest.mark.parametrize(("drains", "unregistered"), [(0, 5_000), (5_000, 0), (5_000, 5_000)])
def test_it_stays_small_and_says_what_it_leaves_out(
    drains: int, unregistered: int, said: str
) -> None:
    value = encode(made(drains, unregistered, said))
    assert len(value) <= MAX_BYTES
    told = parse(value)
    assert len(told.drains) + told.drains_more == drains
    assert len(told.unregistered) + told.unregistered_more == unregistered
    assert bool(told.drains) == bool(drains)
    assert bool(told.unregistered) == bool(unregistered)


@pytest.mark.parametrize("said", ["\U0001f6a2" * 300, '"' * 300, "\x1b" * 300])
def test_it_stays_small_when_all_daemons_have_much_to_say(said: str) -> None:
    red = troubles([(f"check {n}", said) for n in range(MAX_TROUBLES)])
    assert red[0].startswith("check 0: ")
    assert red[-1] == f"and {MAX_TROUBLES + 1 - len(red)} more"
    beside = Beside(health="unhealthy", version=text(said), troubles=red)
    record = msgspec.structs.replace(
        made(1, 1, said), troubles=red, beside={"logshipper": beside, "logstore": beside}
    )
    value = encode(record)
    assert len(value) <= MAX_BYTES
    assert parse(value).drains


def test_of_many_troubles_the_last_word_is_how_many_more() -> None:
    found = troubles([(f"check {n}", "red") for n in range(100)])
    assert len(found) == MAX_TROUBLES
    assert found[-1] == f"and {101 - MAX_TROUBLES} more"


@pytest.mark.parametrize(
    "value",
    [
        b"", b"{", b"[]", b"[" * 20_000, b"\xff",
        b'{"health":1}', b'{"drains":[{"key":1}]}', b'{"unregistered":[{}]}',
        b'{"ip":"' + b"x" * 600 + b'"}', b'{"version":"\\u0007"}',
        b'{"beside":{"\\n":{"health":"a"}}}',
        b'{"unregistered_more":-1}', b'{"why":"' + b"x" * 70_000 + b'"}',
        b'{"troubles":["\\u202e"]}',
    ],
)  # fmt: skip
def test_what_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(Rejected):
        parse(value)
