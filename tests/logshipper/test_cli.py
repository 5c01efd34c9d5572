"""The command: what `check` finds, and what a bad file costs."""

import subprocess
import sys
from pathlib import Path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "logshipper", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_check_names_all_that_cannot_be_reached(tmp_path: Path) -> None:
    config = tmp_path / "wharfinger.toml"
    config.write_text(
        f'[docker]\nurl = "unix://{tmp_path}/none.sock"\n'
        '[[logshipper.sinks]]\nname = "dead"\nurl = "http://127.0.0.1:1"\n'
        f'[[logshipper.sinks]]\nname = "closed"\ntoken_file = "{tmp_path}/none"\n'
        f'[[logshipper.sinks]]\nname = "loki"\ntype = "loki"\nurl = "http://127.0.0.1:1"\n'
        f'ca_file = "{config}"\n'
        '[[logshipper.sinks]]\nname = "log"\ntype = "syslog"\naddress = "127.0.0.1:1"\n'
        '[[logshipper.sinks]]\nname = "queue"\ntype = "kafka"\nservers = ["127.0.0.1:1"]\n'
        f'[[logshipper.sinks]]\nname = "fine"\ntype = "file"\npath = "{tmp_path}/out"\n'
    )
    done = run("check", "--config", str(config))
    assert done.returncode == 78
    assert "docker.url" in done.stdout
    assert "logshipper.sinks.dead" in done.stdout
    assert "logshipper.sinks.closed.token_file" in done.stdout
    assert "logshipper.sinks.loki.ca_file" in done.stdout
    for name in ("log", "queue"):
        assert f"logshipper.sinks.{name}" in done.stdout
    assert "logshipper.sinks.fine" not in done.stdout


def test_a_wrong_key_is_named_and_nothing_starts(tmp_path: Path) -> None:
    config = tmp_path / "wharfinger.toml"
    config.write_text("[logshipper]\npoll_second = 1\n")
    done = run("--config", str(config))
    assert done.returncode == 78
    assert "poll_seconds" in done.stderr


def test_a_plan_without_docker_says_so(tmp_path: Path) -> None:
    done = run("plan", "--json", "--set", f"docker.url=unix://{tmp_path}/none.sock")
    assert done.returncode == 69
    assert "none.sock" in done.stderr
