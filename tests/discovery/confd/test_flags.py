"""confd's command line and confd.toml, as confd takes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.confd.flags import SYSTEM_AUTHORITIES, translated
from wharfinger.errors import Rejected


def ours(
    *arguments: str,
    files: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    held = files or {}
    return translated(
        arguments,
        environment or {},
        read=lambda path: held.get(str(path)),
        password_file=lambda password: f"/file/of/{password}",
    )


def settings(line: Sequence[str]) -> dict[str, str]:
    pairs = (word.removeprefix("--set=") for word in line if word.startswith("--set="))
    return dict(pair.split("=", 1) for pair in pairs)


def test_a_command_line_of_our_own_stays_as_it_is() -> None:
    line = ["run", "--config", "x.toml", "--set", "etcd.prefix=/a", "--once"]
    assert ours(*line) == line
    assert ours("check", "--json") == ["check", "--json"]
    assert ours("run", "--confdir", "/d") == ["run", "--confdir", "/d"]


@pytest.mark.parametrize("dash", ["-", "--"])
def test_one_dash_and_two_mean_the_same(dash: str) -> None:
    line = ours("run", f"{dash}onetime", f"{dash}confdir", "/etc/confd", f"{dash}node=http://a:1")
    assert line == ["run", "--confdir", "/etc/confd", "--set=etcd.endpoints=a:1", "--once"]


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        ("-interval 5", "discovery.interval_seconds", "5"),
        ("-interval=60", "discovery.interval_seconds", "60"),
        ("-prefix /production", "discovery.prefix", "/production"),
        ("-node http://a:2379 -node http://b:2379", "etcd.endpoints", "a:2379,b:2379"),
        ("-node a:2379,b:2379/", "etcd.endpoints", "a:2379,b:2379"),
        ("-node https://[::1]:2379", "etcd.endpoints", "[::1]:2379"),
        ("-node https://a:1", "etcd.ca_file", SYSTEM_AUTHORITIES),
        ("-node a:1 -scheme https", "etcd.ca_file", SYSTEM_AUTHORITIES),
        ("-node https://a:1 -client-ca-keys /ca", "etcd.ca_file", "/ca"),
        ("-client-cert /c -client-key /k", "etcd.cert_file", "/c"),
        ("-client-cert /c -client-key /k", "etcd.key_file", "/k"),
        ("-username u -password p", "etcd.username", "u"),
        ("-username u -password p", "etcd.password_file", "/file/of/p"),
        ("-username u -password-file /p", "etcd.password_file", "/p"),
        ("-sync-only", "discovery.sync_only", "true"),
        ("-sync-only=false", "discovery.sync_only", "false"),
        ("-keep-stage-file", "discovery.keep_stage_file", "true"),
        ("-log-level warn", "log.level", "warning"),
        ("-log-level panic", "log.level", "error"),
        ("--log-format json", "log.format", "json"),
        ("--log-format text", "log.format", "logfmt"),
        ("--debounce 2s", "discovery.settle_seconds", "2"),
        ("--debounce 500ms", "discovery.settle_max_seconds", "2"),
        ("--batch-interval 1m", "discovery.min_reload_interval_seconds", "60"),
    ],
)
def test_a_flag_becomes_a_setting(flags: str, key: str, value: str) -> None:
    assert settings(ours("run", *flags.split()))[key] == value


def test_what_needs_no_setting_is_taken() -> None:
    assert ours("run", "-watch", "-backend", "etcdv3", "-basic-auth") == ["run"]
    assert ours("-noop") == ["--dry-run"]
    assert ours("run", "--noop", "--diff") == ["run", "--dry-run"]
    assert ours("-noop=false", "-onetime=0", "-client-insecure=false") == []


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ("-backend consul", "only etcd v3 is read"),
        ("-backend etcd", "v2 API"),
        ("-table t", "DynamoDB"),
        ("-srv-domain example.com", "write -node"),
        ("-client-insecure", "client-ca-keys"),
        ("-node", "needs a value"),
        ("-node ftp://a:1", "neither"),
        ("-node http://a:1 -node https://b:1", "side by side"),
        ("-interval soon", "no number"),
        ("-log-level loud", "is none of"),
        ("--debounce soon", "is no time"),
        ("--log-format xml", "is none of"),
        ("-watch=perhaps", "neither true nor false"),
        ("-sync-only=perhaps", "neither true nor false"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(flags: str, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        ours("run", *flags.split())


FILE = """
backend = "etcdv3"
confdir = "/etc/confd"
interval = 10
nodes = ["http://a:2379", "http://b:2379"]
prefix = "/production"
watch = true
client_cakeys = ""
unheard_of = 1
"""


def test_confds_own_file_stands_below_its_flags() -> None:
    files = {"/etc/confd/confd.toml": FILE}
    found = settings(ours("run", "-confdir", "/etc/confd", "-prefix", "/test", files=files))
    assert "--confdir" not in ours("run", "-config-file", "/x", files={"/x": "interval = 7"})
    assert found == {
        "discovery.prefix": "/test",
        "discovery.interval_seconds": "10",
        "etcd.endpoints": "a:2379,b:2379",
    }
    named = ours("run", "-config-file", "/x.toml", files={"/x.toml": "interval = 7"})
    assert settings(named) == {"discovery.interval_seconds": "7"}
    assert ours("run", "-config-file", "/none.toml") == ["run"]


def test_the_folder_that_confds_file_names_is_read() -> None:
    files = {"/x.toml": 'confdir = "/srv/confd"'}
    assert ours("run", "-config-file", "/x.toml", files=files) == ["run", "--confdir", "/srv/confd"]
    line = ours("run", "-config-file", "/x.toml", "-confdir", "/own", files=files)
    assert line == ["run", "--confdir", "/own"]


def test_the_forks_line_is_taken_as_well() -> None:
    line = ours("run", "--confdir", "/c", "--watch", "etcd", "--node", "http://a:1")
    assert line == ["run", "--confdir", "/c", "--set=etcd.endpoints=a:1"]
    assert ours("run", "--config", "etcd", "-watch") == ["run", "--config", "etcd"]
    line = ours("run", "--confdir", "/c", "--validate", "--mock-data", "/m.json")
    assert line == ["check", "--confdir", "/c", "--data", "/m.json"]
    for flag in ("--check-config", "--preflight"):
        assert ours(flag, "--confdir", "/c") == ["check", "--confdir", "/c"]
    line = ours("run", "--noop", "--diff", "--mock-data", "/m.json")
    assert line == ["run", "--dry-run", "--data", "/m.json"]


def test_confds_environment_stands_between_file_and_flags() -> None:
    files = {"/c/confd.toml": 'client_cakeys = "/file"\nclient_cert = "/cert"\nclient_key = "/k"'}
    environment = {"CONFD_CLIENT_CAKEYS": "/environment", "CONFD_CLIENT_CERT": "/environment"}
    line = ours("-confdir=/c", "-client-cert=/flag", files=files, environment=environment)
    found = settings(line)
    assert found["etcd.ca_file"] == "/environment"
    assert found["etcd.cert_file"] == "/flag"
    assert found["etcd.key_file"] == "/k"


def test_a_broken_file_is_named() -> None:
    with pytest.raises(Rejected, match=r"/c/confd\.toml is not TOML"):
        ours("-confdir=/c", files={"/c/confd.toml": "= 1"})
    with pytest.raises(Rejected, match="Vault"):
        ours("-confdir=/c", files={str(Path("/c/confd.toml")): 'path = "x"'})


WORDS = (
    "-node --watch= -interval=-1 -prefix -noop - -- -backend=etcdv3 run -confdir /c -password=x ="
)


@given(st.lists(st.sampled_from(WORDS.split()) | st.text(max_size=6), max_size=8))
def test_any_line_is_translated_or_refused(arguments: list[str]) -> None:
    try:
        line = ours(*arguments)
    except Rejected:
        return
    # What is left is ours, and is left alone a second time.
    assert ours(*line) == line or "/c" in line
    assert all(isinstance(word, str) for word in line)
