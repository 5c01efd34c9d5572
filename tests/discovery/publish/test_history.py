"""What was served, what is held, and what content is what it shall be."""

import resource
from pathlib import Path

import pytest

from discovery.publish.history import GENERATIONS, History, Hold, name_of
from discovery.resources import formats
from wharfinger.errors import Rejected


def test_generations_come_latest_first_and_the_eldest_go(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert history.resources() == []
    for number in range(GENERATIONS + 5):
        history.keep("app", f"{number}".encode())
        history.keep("app", f"{number}".encode())  # the same again is none
    found = history.generations("app")
    assert len(found) == GENERATIONS
    assert found[0].name == name_of(f"{GENERATIONS + 4}".encode())
    assert history.content("app", found[1].name) == f"{GENERATIONS + 3}".encode()
    assert history.resources() == ["app"]
    with pytest.raises(Rejected, match="is not kept"):
        history.content("app", name_of(b"0"))


def test_what_a_crash_has_torn_is_not_kept(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.keep("app", b"whole")
    (one,) = history.generations("app")
    one.path.write_bytes(b"who")
    with pytest.raises(Rejected, match="is not kept"):
        history.content("app", one.name)


def test_half_a_content_is_no_generation(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.keep("app", b"one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as on a full disk
    try:
        history.keep("app", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [one.name for one in history.generations("app")] == [name_of(b"one")]
    history.keep("app", b"x" * 5000)
    assert history.content("app", name_of(b"x" * 5000)) == b"x" * 5000


def test_what_cannot_be_noted_fails_nobody(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file in its place")
    History(tmp_path).keep("app", b"x")
    assert History(tmp_path).resources() == []


def test_a_hold_is_kept_and_let_go(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert history.held("app") is None
    assert not history.let_go("app")
    history.hold("app", Hold("abc", 1.0))
    history.hold("app", Hold("abc", 1.0).against("sources"))
    assert history.held("app") == Hold("abc", 1.0, "sources")
    (tmp_path / "held" / "app").write_text("garbage")
    assert history.held("app") is None
    # Who cannot read a hold must not take it for none: what it keeps out would go live.
    (tmp_path / "held" / "app").unlink()
    (tmp_path / "held" / "app").mkdir()
    with pytest.raises(Rejected, match="cannot be read"):
        history.held("app")
    (tmp_path / "held" / "app").rmdir()
    history.hold("app", Hold("abc", 1.0))
    assert history.let_go("app")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("json", b'{"a": [1]}', b'{"a": 1'),
        ("toml", b"a = 1", b"a = "),
        ("toml", b"", b"\xff"),
        ("xml", b"<a><b/></a>", b"<a>"),
        ("xml", b"<a/>", b'<?xml version="1.0" encoding="none"?><a/>'),
        ("json", b"1", b"[" * 100_000),
        ("yaml", b"a: [1, &x 2, *x]\n---\nb: |\n  text\n", b"a: [1"),
        ("yaml", b"", b"a: b: c"),
        ("yaml", "ä: ☃".encode(), b"\xff"),
    ],
)
def test_a_format_is_told_from_what_is_none(name: str, good: bytes, bad: bytes) -> None:
    formats.require(name, good)
    formats.require("", bad)
    with pytest.raises(Rejected, match=f"is no {name.upper()}"):
        formats.require(name, bad)


def test_what_yaml_would_build_is_not_built() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 40))]
    formats.require("yaml", "\n".join(lines).encode())
    formats.require("yaml", b"!!python/object/apply:os.abort []")
    with pytest.raises(Rejected, match="is no YAML"):
        formats.require("yaml", b"[" * 100_000)


def test_entities_without_end_are_no_xml() -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]><a>&e9;</a>'
    with pytest.raises(Rejected, match="is no XML"):
        formats.require("xml", bomb.encode())
