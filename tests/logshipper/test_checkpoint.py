"""Two copies: whatever a crash leaves of one, the other or the first serves."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.checkpoint import Checkpoint, State, decode, encode
from logshipper.model import Generation, OpenMessage, Position, Progress, SavedLog
from wharfinger.errors import Rejected


def saved(offset: int) -> SavedLog:
    opened = OpenMessage("stdout", "c.g.5", Position(0, 5), 16_384, 1)
    progress = Progress(Position(1, offset), (opened,))
    return SavedLog(progress, (Generation(0, "aa", 1, 2), Generation(1, "bb-2", 1, 3)), 99)


def test_a_log_comes_back_as_it_was(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "deep" / "er").save  # noqa: B018 - nothing is written by asking
    first = Checkpoint(tmp_path / "main")
    assert first.load() == {}
    first.save({"c": saved(10)})
    assert Checkpoint(tmp_path / "main").load() == {"c": saved(10)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: data[:-7],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"x",
        lambda data: data.replace(b"checkpoint 1 ", b"checkpoint 2 "),
        lambda data: data.replace(b'"offset":20', b'"offset":30'),
    ],
)
def test_a_damaged_copy_falls_back_to_the_other(tmp_path: Path, damage: object) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    checkpoint.save({"c": saved(10)})
    checkpoint.sync()
    checkpoint.save({"c": saved(20)})
    latest = tmp_path / "checkpoint"
    latest.write_bytes(damage(latest.read_bytes()))  # type: ignore[operator]
    again = Checkpoint(tmp_path)
    assert again.load() == {"c": saved(10)}
    assert len(again.refused) == 1
    again.save({"c": saved(40)})
    assert Checkpoint(tmp_path).load() == {"c": saved(40)}


def test_the_later_copy_wins_when_a_rename_was_lost(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    checkpoint.save({"c": saved(10)})
    old = (tmp_path / "checkpoint").read_bytes()
    checkpoint.save({"c": saved(20)})
    checkpoint.sync()
    (tmp_path / "checkpoint").write_bytes(old)
    assert Checkpoint(tmp_path).load() == {"c": saved(20)}


@pytest.mark.parametrize("kept", ["checkpoint", "checkpoint.previous"])
def test_what_was_read_is_on_the_disk_for_certain_after_the_first_sync(
    tmp_path: Path, kept: str
) -> None:
    """A life before this one may have been killed before it had waited for the disk."""
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    checkpoint.save({"c": saved(10)})
    checkpoint.sync()
    checkpoint.save({"c": saved(20)})
    if kept != "checkpoint":
        checkpoint.sync()
        (tmp_path / "checkpoint").unlink()
    again = Checkpoint(tmp_path)
    again.load()
    again.sync()
    (tmp_path / "checkpoint").write_bytes(b"")  # what a power loss leaves of a rename
    assert Checkpoint(tmp_path).load() == {"c": saved(20)}


def test_with_both_copies_gone_everything_is_read_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    checkpoint.save({"c": saved(10)})
    checkpoint.sync()
    for path in tmp_path.iterdir():
        path.write_bytes(b"\0" * 50)
    again = Checkpoint(tmp_path)
    assert again.load() == {}
    assert len(again.refused) == 2


def test_a_copy_holds_for_its_owner_only(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.load()
    checkpoint.save({})
    checkpoint.sync()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@given(st.binary(max_size=300))
def test_no_bytes_are_taken_for_a_checkpoint(data: bytes) -> None:
    with pytest.raises(Rejected):
        decode(data)


@given(st.integers(0, 400), st.integers(0, 7))
def test_one_flipped_bit_is_noticed(at: int, bit: int) -> None:
    data = bytearray(encode(State(3, {"c": saved(10)})))
    at %= len(data)
    data[at] ^= 1 << bit
    try:
        decode(bytes(data))
    except Rejected:
        return
    # The header's own digits may read the same in the other case of a letter.
    pytest.fail(f"byte {at} bit {bit} went unnoticed")
