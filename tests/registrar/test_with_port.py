"""The start script of images, under each shell that an image may have."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "images" / "with-port"
# A command that says what it hears; `wait` lets its traps run at once.
LISTENER = """
for name in HUP INT QUIT USR1 USR2 WINCH TERM; do trap "echo got $name" $name; done
trap 'echo got TERM; exit 7' TERM
echo "port $PORT"
while :; do sleep 60 & wait $!; done
"""
DRAIN = "WHARFINGER_DRAIN_SECONDS"


@pytest.fixture(params=["dash", "busybox sh"])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return str(request.param).split()


class Run:
    """with-port as a process, and what its command said."""

    def __init__(self, shell: list[str], folder: Path, *command: str, **environment: str) -> None:
        self.file = folder / "wharfinger.port"
        self._out = folder / "out"
        self.stderr = folder / "err"
        plain = {k: v for k, v in os.environ.items() if k != "PORT" and "WHARFINGER" not in k}
        with self._out.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [*shell, str(SCRIPT), *command],
                env={**plain, "WHARFINGER_PORT_FILE": str(self.file), **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                process_group=0,
            )

    @property
    def said(self) -> str:
        return self._out.read_text()

    def give(self, text: str) -> None:
        staged = self.file.with_suffix(".new")
        staged.write_text(text)
        staged.rename(self.file)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.said!r} {self.stderr.read_text()!r}"
            time.sleep(0.005)

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.said, f"never said {text!r}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """Ends it with all that it started, which is all in its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def run(shell: list[str], tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*command: str, **environment: str) -> Run:
        runs.append(Run(shell, tmp_path, *command, **environment))
        return runs[-1]

    yield start
    for each in runs:
        each.end()


def children(run: Run) -> list[psutil.Process]:
    return psutil.Process(run.process.pid).children()


