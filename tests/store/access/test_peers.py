"""Whose word counts: addresses behind proxies, users in headers, pages of other sites."""

import pytest

from logshipper.store.access import origin, peers
from logshipper.store.access.peers import Peer, Proxies, TwoUsers
from logshipper.store.access.rules import Rules

PROXIES = Proxies(peers.networks(["10.0.0.5/32", "192.168.0.0/24", "fd00::/8"]), "X-Forwarded-User")


@pytest.mark.parametrize(
    ("address", "forwarded", "peer"),
    [
        ("1.2.3.4", [], Peer("1.2.3.4")),
        ("1.2.3.4", ["9.9.9.9"], Peer("1.2.3.4")),
        ("10.0.0.5", ["9.9.9.9"], Peer("9.9.9.9", trusted=True)),
        ("10.0.0.5", [], Peer("10.0.0.5", trusted=True)),
        ("::ffff:10.0.0.5", ["9.9.9.9"], Peer("9.9.9.9", trusted=True)),
        ("::ffff:10.0.0.6", ["9.9.9.9"], Peer("10.0.0.6")),
        ("fd00::1%eth0", ["9.9.9.9"], Peer("9.9.9.9", trusted=True)),
        # What the client wrote itself stands before what the proxies add.
        ("10.0.0.5", ["6.6.6.6, 9.9.9.9"], Peer("9.9.9.9", trusted=True)),
        ("10.0.0.5", ["6.6.6.6", "9.9.9.9, 192.168.0.7"], Peer("9.9.9.9", trusted=True)),
        ("10.0.0.5", ["evil, 192.168.0.7"], Peer("192.168.0.7", trusted=True)),
        ("10.0.0.5", ["1.2.3.4, unknown"], Peer("10.0.0.5", trusted=True)),
        ("10.0.0.5", [""], Peer("10.0.0.5", trusted=True)),
        ("", ["9.9.9.9"], Peer("")),
    ],
)
def test_the_client_behind_proxies(address: str, forwarded: list[str], peer: Peer) -> None:
    assert PROXIES.peer(address, forwarded) == peer


@pytest.mark.parametrize(
    ("values", "user"),
    [
        (["alice"], "alice"),
        ([" alice@example.com "], "alice@example.com"),
        (["Jörg"], "Jörg"),
        ([], ""),
        ([""], ""),
        (["alice", "mallory"], None),
        (["alice, mallory"], None),
        (["alice\x1b[31m"], None),
        (["a" * 129], None),
    ],
)
def test_one_user_or_nobody(values: list[str], user: str | None) -> None:
    if user is None:
        with pytest.raises(TwoUsers):
            PROXIES.user(values)
    else:
        assert PROXIES.user(values) == user


@pytest.mark.parametrize(
    ("said", "site", "host", "own"),
    [
        (None, None, "logs:7280", True),
        ("http://logs:7280", None, "logs:7280", True),
        ("http://LOGS:7280", None, "logs:7280", True),
        ("https://logs.example", None, "logs.example", True),
        ("https://logs.example", "same-origin", "127.0.0.1:7280", True),
        ("http://evil.example", None, "logs:7280", False),
        ("http://logs:80", None, "logs:7280", False),
        ("http://logs:7280.evil.example", None, "logs:7280", False),
        ("null", None, "logs:7280", False),
        ("", None, "logs:7280", False),
        ("http://[::1", None, "[::1]:7280", False),
        ("http://[::1]:7280", None, "[::1]:7280", True),
        ("http://evil.example", "cross-site", "evil.example", False),
        ("http://logs:7280", "same-site", "logs:7280", False),
        (None, "cross-site", "logs:7280", False),
        (None, "none", "logs:7280", True),
        ("http://x:99999", None, "x", False),
    ],
)
def test_pages_of_other_sites(said: str | None, site: str | None, host: str, own: bool) -> None:
    assert origin.is_own(said, site, host) is own


@pytest.mark.parametrize(
    ("site", "mode", "may"),
    [
        (None, None, True),
        ("same-origin", "cors", True),
        ("none", "navigate", True),
        ("cross-site", "navigate", True),
        ("cross-site", "no-cors", False),
        ("same-site", "cors", False),
        ("cross-site", None, False),
    ],
)
def test_links_may_come_from_anywhere_and_nothing_else(
    site: str | None, mode: str | None, may: bool
) -> None:
    assert origin.may_ask(site, mode) is may


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:7280", True),
        ("[::1]:7280", True),
        ("10.1.2.3", True),
        ("localhost", True),
        ("LocalHost.:7280", True),
        ("dev.localhost:7280", True),
        ("logs.example:80", True),
        ("", True),
        ("evil.example:7280", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:7280", False),
        ("logs.example.evil", False),
        ("[::1].evil.example", False),
        ("[::1", False),
    ],
)
def test_names_of_ours(host: str, own: bool) -> None:
    assert Rules(host_names=frozenset({"logs.example"})).is_own_name(host) is own
