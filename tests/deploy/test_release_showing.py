"""How far a command is: for people, for logs, for programs; hostile words do no harm."""

import io
import json

import pytest
from rich.console import Console

from deploy.release import showing
from deploy.release.config import Config, DeployConfig, asker
from deploy.release.progress import Progress
from wharfinger.config import load
from wharfinger.errors import ConfigError

HOSTILE = "bad\x1b[2J\nnews"


def told(progress: Progress) -> None:
    progress.step(f"pushing {HOSTILE}")
    progress.waiting("instances up", 1, 3)
    progress.waiting("instances up", 1, 3)
    progress.waiting("instances up", 2, 3)
    progress.output(HOSTILE)


def test_without_a_terminal_news_are_lines_with_their_time() -> None:
    stream = io.StringIO()
    with showing.Plain(stream) as progress:
        told(progress)
    lines = stream.getvalue().splitlines()
    assert [line[9:] for line in lines] == [
        "pushing bad\\u001b[2J\\nnews",
        "instances up: 1 of 3",
        "instances up: 2 of 3",
        "  bad\\u001b[2J\\nnews",
    ]
    assert all(line[2] == ":" for line in lines)


def test_in_a_terminal_steps_stay_and_what_is_waited_for_is_below() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, highlight=False)
    times = iter([0.0, 1.5, 2.0])
    with showing.Live(console, clock=lambda: next(times, 3.0)) as progress:
        told(progress)
    shown = stream.getvalue()
    assert "1.5 s" in shown
    assert "pushing bad\\u001b[2J\\nnews" in shown
    assert "\x1b[2Jnews" not in shown


def test_programs_read_a_line_for_each_and_the_result_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with showing.Lines() as progress:
        told(progress)
    showing.result({"ok": True}, as_json=True, text="not shown")
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    assert [each["event"] for each in events] == [
        "step", "waiting", "waiting", "output", "result",
    ]  # fmt: skip
    assert events[3]["line"] == "bad\\u001b[2J\\nnews" or events[3]["line"] == HOSTILE
    assert "\x1b" not in out
    assert err == ""


def test_people_read_the_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    showing.result({"ok": True}, as_json=False, text="done")
    assert capsys.readouterr().out == "done\n"


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        (DeployConfig(by="ann"), {"GITLAB_USER_LOGIN": "bob"}, "ann"),
        (DeployConfig(), {"GITLAB_USER_LOGIN": "bob", "SUDO_USER": "cy"}, "bob"),
        (DeployConfig(), {"GITHUB_ACTOR": "dee"}, "dee"),
        (DeployConfig(), {"SUDO_USER": "cy"}, "cy"),
        (DeployConfig(), {"GITHUB_ACTOR": "a\nb" + "c" * 100}, "a\\nb" + "c" * 60),
    ],
)
def test_who_asks(config: DeployConfig, environment: dict[str, str], expected: str) -> None:
    assert asker(config, environment) == expected


def test_who_asks_is_the_user_where_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "eve")
    assert asker(DeployConfig(), {}) == "eve"

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert asker(DeployConfig(), {}) == "unknown"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deploy.lock_wait_seconds", "-1"),
        ("deploy.history", "0"),
        ("deploy.nonsense", "1"),
    ],
)
def test_a_setting_that_cannot_be_is_named(key: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(Config, environment={}, flags={key: value})
    assert refused.value.findings[0].where == key


def test_what_went_wrong_is_told_by_lines_and_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    showing.complain("it exits\nlast words \x1b[2J\r\nbye")
    assert capsys.readouterr().err == "deploy: it exits\nlast words \\u001b[2J\nbye\n"
