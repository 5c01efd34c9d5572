"""Tokens: who may, as which tenant, under which name."""

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.access import tokens
from logshipper.store.config import Config
from wharfinger.config import load
from wharfinger.errors import ConfigError

FILE = f"""
# comment
first-token
second-token  team-a
sha256:{sha256(b"hashed-token").hexdigest()} team-b grafana
named-token-1 name=ops@example.com
named-token-2 team-c name=alice
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
    known, findings = tokens.parse(FILE, "f")
    assert not findings
    found = known.find(tokens.digests(header))
    assert (found and found.tenant) == tenant


def test_names_stand_for_tokens_and_tell_nothing_of_them() -> None:
    known, _ = tokens.parse(FILE, "f")
    shown = [token.shown for token in known.known]
    digest = sha256(b"first-token").hexdigest()
    assert shown[0] == f"sha256:{digest[:8]}"
    assert shown[2:] == ["grafana", "ops@example.com", "alice"]
    assert known.tenants == {"default", "team-a", "team-b", "team-c"}
    assert [token.tenant for token in known.known][3:] == ["default", "team-c"]


def test_no_file_no_tokens() -> None:
    assert not tokens.load(None, "f").known


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "without a token"),
        ("# nothing\n", "without a token"),
        ("short", "no token"),
        ("sha256:12", "no token"),
        ("long-enough-token ../../etc", "no possible tenant"),
        ("long-enough-token a b c", "TOKEN TENANT NAME"),
        ("long-enough-token a b name=c", "TOKEN TENANT NAME"),
        ("long-enough-token name=c name=d", "TOKEN TENANT NAME"),
        ("long-enough-token a b/c", "no possible name"),
        ("long-enough-token name=", "no possible name"),
        (f"long-enough-token a {'n' * 65}", "no possible name"),
    ],
)
def test_bad_files_are_refused_without_telling_the_token(text: str, problem: str) -> None:
    _, findings = tokens.parse(text, "logstore.read_token_file")
    assert [problem in str(finding) for finding in findings] == [True]
    assert "long-enough" not in str(findings)


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        tokens.load(tmp_path / "missing", "logstore.read_token_file")


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


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        (
            {
                "listen": "0.0.0.0:7280",
                "cert_file": "/c",
                "key_file": "/k",
                "client_ca_file": "/a",
            },
            "",
        ),
        ({"client_ca_file": "/a"}, "client_ca_file"),
        ({"cert_file": "/c"}, "cert_file"),
        ({"key_file": "/k"}, "cert_file"),
        ({"user_header": "X-Forwarded-User"}, "user_header"),
        ({"user_header": "X-Forwarded-User", "trusted_proxies": "0.0.0.0/0"}, "trusted_proxies"),
        ({"user_header": "X-Forwarded-User", "trusted_proxies": "10.0.0.1/8"}, "trusted_proxies"),
        ({"user_header": "X Y", "trusted_proxies": "10.0.0.0/8"}, "user_header"),
        ({"user_tenant": "../x"}, "user_tenant"),
        ({"user_tenants": '{"a": ".."}'}, "user_tenants"),
        ({"user_tenants": '{"a": 1}'}, "user_tenants"),
        ({"read_requests_per_second": "0"}, "read_requests_per_second"),
        ({"user_header": "X-User", "trusted_proxies": "10.0.0.5,fd00::/8", "user_tenant": ""}, ""),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, str], refused: str) -> None:
    flags = {f"logstore.{name}": value for name, value in settings.items()}
    if not refused:
        load(Config, environment={}, flags=flags)
        return
    with pytest.raises(ConfigError, match=rf"logstore\.{refused}"):
        load(Config, environment={}, flags=flags)


def test_users_of_a_proxy_are_enough_to_read_from_elsewhere() -> None:
    flags = {
        "logstore.listen": "0.0.0.0:7280",
        "logstore.ingest_token_file": "/t",
        "logstore.user_header": "X-Forwarded-User",
        "logstore.trusted_proxies": "10.0.0.5/32",
    }
    load(Config, environment={}, flags=flags)
    del flags["logstore.ingest_token_file"]
    with pytest.raises(ConfigError, match="ingest_token_file"):
        load(Config, environment={}, flags=flags)


def test_data_dir_follows_state_dir() -> None:
    loaded = load(Config, environment={}, flags={"host.state_dir": "/srv/w"}).value
    assert loaded.data_dir == Path("/srv/w/logstore")


@given(st.text(), st.sampled_from(["", "Bearer ", "Basic ", "ApiKey ", "bearer", "BASIC\t"]))
def test_no_header_is_too_odd(text: str, scheme: str) -> None:
    known, _ = tokens.parse(FILE, "f")
    found = known.find(tokens.digests(f"{scheme}{text}"))
    assert found is None or "token" in text


@given(st.text())
def test_a_file_of_anything_is_read_or_refused_line_by_line(text: str) -> None:
    known, findings = tokens.parse(text, "f")
    assert known.known or findings
    lines = [line.split() for line in text.splitlines()]
    assert len(known.known) + len(findings) >= sum(
        1 for words in lines if words and not words[0].startswith("#")
    )
