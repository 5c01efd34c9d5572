"""What a command line asks of the store."""

from datetime import UTC, datetime
from typing import Any

import pytest

from wharfinger.errors import Rejected
from wharfinger.operator.logs.question import Question, having

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def asked(**given: Any) -> list[tuple[str, str]]:
    return sorted(Question(**given).parameters(NOW))


def test_lists_and_what_must_not_be_there() -> None:
    wanted = {"app": ("shop,cart", "auth*"), "host": ("!db1",), "container": ('!a "b"\\',)}
    assert asked(words=("slow", '"a b"'), wanted=wanted) == [
        ("app", "auth*"),
        ("app", "cart"),
        ("app", "shop"),
        ("q", 'slow "a b" -host:"db1" -container:"a \\"b\\"\\\\"'),
    ]


def test_a_container_by_the_beginning_of_its_id() -> None:
    wanted = {"container": ("0123abcd4567,web,ab", "f" * 64, "!0123abcd4567"), "app": ("0123abcd",)}
    assert asked(wanted=wanted) == [
        ("app", "0123abcd"),
        ("container", "0123abcd4567*"),
        ("container", "ab"),
        ("container", "f" * 64),
        ("container", "web"),
        ("q", '-container:"0123abcd4567*"'),
    ]


@pytest.mark.parametrize(
    ("levels", "named", "refused"),
    [
        (("error",), ["error"], ""),
        (("WARNING+",), ["error", "fatal", "warn"], ""),
        (("fatal+", "unknown"), ["fatal", "unknown"], ""),
        (("!debug,!trace",), [], "-level:debug -level:trace"),
        (("unknown+",), ["unknown"], ""),
        (("!error+",), [], "-level:error -level:fatal"),
    ],
)
def test_levels(levels: tuple[str, ...], named: list[str], refused: str) -> None:
    found = asked(wanted={"level": levels})
    assert [text for name, text in found if name == "level"] == named
    assert "".join(text for name, text in found if name == "q") == refused


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"wanted": {"level": ("loud",)}}, "there is no level 'loud'; use one of trace, debug"),
        ({"wanted": {"app": ("shop,,cart",)}}, "holds an empty value"),
        ({"wanted": {"app": ("!",)}}, "holds an empty value"),
        ({"since": "soon"}, "--since 'soon' is no time"),
        ({"until": "late"}, "--until 'late' is no time"),
        ({"since": "1h", "until": "2h"}, "does not lie behind --since 2026-11-23T11:00"),
    ],
)
def test_what_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(Rejected, match=why):
        asked(**given)


def test_a_span() -> None:
    assert asked(since="1h", until="30m") == [
        ("from", "2026-11-23T11:00:00+00:00"),
        ("to", "2026-11-23T11:30:00+00:00"),
    ]


def test_parameters_in_the_place_of_others() -> None:
    given = (("from", "a"), ("app", "x"), ("app", "y"))
    assert having(given, from_="b", limit="1") == (
        ("app", "x"), ("app", "y"), ("from", "b"), ("limit", "1"),
    )  # fmt: skip
    assert having(given, from_="") == (("app", "x"), ("app", "y"))