def sleeper(run: Run, seconds: str) -> psutil.Process | None:
    """Its `sleep`, once that is no more a fork of the shell."""
    for process in psutil.Process(run.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie has no arguments
            if process.cmdline() == ["sleep", seconds]:
                return process
    return None


def sleeps(run: Run, seconds: str) -> bool:
    return sleeper(run, seconds) is not None


def naps(run: Run) -> bool:
    return any(p.name() in {"sleep", "busybox"} for p in children(run))


def test_waits_for_the_port_and_exports_it(run: Callable[..., Run]) -> None:
    one = run("sh", "-c", 'echo "port $PORT of $1 $2"; exit 3', "sh", "a b", "*")
    one.until(lambda: naps(one), "does not wait")
    assert one.said == ""
    one.give("20123\n1\n")
    assert one.process.wait(30) == 3
    assert one.said == "port 20123 of a b *\n"
    assert one.stderr.read_text() == ""


@pytest.mark.parametrize(
    "unfinished",
    [
        "",
        "20123",
        "20123\n",
        "20123\n1",
        "port\n1\n",
        "-1\n1\n",
        "123456\n1\n",
        "$(id)\n1\n",
        "\n\n",
    ],
)
def test_a_file_that_is_not_whole_is_waited_for(run: Callable[..., Run], unfinished: str) -> None:
    one = run("sh", "-c", "echo $PORT")
    one.file.write_text(unfinished)
    # It has looked at the file when a second pause has begun.
    seen: set[int] = set()

    def looked_twice() -> bool:
        seen.update(p.pid for p in psutil.Process(one.process.pid).children())
        return len(seen) > 2

    one.until(looked_twice, "does not look again")
    assert one.process.poll() is None
    one.give("20124\n0\n")
    assert one.process.wait(30) == 0
    assert one.said == "20124\n"


def test_gives_up_with_words_that_help(run: Callable[..., Run]) -> None:
    one = run("echo", "started", WHARFINGER_PORT_WAIT_SECONDS="1")
    assert one.process.wait(30) == 75
    assert one.said == ""
    complaint = one.stderr.read_text()
    assert str(one.file) in complaint
    assert "registrar" in complaint


def test_a_stop_while_it_waits_ends_it(run: Callable[..., Run]) -> None:
    one = run("echo", "started")
    one.until(lambda: naps(one), "does not wait")
    one.send(signal.SIGTERM)
    assert one.process.wait(30) == 143
    assert one.said == ""


def test_a_port_that_is_set_is_not_waited_for(run: Callable[..., Run]) -> None:
    one = run("sh", "-c", 'echo "port $PORT"; exit 4', PORT="8080")
    assert one.process.wait(30) == 4
    assert one.said == "port 8080\n"


@pytest.mark.parametrize("given", [{}, {"PORT": "9000"}, {"PORT": "9000", DRAIN: "0"}])
def test_another_variable_carries_the_port_beside(
    run: Callable[..., Run], given: dict[str, str]
) -> None:
    command = ("sh", "-c", 'echo "port $PORT $HTTP_PORT"')
    started = run(*command, WHARFINGER_PORT_VARIABLE="HTTP_PORT", **given)
    started.give("9000\n1\n")
    started.until_said("port 9000 9000\n")
    assert started.process.wait() == 0


def test_a_port_that_is_set_without_a_drain_needs_no_script(run: Callable[..., Run]) -> None:
    one = run("sh", "-c", 'echo "pid $$"; exit 4', PORT="8080", WHARFINGER_DRAIN_SECONDS="0")
    assert one.process.wait(30) == 4
    # The command took the script's place: nothing stands between it and its signals.
    assert one.said == f"pid {one.process.pid}\n"


@pytest.mark.parametrize(
    ("written", "least_seconds"), [("8080\n0.5\n", 0.5), ("8080", 0.0), ("", 0.0)]
)
def test_a_port_that_is_set_is_drained_as_the_file_says(
    run: Callable[..., Run], written: str, least_seconds: float
) -> None:
    one = run("sh", "-c", LISTENER, PORT="8080")
    one.until_said("port 8080")
    if written:
        one.give(written)
    before = time.monotonic()
    one.send(signal.SIGTERM)
    assert one.process.wait(30) == 7
    assert time.monotonic() - before >= least_seconds


def test_a_port_that_is_set_can_have_a_drain(run: Callable[..., Run]) -> None:
    one = run("sh", "-c", LISTENER, PORT="8080", WHARFINGER_DRAIN_SECONDS="0.5")
    one.until_said("port 8080")
    before = time.monotonic()
    one.send(signal.SIGTERM)
    assert one.process.wait(30) == 7
    assert time.monotonic() - before >= 0.5


def test_term_is_held_back_and_a_second_one_does_not_cut_it(run: Callable[..., Run]) -> None:
    one = run("sh", "-c", LISTENER)
    one.give("20123\n1\n")
    one.until_said("port 20123")
    before = time.monotonic()
    one.send(signal.SIGTERM)
    one.send(signal.SIGUSR1)
    one.until_said("got USR1")
    one.send(signal.SIGTERM)
    one.send(signal.SIGUSR2)
    one.until_said("got USR2")
    assert "TERM" not in one.said
    assert one.process.wait(30) == 7
    assert time.monotonic() - before >= 1
    assert one.said.count("got TERM") == 1


def test_a_drain_that_the_registrar_has_waited_for_is_not_waited_for_again(
    run: Callable[..., Run],
) -> None:
    one = run("sh", "-c", LISTENER)
    one.give("20123\n3600\n")
    one.until_said("port 20123")
    one.give("20123\n0\n")
    one.send(signal.SIGTERM)
    assert one.process.wait(30) == 7


def test_a_file_that_is_gone_or_damaged_leaves_the_drain_as_it_was(
    run: Callable[..., Run],
) -> None:
    one = run("sh", "-c", LISTENER)
    one.give("20123\n3600\n")
    one.until_said("port 20123")
    one.give("nonsense")
    one.send(signal.SIGTERM)
    one.until(lambda: sleeps(one, "3600"), "does not hold the stop back")
    assert "TERM" not in one.said


def test_a_stop_is_held_while_the_file_says_that_edges_serve_it(run: Callable[..., Run]) -> None:
    held = run("sh", "-c", LISTENER)
    held.give("20001\n0.2\n")
    served = held.file.with_name("wharfinger.serving")
    served.touch()
    held.until_said("port 20001")
    began = time.monotonic()
    held.send(signal.SIGTERM)
    held.until(lambda: sleeps(held, "0.5"), "it does not look again")
    assert "got TERM" not in held.said
    served.unlink()
    assert held.process.wait(10) == 7
    assert time.monotonic() - began > 0.2


def test_a_file_of_an_earlier_start_holds_no_stop(run: Callable[..., Run]) -> None:
    held = run("sh", "-c", LISTENER)
    served = held.file.with_name("wharfinger.serving")
    served.touch()
    os.utime(served, (500, 500))
    held.give("20001\n0.2\n")
    held.until_said("port 20001")
    held.send(signal.SIGTERM)
    assert held.process.wait(5) == 7


def test_another_term_after_the_drain_is_passed_on(run: Callable[..., Run]) -> None:
    one = run("sh", "-c", LISTENER.replace("exit 7", "[ $((n += 1)) -lt 2 ] || exit 8"))
    one.give("20123\n0.1\n")
    one.until_said("port 20123")
    one.send(signal.SIGTERM)
    one.until_said("got TERM")
    one.until(lambda: one.send(signal.SIGTERM) or one.process.poll() is not None, "still up")
    assert one.process.returncode == 8


@pytest.mark.parametrize("drain", ["0", "nonsense", "1.2.3"])
def test_odd_drains(run: Callable[..., Run], drain: str) -> None:
    one = run("sh", "-c", LISTENER)
    one.give(f"20123\n{drain}\n")
    one.until_said("port 20123")
    one.send(signal.SIGTERM)
    assert one.process.wait(30) == 7


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH"])
def test_other_signals_are_passed_at_once(run: Callable[..., Run], name: str) -> None:
    # Not a shell: that cannot trap what was ignored when it began.
    program = (
        "import signal, os, time\n"
        f"signal.signal(signal.SIG{name}, lambda *_: (os.write(1, b'got it'), os._exit(5)))\n"
        "os.write(1, b'ready ')\n"
        "while True: time.sleep(60)\n"
    )
    one = run("python3", "-c", program)
    one.give("20123\n60\n")
    one.until_said("ready")
    one.send(signal.Signals[f"SIG{name}"])
    assert one.process.wait(30) == 5
    assert one.said == "ready got it"


@pytest.mark.parametrize("name", ["INT", "QUIT"])
def test_one_that_sets_no_trap_still_ends(run: Callable[..., Run], name: str) -> None:
    one = run("sleep", "60")
    one.give("20123\n60\n")
    one.until(lambda: sleeps(one, "60"), "not started")
    one.send(signal.Signals[f"SIG{name}"])
    assert one.process.wait(30) == 143


def test_the_stop_signal_of_the_image_can_be_held_instead(run: Callable[..., Run]) -> None:
    one = run("sleep", "60", WHARFINGER_STOP_SIGNAL="SIGQUIT")
    one.give("20123\n0.5\n")
    one.until(lambda: sleeps(one, "60"), "not started")
    before = time.monotonic()
    one.send(signal.SIGQUIT)
    assert one.process.wait(30) == 143
    assert time.monotonic() - before >= 0.5


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 255", 255), ("kill -9 $$", 137)]
)
def test_the_exit_code_is_kept(run: Callable[..., Run], script: str, code: int) -> None:
    one = run("sh", "-c", script)
    one.give("20123\n1\n")
    assert one.process.wait(30) == code


