"""The registrar's own section: how containers are read, and which values are refused at once."""

from pathlib import Path

import pytest

from registrar.config import Config
from registrar.model import Ways
from wharfinger.config import load
from wharfinger.errors import ConfigError


def loaded(folder: Path, text: str) -> Config:
    path = folder / "wharfinger.toml"
    path.write_text(f"[registrar]\n{text}\n")
    return load(Config, path=path, environment={}).value


def test_the_defaults_read_what_names_itself(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").registrar.ways == Ways()


def test_registrators_options_have_their_keys(tmp_path: Path) -> None:
    text = """
        explicit = false
        internal = true
        default_env = "prod"
        ip_label = "rancher.ip"
        tags = ["rack1", "eu,west"]
        deregister = "on-success"
    """
    assert loaded(tmp_path, text).registrar.ways == Ways(
        explicit=False,
        internal=True,
        default_env="prod",
        ip_label="rancher.ip",
        tags=("rack1", "eu,west"),
        deregister="on-success",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('default_env = "a_b"', "env 'a_b'"),
        ('default_env = "a/b"', "env 'a/b'"),
        ('tags = ["a;b"]', "the tag 'a;b'"),
        ('tags = ["{{ .ID }}"]', "the tag '{{ .ID }}'"),
        (f"tags = {[str(number) for number in range(65)]}", "65 tags"),
        ('deregister = "sometimes"', "sometimes"),
        ('explicit = "yes"', "explicit"),
    ],
)
def test_a_bad_value_is_named_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, text)
    (finding,) = refused.value.findings
    assert f"registrar.{text.partition(' ')[0]}" in finding.where
    assert told in str(finding)
