"""The section as a user writes it."""

from pathlib import Path

import pytest

from logshipper.config import Config
from logshipper.linesettings import LineSettings
from logshipper.sinkconfig import BulkConfig
from wharfinger.config import load
from wharfinger.errors import ConfigError


def loaded(folder: Path, text: str) -> Config:
    path = folder / "wharfinger.toml"
    path.write_text(text)
    return load(Config, path=path, environment={}).value


def test_without_a_file_logs_go_to_the_store_on_this_host() -> None:
    config = Config().logshipper
    assert config.listen == "127.0.0.1:7203"
    assert config.sinks == (BulkConfig(url="http://127.0.0.1:7280"),)


def test_a_sink_is_written_as_the_design_shows(tmp_path: Path) -> None:
    text = '[[logshipper.sinks]]\ntype = "bulk"\nurl = "https://logs.example:9200"\n'
    [sink] = loaded(tmp_path, text).logshipper.sinks
    assert isinstance(sink, BulkConfig)
    assert sink.url == "https://logs.example:9200"
    assert sink.compression == "gzip"


def test_several_sinks_have_names(tmp_path: Path) -> None:
    text = '[[logshipper.sinks]]\nname = "a"\n[[logshipper.sinks]]\nname = "b"\n'
    assert [sink.name for sink in loaded(tmp_path, text).logshipper.sinks] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[[logshipper.sinks]]\nurl = "logs:9200"\n', "url"),
        ('[[logshipper.sinks]]\nurl = "http://"\n', "url"),
        ('[[logshipper.sinks]]\nurl = "http://h:99999"\n', "url"),
        ('[[logshipper.sinks]]\nurl = "http://logs..example"\n', "url"),
        (f'[[logshipper.sinks]]\nurl = "http://{"x" * 64}.example"\n', "url"),
        ('[[logshipper.sinks]]\nurl = "http://lo\\u0000gs"\n', "url"),
        ('[[logshipper.sinks]]\nurl = "http://user:hunter2@h"\n', "url"),
        ('[[logshipper.sinks]]\nname = "../x"\n', "name"),
        ('[[logshipper.sinks]]\ntype = "carrier-pigeon"\n', "type"),
        ("[[logshipper.sinks]]\nbatch_bytes = 0\n", "batch_bytes"),
        ('[[logshipper.sinks]]\nurl = "http://h/?a=b"\n', "url"),
        ('[[logshipper.sinks]]\ntoken_file = "t"\napi_key_file = "k"\n', "api_key_file"),
        ('[[logshipper.sinks]]\nuser = "u"\n', "user"),
        ('[[logshipper.sinks]]\ncert_file = "c"\n', "cert_file"),
        ('[[logshipper.sinks]]\nheaders = { Authorization = "x" }\n', "headers"),
        ('[[logshipper.sinks]]\nindex = "Logs"\n', "index"),
        ('[[logshipper.sinks]]\nindex = "logs-%H"\n', "index"),
        ('[[logshipper.sinks]]\nserver = "quickwit"\n', "index"),
        ('[[logshipper.sinks]]\ntype = "loki"\nstream_labels = ["app"]\n', "stream_labels"),
        ('[[logshipper.sinks]]\ntype = "loki"\nstream_labels = ["container"]\n', "labels"),
        ('[[logshipper.sinks]]\ntype = "sls"\n', "access_key_file"),
        ('[[logshipper.sinks]]\ntype = "syslog"\naddress = "h"\n', "address"),
        ('[[logshipper.sinks]]\ntype = "syslog"\naddress = "h:99999"\n', "address"),
        ('[[logshipper.sinks]]\ntype = "syslog"\naddress = "logs..example:514"\n', "address"),
        ('[[logshipper.sinks]]\ntype = "kafka"\nservers = ["k..1:9092"]\n', "servers"),
        ('[[logshipper.sinks]]\ntype = "syslog"\nstructured_data_id = "a]b"\n', "data_id"),
        ('[[logshipper.sinks]]\ntype = "file"\nrequests = 2\n', "requests"),
        ('[[logshipper.sinks]]\ntype = "kafka"\nservers = []\n', "servers"),
        ('[[logshipper.sinks]]\ntype = "kafka"\ntopic = "a b"\n', "topic"),
        ("[[logshipper.sinks]]\n[[logshipper.sinks]]\n", "sinks"),
        ("[logshipper]\nsinks = []\n", "sinks"),
        ("[logshipper]\nmax_message_bytes = 10\n", "max_message_bytes"),
        ("[logshipper]\npoll_second = 10\n", "poll_second"),
        ('[logshipper.lines]\nparse = "yaml"\n', "parse"),
        ('[logshipper.lines]\nparse = "delimiter"\n', "parse"),
        ('[logshipper.lines]\nmultiline = "("\n', "multiline"),
        ('[logshipper.lines]\ntime = "auto"\nzone = "Mars"\n', "time"),
        ('[logshipper.lines]\nredact = ["iban"]\n', "redact"),
        ('[logshipper.lines]\nredact_patterns = ["a*"]\n', "redact_patterns"),
        ('[logshipper.lines]\nexclude = ["(?=x)"]\n', "exclude"),
        ("[logshipper.lines]\nsample = 2.0\n", "sample"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    assert any(where in finding.where for finding in raised.value.findings)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("bulk", 'index = "logs-%Y.%m.%d"'),
        ("bulk", 'index = "logs"\nserver = "quickwit"'),
        ("loki", ""),
        ("otlp", ""),
        ("jsonline", 'parameters = { _msg_field = "message" }'),
        ("sls", 'access_key_file = "key"'),
        ("syslog", 'address = "[::1]:6514"\ntransport = "tls"\nca_file = "ca"'),
        ("file", ""),
        ("stdout", ""),
        ("kafka", 'servers = ["k1:9092", "k2:9092"]'),
    ],
)
def test_each_type_is_there(tmp_path: Path, kind: str, more: str) -> None:
    [sink] = loaded(tmp_path, f'[[logshipper.sinks]]\ntype = "{kind}"\n{more}\n').logshipper.sinks
    assert sink.type == kind


def test_a_key_of_another_type_says_whose_it_is(tmp_path: Path) -> None:
    text = '[[logshipper.sinks]]\ntype = "file"\nurl = "http://h"\nstream_labels = []\n'
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    told = [f"{finding.where}: {finding.problem}" for finding in raised.value.findings]
    assert told == [
        "logshipper.sinks[0].url: is a key of type bulk, loki, otlp, jsonline, sls, not of file",
        "logshipper.sinks[0].stream_labels: is a key of type loki, not of file",
    ]
    assert "path" in raised.value.findings[0].fix


def test_a_mistyped_key_is_still_guessed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, '[[logshipper.sinks]]\ntype = "file"\npaths = "/x"\n')
    assert "did you mean path?" in str(raised.value)


def test_what_is_done_to_lines(tmp_path: Path) -> None:
    text = """
[logshipper.lines]
multiline = "java"
parse = '^(?P<who>\\w+) '
redact = ["card", "jwt"]
rate = 1000.0
labels = ["com.example.*"]
"""
    lines = loaded(tmp_path, text).logshipper.lines
    assert lines.settings() == LineSettings(
        multiline="java", parse=r"^(?P<who>\w+) ", redact=("card", "jwt"), rate=1000.0
    )
    assert Config().logshipper.lines.settings() == LineSettings()
