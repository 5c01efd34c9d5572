"""Levels, named and seen."""

import pytest

from wharfinger import levels


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("2026-11-23 06:59:00 ERROR cannot connect", "error"),
        ("[warn] upstream is slow", "warn"),
        ('time=1 level=info msg="ok"', "info"),
        ('{"level":"debug","msg":"x"}', "debug"),
        ("level: fatal", "fatal"),
        ("WARNING: low", "warn"),
        ("E1123 SEVERE", "error"),
        ("TERROR is a film", ""),
        ("ERRORS were found", ""),
        ("an error in prose", ""),
        ("no level at all", ""),
        ("", ""),
        ("x" * 300 + " ERROR", ""),
    ],
)
def test_detects(message: str, expected: str) -> None:
    assert levels.NAMES[levels.detect(message)] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Warning", "warn"), (" ERR ", "error"), ("crit", "fatal"), ("audit", ""), ("", "")],
)
def test_knows_spellings(name: str, expected: str) -> None:
    assert levels.NAMES[levels.level_of(name)] == expected
