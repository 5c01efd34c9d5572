"""Commands: words, placeholders, ends; and what a resource file may say of them."""

import errno
import os
from pathlib import Path

import pytest

from discovery.commandline import command_problems
from discovery.publish import commands
from wharfinger.operator.parts.process import until

SRC, DEST = Path("/tmp/a b;c/.x.staged"), Path("/etc/x")


def words(command: str) -> list[str]:
    return commands.words_of(command, src=SRC, dest=DEST)


def test_a_path_stays_in_its_word() -> None:
    assert words("nginx -t -c {{.src}}") == ["nginx", "-t", "-c", str(SRC)]
    assert words("nginx -t -c {{ .src }}") == ["nginx", "-t", "-c", str(SRC)]
    assert words("x --f={{src}} '{{ dest }}'") == ["x", f"--f={SRC}", "/etc/x"]
    assert words("x") == ["x"]


def test_a_path_is_quoted_for_a_shell() -> None:
    assert words("sh -c 'test -s {{.src}}'") == ["sh", "-c", f"test -s '{SRC}'"]
    assert words("/bin/bash -c 'cat {{.dest}}'") == ["/bin/bash", "-c", "cat /etc/x"]


def test_whether_a_command_looks_at_the_staged_file() -> None:
    assert commands.names_source("x {{.src}}")
    assert commands.names_source("x {{ src }}")
    assert not commands.names_source("nginx -t")
    assert not commands.names_source("x {{.dest}}")


@pytest.mark.parametrize(
    "command", ["a | b", "a && b", "a; b", "a > b", "a & ", "(a)", "a 2>&1", "'"]
)
def test_shell_syntax_is_named(command: str) -> None:
    assert list(command_problems("check_cmd", command))


@pytest.mark.parametrize(
    "command", ["", "nginx -t", "sh -c 'a | b; c'", "x 'a;b'", "x {{.src}}", "x {{ .src }}", "x #1"]
)
def test_plain_commands_pass(command: str) -> None:
    assert not list(command_problems("check_cmd", command))


async def test_output_and_code_are_kept_and_bounded() -> None:
    ran = await commands.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_seconds=10)
    assert (ran.code, ran.output) == (3, "out\nerr\n")
    assert "exit code 3: out; err" in ran.why
    ran = await commands.run(["sh", "-c", "yes | head -c 100000; echo end"], timeout_seconds=10)
    assert ran.good
    assert len(ran.output) <= commands.OUTPUT_BYTES
    assert ran.output.endswith("end\n")


def test_why_names_the_line_that_is_wrong_not_the_verdict_alone() -> None:
    said = (
        'nginx: [emerg] unknown directive "nonsense" in /etc/nginx/conf.d/own.conf:1\n'
        "nginx: configuration file /etc/nginx/nginx.conf test failed\n"
    )
    why = commands.Ran("nginx -t", 1, said, 0.1).why
    assert "conf.d/own.conf:1; nginx: configuration file" in why
    assert "\n" not in why
    assert len(commands.Ran("x", 1, "a\n" * 10_000, 0.1).why) < 1_000


async def test_a_program_that_is_missing_is_told() -> None:
    ran = await commands.run(["/no/such/program"], timeout_seconds=10)
    assert not ran.good
    assert "No such file" in ran.why


async def test_a_child_left_in_the_background_is_not_waited_for() -> None:
    ran = await commands.run(["sh", "-c", "sleep 600 & echo $!"], timeout_seconds=10)
    assert ran.good
    assert ran.seconds < 5
    os.kill(int(ran.output), 9)


async def test_whoever_hides_in_a_group_of_his_own_is_ended_too(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # timeout(1) makes a process group for itself and what it runs.
    hidden = f"timeout 600 sleep 600 & echo $! > {pids}; wait"
    ran = await commands.run(["sh", "-c", hidden], timeout_seconds=0.3)
    assert ran.code is None
    leader = int(pids.read_text())

    async def gone() -> bool:
        return not [pid for pid in commands._processes() if _group_of(pid) == leader]

    await until(gone, timeout_seconds=5, what="whoever was killed is gone")


def _group_of(pid: int) -> int:
    try:
        # What is ended already may still wait for whoever reaps it.
        gone = "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
        return 0 if gone else os.getpgid(pid)
    except OSError:
        return 0


async def test_what_prints_without_end_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "LONGEST_BYTES", 10_000)
    monkeypatch.setattr(commands, "SHORTEN_SECONDS", 0.01)
    # Slowly enough to be seen: it says 2 MB in all.
    slow = "for _ in $(seq 20); do yes | head -c 100000; sleep 0.02; done; stat -Lc %s /dev/stdout"
    ran = await commands.run(["sh", "-c", slow], timeout_seconds=60)
    assert ran.good
    assert int(ran.output.splitlines()[-1]) < 1_500_000
    assert len(ran.output) == commands.OUTPUT_BYTES
    assert "y\ny\n" in ran.output


async def test_our_own_settings_are_none_of_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHARFINGER_ETCD__PASSWORD_FILE", "secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    ran = await commands.run(["env"], timeout_seconds=10)
    assert "secret" not in ran.output
    assert "NOTIFY_SOCKET" not in ran.output
    assert "PATH=" in ran.output


@pytest.mark.parametrize("what", ["tempfile.TemporaryFile", "os.pidfd_open", "subprocess.Popen"])
async def test_what_the_host_lacks_just_now_is_told_not_raised(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(f"discovery.publish.commands.{what}", lacking)
    ran = await commands.run(["sleep", "600"], timeout_seconds=10)
    assert (ran.good, ran.code) == (False, commands.NOT_FOUND)
    assert "Too many open files" in ran.why
    assert not left_running()


def left_running() -> list[int]:
    """Children of this very process that are neither ended nor reaped."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [
        int(pid)
        for pid in text.split()
        if b"sleep\x00600" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
