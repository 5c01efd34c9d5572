"""Where the daemons of a host answer, by file and environment; mistakes leave one out."""

from pathlib import Path

import pytest

from wharfinger.neighbours import LISTEN, urls
from wharfinger.sample import sections


def test_without_a_file_they_are_where_they_are_by_default() -> None:
    assert urls(None, {}) == {name: f"http://{listen}" for name, listen in LISTEN.items()}


def test_the_defaults_are_those_of_the_daemons() -> None:
    models = sections()
    assert {name: models[name]().listen for name in LISTEN} == dict(LISTEN)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("section", "url"),
    [
        ('[logstore]\nlisten = "10.0.0.5:9"', "http://10.0.0.5:9"),
        ('[logstore]\nlisten = "0.0.0.0:9"', "http://127.0.0.1:9"),
        ('[logstore]\nlisten = "[::]:9"', "http://[::1]:9"),
        ('[logstore]\nlisten = "[::1]:9"\ncert_file = "/c"\nkey_file = "/k"', "https://[::1]:9"),
        ('[logstore]\nlisten = "nonsense"', None),
        ("[logstore]\nlisten = 5", "http://127.0.0.1:7280"),
        ('logstore = "nonsense"', "http://127.0.0.1:7280"),
        ("[logstore", "http://127.0.0.1:7280"),
    ],
)
def test_a_section_says_where(tmp_path: Path, section: str, url: str | None) -> None:
    path = tmp_path / "wharfinger.toml"
    path.write_text(section)
    found = urls(path, {})
    assert found.get("logstore") == url
    assert found["registrar"] == "http://127.0.0.1:7201"


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "wharfinger.toml"
    path.write_text('[logshipper]\nlisten = "127.0.0.1:1"')
    environment = {"WHARFINGER_LOGSHIPPER__LISTEN": "127.0.0.1:2"}
    assert urls(path, environment)["logshipper"] == "http://127.0.0.1:2"
