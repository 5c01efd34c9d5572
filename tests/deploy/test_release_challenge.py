"""What registries ask for before they answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.registry.challenge import challenges


def test_a_token_is_asked_for() -> None:
    header = (
        'Bearer realm="https://a.example/token",service="r.example",scope="repository:a:pull,push"'
    )
    (found,) = challenges([header])
    assert found.scheme == "bearer"
    assert found.parameters == {
        "realm": "https://a.example/token",
        "service": "r.example",
        "scope": "repository:a:pull,push",
    }


@pytest.mark.parametrize(
    "headers",
    [
        ['Basic realm="wharf"', 'Bearer realm="https://a.example"'],
        ['Basic realm="wharf", Bearer realm="https://a.example"'],
        ['basic realm=wharf , BEARER Realm = "https://a.example" '],
    ],
)
def test_several_ways_are_offered(headers: list[str]) -> None:
    found = challenges(headers)
    assert [each.scheme for each in found] == ["basic", "bearer"]
    assert found[0].parameters == {"realm": "wharf"}
    assert found[1].parameters == {"realm": "https://a.example"}


def test_quotes_within_quotes() -> None:
    (found,) = challenges([r'Basic realm="a \"wharf\", b"'])
    assert found.parameters == {"realm": 'a "wharf", b'}


@given(st.lists(st.text(max_size=200), max_size=3))
def test_anything_is_read_without_an_error(headers: list[str]) -> None:
    challenges(headers)


def test_a_long_header_takes_no_long_time() -> None:
    for hostile in ("a=" * 100_000, "Bearer " + 'a="' * 100_000, "," * 100_000, " " * 100_000):
        assert len(challenges([hostile])) < 10_000
