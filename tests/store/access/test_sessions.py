"""Cookies: for whom, for how long, and that nobody else can make one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.access.sessions import Sessions
from logshipper.store.access.tokens import Token

SESSIONS = Sessions(b"k" * 32)
ALICE = Token(b"a" * 32, "team-a", "alice")
BOB = Token(b"b" * 32, "team-b", "bob")


def test_a_cookie_is_its_token_until_it_ends() -> None:
    cookie = SESSIONS.begin(ALICE, 1_000)
    assert SESSIONS.token(cookie, [BOB, ALICE], 999) == ALICE
    assert SESSIONS.token(cookie, [BOB, ALICE], 1_000) is None
    # Revoked; and what the file says of the token now is what counts.
    assert SESSIONS.token(cookie, [BOB], 999) is None
    moved = Token(ALICE.digest, "team-c", "alice")
    assert SESSIONS.token(cookie, [moved], 999) == moved


def test_it_says_nothing_and_means_nothing_elsewhere() -> None:
    cookie = SESSIONS.begin(ALICE, 1_000)
    raw = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
    assert ALICE.digest[:8] not in raw
    other = Sessions(b"o" * 32)
    assert other.token(cookie, [ALICE], 0) is None
    assert other.cookie != SESSIONS.cookie


@given(st.integers(0, 55), st.integers(1, 255))
def test_one_changed_byte_and_it_is_none(at: int, by: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(SESSIONS.begin(ALICE, 1_000) + "=="))
    raw[at] ^= by
    cookie = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert SESSIONS.token(cookie, [ALICE, BOB], 0) is None


@pytest.mark.parametrize("cookie", ["", "x", "Ω", "=" * 5, "A" * 10_000, "....", "A" * 75])
def test_rubbish(cookie: str) -> None:
    assert SESSIONS.token(cookie, [ALICE], 0) is None
