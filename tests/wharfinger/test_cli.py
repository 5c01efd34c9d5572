"""The command line of a daemon: verbs, flags, what it prints and how it exits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wharfinger import fakedaemon
from wharfinger import cli
from wharfinger.config import MASK, load
from wharfinger.errors import ConfigError, Exit, Rejected

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WHARFINGER_"):
            monkeypatch.delenv(name)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.run(fakedaemon.command(), arguments)
    code = left.value.code
    assert isinstance(code, int)
    return code


def out(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


class TestConfig:
    def test_prints_every_value_and_its_origin(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "w.toml"
        path.write_text('[registrar]\ntoken = "hunter2"\nurl = "https://me:hunter2@h/p"\n')
        monkeypatch.setenv("WHARFINGER_LOG__LEVEL", "debug")
        assert run("config", "--config", str(path), "--set", "registrar.does=x") == Exit.OK
        assert out(capsys) == [
            'log.level = "debug"  # environment WHARFINGER_LOG__LEVEL',
            'log.format = "logfmt"  # default',
            'registrar.listen = "127.0.0.1:7201"  # default',
            'registrar.does = "x"  # flag registrar.does',
            f"registrar.token = {MASK}  # file {path} line 2",
            f'registrar.url = "https://{MASK}@h/p"  # file {path} line 3',
        ]

    def test_an_unset_secret_is_shown_as_unset(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("config") == Exit.OK
        assert "registrar.token = null  # default" in out(capsys)

    def test_hostile_values_stay_on_their_line(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "w.toml"
        path.write_text('[registrar]\nurl = "x\\n\\u001b[31m\\u202e"\n')
        assert run("config", "--config", str(path)) == Exit.OK
        lines = out(capsys)
        assert len(lines) == 6
        assert all(line.isprintable() for line in lines)

    def test_findings_go_to_stderr_with_78(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "w.toml"
        path.write_text("[registrar]\nlisten = 1\nlsten = 2\n")
        assert run("config", "--config", str(path)) == Exit.CONFIG
        captured = capsys.readouterr()
        assert captured.out == ""
        first, second = captured.err.splitlines()
        assert first.startswith(f"registrar: registrar.lsten (file {path} line 3)")
        assert second.startswith(f"registrar: registrar.listen (file {path} line 2)")

    def test_a_reader_that_has_seen_enough_is_no_failure(self) -> None:
        command = f"{sys.executable} -m tests.wharfinger.fakedaemon config"
        script = f"set -o pipefail; {command} | true"
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert (done.returncode, done.stderr) == (0, "")


class TestCheck:
    def test_nothing_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("check") == Exit.OK
        assert out(capsys) == ["registrar: nothing wrong found (defaults, no file)"]

    def test_every_finding_of_the_surroundings(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("check", "--set", "registrar.does=unreachable") == Exit.CONFIG
        assert out(capsys) == ["registrar.url: does not answer", "docker: neither"]

    def test_offline_nobody_is_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("check", "--offline", "--set", "registrar.does=unreachable") == Exit.OK
        assert run("check", "--offline", "--set", "registrar.does=broken") == Exit.CONFIG
        assert run("check", "--offline", "--set", "registrar.does=bad") == Exit.CONFIG
        told = out(capsys)
        assert told[0] == "registrar: nothing wrong found (defaults, no file)"
        assert told[1] == "template: is broken"
        assert "registrar.does" in told[2]

    def test_what_is_seen_of_others_is_a_warning(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("check", "--set", "registrar.does=end") == Exit.OK
        assert out(capsys)[0] == "warning: registrar.url: ends soon"
        assert run("check", "--json", "--set", "registrar.does=end") == Exit.OK
        assert '"remarks":[{"where":"registrar.url"' in out(capsys)[0]
        assert run("check", "--offline", "--set", "registrar.does=end") == Exit.OK
        assert "warning" not in out(capsys)[0]

    def test_every_finding_of_the_file(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "w.toml"
        path.write_text('[registrar]\nlisten = 1\n[log]\nlevel = "loud"\n')
        assert run("--config", str(path), "check") == Exit.CONFIG
        assert len(out(capsys)) == 2


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [["--nonsense"], ["nonsense"], ["run", "--nonsense"], ["--config"], ["check", "--once"],
         ["--conf", "x"], ["--set"], ["run", "extra"]],
    )  # fmt: skip
    def test_usage_is_64(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        assert run(*arguments) == Exit.USAGE
        assert "usage: registrar" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
    def test_help_and_version_are_0(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        assert run(*arguments) == Exit.OK
        assert "registrar" in capsys.readouterr().out

    def test_settings_before_and_behind_the_verb_both_count(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--set", "log.level=debug", "config", "--set", "log.format=json"]
        assert run(*arguments) == Exit.OK
        lines = out(capsys)
        assert lines[0] == 'log.level = "debug"  # flag log.level'
        assert lines[1] == 'log.format = "json"  # flag log.format'

    def test_the_later_setting_wins(self, capsys: pytest.CaptureFixture[str]) -> None:
        run("--set", "log.level=debug", "config", "--set", "log.level=error")
        assert out(capsys)[0] == 'log.level = "error"  # flag log.level'

    @pytest.mark.parametrize("arguments", [["--once"], ["run", "--once"], ["--once", "run"]])
    def test_flags_of_run_work_on_either_side_of_the_verb(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        # An address that is nobody's: were --once lost, a daemon would not start and run for ever.
        assert run("--set", "registrar.listen=192.0.2.1:1", *arguments) == Exit.OK
        assert out(capsys) == ["once "]

    @pytest.mark.parametrize(
        "arguments",
        [["--does", "bad", "check"], ["check", "--does", "bad"], ["config", "--does=bad"],
         ["--does", "bad"], ["run", "--does", "bad"]],
    )  # fmt: skip
    def test_a_flag_that_is_short_for_a_setting_counts_for_every_verb(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        assert run(*arguments) == Exit.CONFIG
        captured = capsys.readouterr()
        assert "registrar.does (flag registrar.does): is bad" in captured.out + captured.err

    @pytest.mark.parametrize("later", ["set", "flagged"])
    def test_of_a_flag_and_a_setting_the_later_wins(
        self, capsys: pytest.CaptureFixture[str], later: str
    ) -> None:
        given = {"set": ("--set", "registrar.does=set"), "flagged": ("--does", "flagged")}
        first = ("--does", "x") if later == "set" else ("--set", "registrar.does=x")
        assert run("--once", *first, *given[later]) == Exit.OK
        assert out(capsys) == [f"once {later}"]

    @pytest.mark.parametrize("setting", ["x", "", "x" * 10_000])
    def test_a_setting_without_a_value(
        self, capsys: pytest.CaptureFixture[str], setting: str
    ) -> None:
        assert run("--set", setting) == Exit.CONFIG
        told = capsys.readouterr().err
        assert "is not KEY=VALUE" in told
        assert len(told) < 300


class TestExit:
    def test_rejected_and_interrupted(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("--once", "--set", "registrar.does=reject") == Rejected.exit_code
        assert capsys.readouterr().err.splitlines()[-1] == "registrar: no"

    def test_ctrl_c_in_a_single_run_is_0(self) -> None:
        command = [sys.executable, "-m", "tests.wharfinger.fakedaemon", "--once"]
        done = subprocess.run(
            [*command, "--set", "registrar.does=interrupt"],
            capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_closed_stderr_does_not_change_the_code(self) -> None:
        command = [sys.executable, "-m", "tests.wharfinger.fakedaemon", "--set", "x"]
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command, stderr=writer, check=False, cwd=ROOT)
        os.close(writer)
        assert done.returncode == Exit.CONFIG


def test_reread_refuses_what_needs_a_restart_and_names_where_it_stands(tmp_path: Path) -> None:
    command = fakedaemon.command()
    path = tmp_path / "w.toml"
    path.write_text('[registrar]\nlisten = "127.0.0.1:9"\n')
    parsed = cli.parser_of(command).parse_args(["--config", str(path)])
    running = load(command.model, environment={}).value
    with pytest.raises(ConfigError) as refused:
        cli.reread(command, parsed, running)
    assert str(refused.value) == (
        f"registrar.listen (file {path} line 2): cannot change in a running daemon; "
        "restart the daemon to apply it"
    )
    path.write_text('[registrar]\ndoes = "more"\n')
    assert cli.reread(command, parsed, running).registrar.does == "more"
