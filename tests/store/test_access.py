"""Tokens: who may, and as which tenant."""

import base64
from hashlib import sha256
from pathlib import Path

import pytest

from logshipper.store.config import Config
from logshipper.store.http import access
from wharfinger.config import load
from wharfinger.errors import ConfigError

FILE = f"""
# comment
first-token
second-token  team-a
sha256:{sha256(b"hashed-token").hexdigest()} team-b
"""


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "tenant"),
    [
        ("Bearer first-token", "default"),
        ("bearer  second-token", "team-a"),
        ("Bearer hashed-token", "team-b"),
        (f"Basic {basic('anyone:second-token')}", "team-a"),
        (f"Basic {basic('a:b:c')}", None),
        ("ApiKey second-token", "team-a"),
        (f"ApiKey {basic('id:second-token')}", "team-a"),
        (f"ApiKey {basic('second-token')}", "team-a"),
        ("", None),
        ("Bearer", None),
        ("Bearer wrong", None),
        ("Basic !!!", None),
        (f"Basic {basic('first-token')}", None),
        (f"Bearer {sha256(b'hashed-token').hexdigest()}", None),
        ("Digest first-token", None),
        ("Bearer fïrst-token \udcff", None),
    ],
)
def test_headers(header: str, tenant: str | None) -> None:
    tokens, findings = access.parse(FILE, "f")
    assert not findings
    assert tokens.tenant(header) == tenant


def test_no_file_lets_everyone_in_as_the_default_tenant() -> None:
    assert access.load(None, "f").tenant("") == "default"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "without a token"),
        ("# nothing\n", "without a token"),
        ("short", "no token"),
        ("sha256:12", "no token"),
        ("long-enough-token ../../etc", "no possible tenant"),
        ("long-enough-token a b", "TOKEN TENANT"),
    ],
)
def test_bad_files_are_refused_without_telling_the_token(text: str, problem: str) -> None:
    _, findings = access.parse(text, "logstore.read_token_file")
    assert [problem in str(finding) for finding in findings] == [True]
    assert "long-enough" not in str(findings)


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        access.load(tmp_path / "missing", "logstore.read_token_file")


@pytest.mark.parametrize(
    ("listen", "files", "refused"),
    [
        ("127.0.0.1:7280", (), False),
        ("localhost:7280", (), False),
        ("[::1]:7280", (), False),
        ("0.0.0.0:7280", (), True),
        ("[::]:7280", (), True),
        ("10.1.2.3:7280", (), True),
        ("logs.example:7280", (), True),
        ("0.0.0.0:7280", ("ingest",), True),
        ("0.0.0.0:7280", ("read",), True),
        ("0.0.0.0:7280", ("ingest", "read"), False),
        ("7280", (), True),
    ],
)
def test_without_tokens_only_loopback(
    listen: str, files: tuple[str, ...], refused: bool, tmp_path: Path
) -> None:
    flags = {"logstore.listen": listen} | {
        f"logstore.{name}_token_file": str(tmp_path / name) for name in files
    }
    if not refused:
        assert load(Config, environment={}, flags=flags).value.logstore.listen == listen
        return
    with pytest.raises(ConfigError, match=r"logstore\.listen"):
        load(Config, environment={}, flags=flags)


def test_data_dir_follows_state_dir() -> None:
    loaded = load(Config, environment={}, flags={"host.state_dir": "/srv/w"}).value
    assert loaded.data_dir == Path("/srv/w/logstore")
