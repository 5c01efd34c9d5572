"""Globs: what they mean, and what is no glob."""

import pytest

from logshipper.files.places import host_places
from logshipper.globs import MAX_GLOBS, parse_globs


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("/var/log/*.log", "/var/log/a.log", True),
        ("/var/log/*.log", "/var/log/deep/a.log", False),
        ("/var/log/*.log", "/var/log/.a.log", False),
        ("/var/log/?.log", "/var/log/ab.log", False),
        ("/var/**/*.log", "/var/a.log", True),
        ("/var/**/*.log", "/var/b/c/a.log", True),
        ("/var/**/*.log", "/srv/a.log", False),
        ("/var/**", "/var/b/c/a.log", True),
        ("/a[1].log", "/a[1].log", True),
        ("/a[1].log", "/a1.log", False),
        ("/*a*a*a*a*a*a*a*b", "/" + "a" * 255, False),
    ],
)
def test_what_is_meant(glob: str, path: str, meant: bool) -> None:
    globs, problems = parse_globs([glob])
    assert not problems
    assert globs.mean(path) is meant


@pytest.mark.parametrize(
    "glob", ["relative/*.log", "/", "/a/../b", "/a**/b", "/a\nb", "/" + "x" * 2000, "/a/" * 40]
)
def test_what_is_no_glob_is_said_and_left_out(glob: str) -> None:
    globs, problems = parse_globs([glob, "/good"])
    assert len(problems) == 1
    assert globs.mean("/good")
    assert len(globs.parts) == 1


def test_only_so_many_are_taken() -> None:
    globs, problems = parse_globs(f"/{n}" for n in range(MAX_GLOBS + 5))
    assert len(globs.parts) == MAX_GLOBS
    assert len(problems) == 1


def test_the_hosts_globs_begin_where_their_choice_begins() -> None:
    globs, _ = parse_globs(
        ["/var/log/app/*.log", "/var/log/syslog", "/*/a.log", "/var/log/messages"]
    )
    places = host_places("h1", globs)
    assert [place.root for place in places] == ["/var/log/app", "/var/log", "/"]
    assert [place.at for place in places] == ["/var/log/app", "/var/log", ""]
