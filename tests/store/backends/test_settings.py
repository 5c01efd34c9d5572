"""The settings of another back end, and what `check` says of it."""

from pathlib import Path

import pytest

from logshipper.store import cli
from logshipper.store.config import Config
from tests.stack.strict_search import StrictSearch
from tests.stack.victorialogs import VictoriaLogs
from tests.store.backends.conftest import saying
from wharfinger.config import load
from wharfinger.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('type = "elastic"', "is no address"),
        ('type = "elastic"\nurl = "ftp://x"', "is no address"),
        ('type = "elastic"\nurl = "http://me:pw@x"', "holds a secret"),
        ('url = "http://x"', "is embedded"),
        ('type = "loki"\nurl = "http://x"', "type"),
        ('type = "elastic"\nurl = "http://x"\nindex = "../_all"', "'../_all' is none"),
        ('type = "elastic"\nurl = "http://x"\ntenants = { a = "b/c" }', "'b/c' is none"),
        ('type = "victorialogs"\nurl = "http://x"\ntenants = { a = "b" }', 'write "12:34"'),
        ('type = "elastic"\nurl = "http://x"\ntenants = { "../a" = "b" }', "is no tenant"),
        ('type = "elastic"\nurl = "http://x"\nuser = "me"', "need each other"),
        (
            'type = "elastic"\nurl = "http://x"\ntoken_file = "/a"\napi_key_file = "/b"',
            "stands beside",
        ),
        ('type = "elastic"\nurl = "http://x"\nword_fields = ["a b"]', "is no field"),
        (
            'type = "elastic"\nurl = "http://x"\nrequest_timeout_seconds = 0',
            "request_timeout_seconds",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "w.toml"
    file.write_text(f"[logstore.backend]\n{text}\n")
    with pytest.raises(ConfigError) as raised:
        load(Config, path=file, environment={})
    assert says in str(raised.value)


async def findings(tmp_path: Path, kind: str, url: str, more: str = "") -> list[str]:
    file = tmp_path / "w.toml"
    state = f'[host]\nstate_dir = "{tmp_path}"\n'
    file.write_text(f'{state}[logstore.backend]\ntype = "{kind}"\nurl = "{url}"\n{more}')
    return [
        str(found) for found in await cli.findings(load(Config, path=file, environment={}).value)
    ]


async def test_check_asks_the_engine(tmp_path: Path, elastic: StrictSearch) -> None:
    assert await findings(tmp_path, "elastic", elastic.url) == []
    elastic.mapping["app"] = "text"
    [told] = await findings(tmp_path, "elastic", elastic.url)
    assert "app is no keyword" in told
    [told] = await findings(tmp_path, "elastic", elastic.url, 'index = "nothing-*"\n')
    assert "holds nothing yet" in told
    [told] = await findings(tmp_path, "elastic", "http://127.0.0.1:1")
    assert "cannot be reached" in told
    [told] = await findings(tmp_path, "elastic", elastic.url, f'token_file = "{tmp_path}/none"\n')
    assert "No such file" in told


async def test_check_asks_victorialogs(tmp_path: Path, victorialogs: VictoriaLogs) -> None:
    assert await findings(tmp_path, "victorialogs", victorialogs.url) == []
    bare = '{"_time":"2025-11-20T10:00:00Z","_msg":"missing _msg field; see https://docs.victoriametrics.com/victorialogs/keyconcepts/#message-field","message":"x"}'
    health = saying(200, "")
    victorialogs.moods += [health, saying(200, bare)]
    told = await findings(tmp_path, "victorialogs", victorialogs.url)
    assert ["have no message" in told[0], "have no app" in told[1]] == [True, True]
