"""Which capabilities are in effect, as /proc says it (proc(5))."""

from pathlib import Path

import pytest

from wharfinger.capabilities import missing


@pytest.mark.parametrize(
    ("effective", "expected"),
    [
        ("000001ffffffffff", ()),
        ("0000000000000000", ("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH")),
        ("0000000000080004", ()),
        ("0000000000000002", ("CAP_SYS_PTRACE",)),  # to override is more than to read
        ("0000000000080000", ("CAP_DAC_READ_SEARCH",)),
    ],
)
def test_those_that_are_not_in_effect_are_named(
    tmp_path: Path, effective: str, expected: tuple[str, ...]
) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\nCapBnd:\t0\n")
    assert missing("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", status=status) == expected


@pytest.mark.parametrize("text", ["", "Name:\tx\n", "CapEff:\tnonsense\n"])
def test_a_kernel_that_does_not_say_is_no_fault(tmp_path: Path, text: str) -> None:
    status = tmp_path / "status"
    status.write_text(text)
    assert missing("CAP_SYS_PTRACE", status=status) == ()
    assert missing("CAP_SYS_PTRACE", status=tmp_path / "none") == ()
