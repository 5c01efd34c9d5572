"""Names of images, by Docker's grammar; and what else is given for one."""

import pytest

from deploy.release.reference import (
    by_digest,
    is_digest,
    is_loopback,
    is_tag,
    release_number,
    repository,
)
from wharfinger.errors import Rejected

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "path"),
    [
        ("127.0.0.1:5000/shop", "127.0.0.1:5000", "shop"),
        ("registry.example.com/team/shop", "registry.example.com", "team/shop"),
        ("localhost/shop", "localhost", "shop"),
        ("[::1]:5000/a/b/c", "[::1]:5000", "a/b/c"),
        ("[fd00::7]/shop", "[fd00::7]", "shop"),
        ("HUB/shop", "HUB", "shop"),
        ("r.example/a__b/c-d/e--f/g.h_i", "r.example", "a__b/c-d/e--f/g.h_i"),
    ],
)
def test_a_repository_has_its_registry(text: str, registry: str, path: str) -> None:
    found = repository(text)
    assert (found.registry, found.path, str(found)) == (registry, path, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "team/shop",
        "/shop",
        "127.0.0.1:5000",
        "127.0.0.1:5000/",
        "127.0.0.1:5000/Shop",
        "127.0.0.1:5000/shop:r1",
        f"127.0.0.1:5000/shop@{DIGEST}",
        "127.0.0.1:99999/shop",
        "127.0.0.1:0/shop",
        "[:::]:5000/shop",
        "127.0.0.1:5000/../shop",
        "127.0.0.1:5000/a//b",
        "127.0.0.1:5000/a/",
        "127.0.0.1:5000/a..b",
        "127.0.0.1:5000/shop\n",
        "127.0.0.1:5000/shop?x=1",
        "127.0.0.1:5000/sh%6fp",
        "user@127.0.0.1:5000/shop",
        "http://127.0.0.1:5000/shop",
        "r.example/" + "a" * 255,
        "-r.example/shop",
        "r.ex\u0430mple/shop",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        repository(text)


def test_a_name_without_a_registry_is_told_how_to_get_one() -> None:
    with pytest.raises(Rejected, match="write HOST:PORT/team/shop"):
        repository("team/shop")


@pytest.mark.parametrize(
    ("text", "good"),
    [("r1", True), ("_x.y-z", True), ("a" * 128, True), ("a" * 129, False), ("", False),
     (".x", False), ("-x", False), ("a/b", False), ("r1\n", False), ("ä", False)],
)  # fmt: skip
def test_tags(text: str, good: bool) -> None:
    assert is_tag(text) is good


def test_digests() -> None:
    assert is_digest(DIGEST)
    for bad in ("a" * 64, "sha256:" + "A" * 64, DIGEST + "\n", DIGEST[:-1], "md5:" + "a" * 32):
        assert not is_digest(bad)
        with pytest.raises(Rejected):
            by_digest("r.example/shop", bad)
    assert by_digest("r.example/shop", DIGEST) == f"r.example/shop@{DIGEST}"


def test_release_tags() -> None:
    assert release_number("r12") == 12
    for other in ("r0", "r01", "12", "r", "r1a", "rc1", "r" + "9" * 10, "r1\n"):
        assert release_number(other) is None


@pytest.mark.parametrize(
    ("registry", "loopback"),
    [("127.0.0.1:5000", True), ("127.8.8.8", True), ("[::1]:5000", True), ("[::1]", True),
     ("localhost:5000", True), ("localhost", True), ("10.0.0.1:5000", False),
     ("localhost.example:5000", False), ("[fd00::1]:5000", False)],
)  # fmt: skip
def test_only_loopback_is_asked_without_tls(registry: str, loopback: bool) -> None:
    assert is_loopback(registry) is loopback
