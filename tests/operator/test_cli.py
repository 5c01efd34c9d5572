"""The operator's command line: verbs, flags, exit codes."""

import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from wharfinger.errors import Exit
from wharfinger.operator.cli import main
from wharfinger.operator.parts.process import free_port

PROGRAM = Path(sys.executable).parent / "wharfinger"


def code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize(
    "arguments",
    [(), ("sail",), ("status", "registrat"), ("logs", "--limit", "-1"), ("logs", "--limit", "x")],
)
def test_wrong_use(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert code(*arguments) == Exit.USAGE
    assert "wharfinger" in capsys.readouterr().err


def test_out_of_reach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, port = tmp_path / "w.toml", free_port()
    address = f'"127.0.0.1:{port}"'
    config.write_text(f"[etcd]\nendpoints = [{address}]\n[logstore]\nlisten = {address}\n")
    for verb in (("services",), ("logs",), ("logs", "-f"), ("status", "logstore")):
        assert code(*verb, "--config", str(config)) == Exit.UNAVAILABLE
        shown = capsys.readouterr()
        assert str(port) in shown.out + shown.err


def test_the_configuration_is_named_before_the_verb_or_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, other = tmp_path / "w.toml", tmp_path / "other.toml"
    config.write_text("[logstore]\nlisten = 3\n")
    for arguments in (
        ("--config", str(config), "logs"),
        ("--config", str(other), "logs", "--config", str(config)),
    ):
        assert code(*arguments) == Exit.CONFIG
        assert "w.toml line" in capsys.readouterr().err
    assert code("--config", str(config), "config", "--sample") == Exit.USAGE
    assert "config reads no configuration" in capsys.readouterr().err


def test_a_bad_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "w.toml"
    config.write_text("[etcd]\nendpoint = 3\n[logstore]\nlisten = 3\n")
    for verb in ("services", "logs"):
        assert code(verb, "--config", str(config)) == Exit.CONFIG
        assert "w.toml line" in capsys.readouterr().err


def test_what_was_typed_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("services", "\x1b[2J") == Exit.USAGE
    assert "\\u001b[2J" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "ends_with"),
    [
        (("drain", "shop-1"), Exit.TRY_LATER),  # what follows it, `&& docker rm`, must not be done
        (("import", "services", "--env", "prod"), Exit.TRY_LATER),
        (("logs", "-f"), Exit.OK),
    ],
)
def test_interrupted(tmp_path: Path, arguments: tuple[str, ...], ends_with: Exit) -> None:
    # Sockets need short paths.
    with tempfile.TemporaryDirectory(prefix="wf-", dir="/tmp") as folder, ExitStack() as stack:
        control = stack.enter_context(socket.socket(socket.AF_UNIX))
        control.bind(f"{folder}/registrar.sock")
        others = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        control.listen()
        address = f'"127.0.0.1:{others.getsockname()[1]}"'
        config = tmp_path / "w.toml"
        config.write_text(
            f'[host]\nruntime_dir = "{folder}"\n[etcd]\nendpoints = [{address}]\n'
            f"[logstore]\nlisten = {address}\n"
        )
        with subprocess.Popen(
            [PROGRAM, *arguments, "--config", config], stderr=subprocess.PIPE, text=True
        ) as process:
            select.select([control, others], [], [], 30)  # it asks, and waits for the answer
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=30)
    assert process.returncode == ends_with, complaint
    assert ("interrupted" in complaint) == (ends_with is not Exit.OK)
    assert "Traceback" not in complaint


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = f"{PROGRAM} config --sample | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (Exit.OK, "")
