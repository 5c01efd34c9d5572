"""What an error tells its catcher and the person who reads it."""

import pytest

from wharfinger.errors import (
    ConfigError,
    Conflict,
    Exit,
    Finding,
    Rejected,
    Unavailable,
    WharfingerError,
)


def test_exit_codes_are_those_of_sysexits_and_grep_s_for_nothing_found() -> None:
    assert [code.value for code in Exit] == [0, 1, 64, 69, 70, 75, 78]
    for error, code in (
        (WharfingerError, 70),
        (Unavailable, 69),
        (Conflict, 75),
        (Rejected, 64),
        (ConfigError, 78),
    ):
        assert error.exit_code == code


def test_a_finding_reads_as_a_sentence() -> None:
    assert str(Finding("a.b", "is wrong")) == "a.b: is wrong"
    whole = Finding("a.b", "is wrong", "mend it", "file /x line 3")
    assert str(whole) == "a.b (file /x line 3): is wrong; mend it"


def test_hostile_text_in_a_finding_stays_on_one_line() -> None:
    text = str(Finding("a\nb", "\x1b[31mred\u202e", "\udcff", "\u2028"))
    assert text == "a\\nb (\\u2028): \\u001b[31mred\\u202e; \\udcff"


def test_a_config_error_carries_every_finding() -> None:
    findings = [Finding("a", "x"), Finding("b", "y")]
    with pytest.raises(ConfigError, match=r"a: x\nb: y") as raised:
        raise ConfigError(iter(findings))
    assert raised.value.findings == tuple(findings)
