"""The reservation of the range, on files that stand in for the kernel's."""

from pathlib import Path

import pytest

from registrar.ports.reservation import overlap, reserve
from registrar.porttable import PortRange
from wharfinger.errors import Unavailable

RANGE = PortRange(20_000, 29_999)


def test_the_range_is_added_once_beside_what_others_reserved(tmp_path: Path) -> None:
    reserved = tmp_path / "reserved"
    reserved.write_text("8080\n")
    assert reserve(RANGE, reserved=reserved)
    assert reserved.read_text() == "8080,20000-29999\n"
    assert not reserve(RANGE, reserved=reserved)


def test_what_is_not_understood_is_left_alone_and_told(tmp_path: Path) -> None:
    reserved = tmp_path / "reserved"
    reserved.write_text("http\n")
    with pytest.raises(Unavailable, match="cannot be reserved"):
        reserve(RANGE, reserved=reserved)
    assert reserved.read_text() == "http\n"
    with pytest.raises(Unavailable, match="No such file"):
        reserve(RANGE, reserved=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "overlaps"),
    [("32768\t60999\n", False), ("1024\t65535\n", True), ("29999\t30000\n", True), ("x", False)],
)
def test_an_overlap_with_the_ephemeral_range_is_found(
    tmp_path: Path, text: str, overlaps: bool
) -> None:
    ephemeral = tmp_path / "range"
    ephemeral.write_text(text)
    finding = overlap(RANGE, ephemeral=ephemeral)
    assert (finding is not None) == overlaps
    if finding is not None:
        assert "choose a range below" in finding.fix
