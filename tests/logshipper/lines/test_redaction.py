"""Secrets go, what is like one stays, and no text or pattern makes it slow."""

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.lines.pattern import (
    LABEL_INSTRUCTIONS,
    MAX_MATCHES,
    compile_pattern,
    compile_replacing,
)
from logshipper.lines.redaction import RULES, Redaction, luhn
from wharfinger.errors import Rejected


def redacted(text: str, *rules: str) -> str:
    return Redaction(rules or RULES).text(text, Counter())


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("pay 4111 1111 1111 1111 now", "pay [redacted:card] now"),
        ("pay 4111-1111-1111-1111.", "pay [redacted:card]."),
        ("4111111111111111", "[redacted:card]"),
        ("amex 3782 822463 10005", "amex [redacted:card]"),
        ("2026 4111 1111 1111 1111", "2026 [redacted:card]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("order 41111111111111110000000", "order 41111111111111110000000"),
        (f"token={JWT};", "token=[redacted:jwt];"),
        (f"Authorization: Bearer {JWT}", "Authorization: Bearer [redacted:auth]"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic [redacted:auth]"),
        ("basic training of bearer certificates", None),
        ("a basic idea", "a basic idea"),
        ("key AKIAIOSFODNN7EXAMPLE!", "key [redacted:aws]!"),
        (
            'aws_secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
            'aws_secret_access_key = "[redacted:aws]"',
        ),
        ("postgres://bob:p@ss@db:5432/x", "postgres://bob:[redacted:url]@db:5432/x"),
        ("https://db:5432/x?y=a@b", None),
        ("to bob.b+x@mail.example.com.", "to [redacted:email]."),
        (
            "k -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest",
            "k [redacted:private-key]\nrest",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMII without an end", "[redacted:private-key]"),
        ("-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----"),
        ("nothing here", "nothing here"),
    ],
)
def test_rules(text: str, clean: str | None) -> None:
    rules = [name for name in RULES if name != "email" or "bob.b" in text]
    assert redacted(text, *rules) == (text if clean is None else clean)


def test_parsed_fields_are_searched_however_deep_and_numbers_too() -> None:
    found: Counter[str] = Counter()
    redaction = Redaction(["card", "jwt"])
    fields = {"a": [{"b": JWT}], "card": 4111111111111111, "n": 4111111111111112, "t": True}
    assert redaction.fields(fields, found) == {
        "a": [{"b": "[redacted:jwt]"}],
        "card": "[redacted:card]",
        "n": 4111111111111112,
        "t": True,
    }
    assert found == {"jwt": 1, "card": 1}


def test_a_pattern_of_ones_own() -> None:
    pattern = compile_replacing(r"session=(?P<secret>\w+)")
    assert Redaction([], [pattern]).text("session=abc;", Counter()) == "session=[redacted];"
    pattern = compile_replacing("né+")
    assert Redaction([], [pattern]).text("ünéé x", Counter()) == "ü[redacted] x"


@pytest.mark.parametrize("bad", ["a*", "(", "(?=x)", "x?", "^"])
def test_a_pattern_that_matches_nothing_is_refused(bad: str) -> None:
    with pytest.raises(Rejected):
        compile_replacing(bad)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(Rejected, match="take of"):
        Redaction(["iban"])


HOSTILE = {
    "digits": "1" * 300_000,
    "groups": "4111 " * 60_000,
    "cards": "4111111111111111 " * 20_000,
    "jwt": "eyJ" * 100_000,
    "url": "://a:" * 60_000,
    "at": "a@" * 150_000,
    "dots": "a@" + "b." * 150_000,
    "keys": "-----BEGIN PRIVATE KEY-----" * 12_000,
    "bearer": "bearer " * 40_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_makes_the_rules_slow(text: str) -> None:
    redaction = Redaction(RULES)
    begun = time.thread_time()
    redaction.text(text, Counter())
    # Quadratic, this would be minutes.
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize("pattern", ["a.*b|a", "(a+)+b|a", "(?:a|aa)+$|a", "a[^b]*b|a"])
def test_no_pattern_is_quadratic_and_what_was_not_searched_is_not_shipped(pattern: str) -> None:
    compiled = compile_replacing(pattern, instructions=LABEL_INSTRUCTIONS)
    text = "a" * 300_000 + "!"
    begun = time.thread_time()
    clean, count = compiled.replaced(text, "-")
    assert time.thread_time() - begun < 5
    assert count <= MAX_MATCHES
    assert "a" not in clean


@pytest.mark.parametrize("pattern", ["x{1000}{1000}", r"1[01]{600}x", r"(?:\pL{100}){10}"])
def test_a_label_may_not_have_a_pattern_that_costs_much_for_each_byte(pattern: str) -> None:
    with pytest.raises(Rejected):
        compile_pattern(pattern, instructions=LABEL_INSTRUCTIONS)


@given(st.text(max_size=40))
def test_where_there_is_no_secret_nothing_changes(text: str) -> None:
    found: Counter[str] = Counter()
    clean = Redaction(RULES).text(text, found)
    assert found or clean == text


@given(st.from_regex(r"[2-6][0-9]{11,17}", fullmatch=True), st.text("abc .,:", max_size=9))
def test_every_card_goes(digits: str, around: str) -> None:
    card = next(digits + str(n) for n in range(10) if luhn(digits + str(n)))
    assert card not in redacted(around + card + around)
