"""HOST:PORT as people write it, and what only looks like it."""

import pytest

from wharfinger.address import address_problem, loopback, own_url, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:7201", ("127.0.0.1", 7201)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("localhost:65535", ("localhost", 65535)),
        ("etcd-1.example.com:2379", ("etcd-1.example.com", 2379)),
        ("[::1]:80", ("::1", 80)),
        ("[::]:80", ("::", 80)),
    ],
)
def test_good_ones(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected
    assert address_problem(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":7201",
        "7201",
        "host",
        "host:",
        "host:0",
        "host:007",
        "host:65536",
        "host:+1",
        "host: 80",
        "host:80\n",
        " host:80",
        "ho st:80",
        "host:\uff18\uff10",
        "host:\u0668\u0660",
        "::1:80",
        "[::1]",
        "[host]:80",
        "[::1%eth0]:80",
        "[1.2.3.4]:80",
        "[" + ":" * 500 + "]:80",
        "http://host:80",
        "host:80/path",
        "a" * 300 + ":80",
        "host:80\0",
    ],
)
def test_bad_ones(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_address(text)
    assert len(address_problem(text)) < 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.evil.example:1", False),
        ("127.0.0.1.evil.example:1", False),
    ],
)
def test_loopback(text: str, expected: bool) -> None:
    assert loopback(text) is expected


@pytest.mark.parametrize(
    ("listen", "tls", "url"),
    [
        ("10.0.0.5:9", False, "http://10.0.0.5:9"),
        ("0.0.0.0:9", True, "https://127.0.0.1:9"),
        ("[::]:9", False, "http://[::1]:9"),
        ("[fd00::5]:9", True, "https://[fd00::5]:9"),
        ("box:9", False, "http://box:9"),
    ],
)
def test_what_listens_everywhere_is_asked_on_its_own_host(listen: str, tls: bool, url: str) -> None:
    assert own_url(listen, tls=tls) == url
