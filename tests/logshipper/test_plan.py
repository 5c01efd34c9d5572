"""What `logshipper plan` says of containers; the daemon decides by the same function."""

import json

import pytest

from logshipper.config import Config, LogshipperConfig
from logshipper.linesconfig import LinesConfig
from logshipper.plancommand import _show
from logshipper.planning import decide, planned
from logshipper.sinkconfig import BulkConfig
from wharfinger.container import Container

ID = "ab" * 32
CONFIG = Config(logshipper=LogshipperConfig(lines=LinesConfig(level="auto")))


def plan(**labels: str) -> dict[str, object]:
    named = {name.replace("_", "."): text for name, text in labels.items()}
    container = Container(ID, name="web", labels=named, log_driver="json-file", log_path="/x.log")
    return planned(container, decide(CONFIG, container))


def test_a_container_that_is_shipped() -> None:
    told = plan(wharfinger_logs_multiline="java", wharfinger_app="shop", wharfinger_env="prod")
    assert told["ship"] is True
    assert told["sinks"] == ["main"]
    assert told["path"] == "/x.log"
    assert told["lines"] == {"multiline": "java", "level": "auto"}
    assert json.loads(json.dumps(told)) == told


def test_one_that_is_not_and_one_with_a_wrong_label_say_why() -> None:
    assert plan(wharfinger_logs="off")["ship"] is False
    assert "wharfinger.logs=off" in str(plan(wharfinger_logs="off")["why"])
    told = plan(wharfinger_logs_parse="yaml")
    assert told["ship"] is True
    assert "wharfinger.logs.parse" in str(told["why"])


def test_hostile_text_cannot_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _show([plan(wharfinger_logs_exclude="\x1b]0;x\x07[red]" + "a" * 500), plan()])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]" in shown
    assert "a" * 100 not in shown
    assert len(shown.splitlines()) >= 3


def test_a_sink_that_leaves_it_out_says_why_beside_one_that_takes_it() -> None:
    sinks = (BulkConfig(name="all"), BulkConfig(name="pay", apps=("pay-*",)))
    config = Config(logshipper=LogshipperConfig(sinks=sinks))
    container = Container(ID, labels={"wharfinger.app": "shop", "wharfinger.env": "prod"})
    told = planned(container, decide(config, container))
    assert told["sinks"] == ["all"]
    assert "sink pay" in told["why"]
