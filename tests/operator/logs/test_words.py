"""Words stand wherever they were typed."""

import argparse

import pytest

from wharfinger.operator.logs.words import gathered


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("", ""),
        ("a b", "-- a b"),
        ("a --app x b -n 5 c", "--app x -n 5 -- a b c"),
        ("a --app=x b -n5 -f c", "--app=x -n5 -f -- a b c"),
        ("-f a -- -b --app", "-f -- a -b --app"),
        ("--app", "--app"),
        ("--unknown a", "--unknown -- a"),
        ("- a", "-- - a"),
    ],
)
def test_words_are_gathered(typed: str, understood: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--app")
    parser.add_argument("-n", type=int)
    parser.add_argument("-f", action="store_true")
    assert gathered(typed.split(), parser) == understood.split()