def test_a_missing_command(run: Callable[..., Run]) -> None:
    one = run("/no/such/command")
    one.give("20123\n1\n")
    assert one.process.wait(30) == 127
    assert "/no/such/command" in one.stderr.read_text()


def test_no_command_is_a_usage_error(run: Callable[..., Run]) -> None:
    one = run()
    assert one.process.wait(30) == 64


def test_a_stop_at_the_very_start_is_not_lost(run: Callable[..., Run]) -> None:
    for _ in range(10):
        one = run("sleep", "1000")
        one.give("20123\n0\n")
        # The fork shows as a child with the same arguments; it is not yet the command.
        one.until(lambda each=one: bool(children(each)), "not started")
        one.send(signal.SIGTERM)
        assert one.process.wait(30) == 143
        one.file.unlink()


def test_the_exit_code_survives_signals_that_cut_the_wait(run: Callable[..., Run]) -> None:
    one = run("sh", "-c", LISTENER)
    one.give("20123\n0\n")
    one.until_said("port")
    for _ in range(50):
        one.send(signal.SIGUSR1)
        one.send(signal.SIGHUP)
    one.send(signal.SIGTERM)
    assert one.process.wait(30) == 7


def test_a_command_that_ends_while_its_stop_is_held(run: Callable[..., Run]) -> None:
    one = run("sleep", "1000")
    one.give("20123\n300\n")
    one.until(lambda: sleeps(one, "1000"), "not started")
    one.send(signal.SIGTERM)
    one.until(lambda: sleeps(one, "300"), "does not hold")
    command = sleeper(one, "1000")
    assert command is not None
    command.kill()
    assert one.process.wait(30) == 137


def test_standard_input_reaches_the_command(shell: list[str], tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("20123\n1\n")
    done = subprocess.run(
        [*shell, SCRIPT, "cat"],
        env={"PATH": os.environ["PATH"], "WHARFINGER_PORT_FILE": str(file)},
        input=b"hello",
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == b"hello"


def test_waiting_costs_next_to_nothing(run: Callable[..., Run]) -> None:
    one = run("true", WHARFINGER_PORT_WAIT_SECONDS="3")
    _, status, usage = os.wait4(one.process.pid, 0)
    one.process.returncode = os.waitstatus_to_exitcode(status)
    assert one.process.returncode == 75
    # A loop that does not pause would take all of the three seconds; it takes about 0.1.
    assert usage.ru_utime + usage.ru_stime < 1.5
