"""The runtime with the registrar's own process: asked first, believed little, never waited for."""

import contextlib
import fcntl
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registrar.porttable import Assignments, PortRange, Table, encode
from registrar.runtime import warm
from tests.stack.complaints import complaints
from tests.stack.runtime import FIRST, ID, OTHER, WITHIN, RuntimeHost
from wharfinger.operator.parts.process import freeze

# Half a second of waiting, one second of the cold way, and a machine that is busy with others.
LIMIT_SECONDS = 10.0


@pytest.fixture
def host(tmp_path: Path) -> RuntimeHost:
    return RuntimeHost(tmp_path)


@pytest.fixture
def asked(host: RuntimeHost) -> Iterator[subprocess.Popen[bytes]]:
    with host.warm() as process:
        yield process


def self_stat() -> str:
    return Path("/proc/self/stat").read_text().rstrip("\n")


@contextlib.contextmanager
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that waits as the runtime does, and what /proc says of it."""
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        try:
            yield process, Path(f"/proc/{process.pid}/stat").read_text().rstrip("\n")
        finally:
            process.kill()


@pytest.mark.parametrize("shell", ["", "dash", "busybox sh", "bash --posix"])
def test_no_interpreter_is_started(
    host: RuntimeHost, asked: subprocess.Popen[bytes], shell: str
) -> None:
    host.shell = shell.split()
    mark = host.refuse_cold()
    assert host.create() == FIRST
    assert host.assignments == Assignments({ID: FIRST}, in_environment=frozenset({ID}))
    assert not mark.exists()
    assert {each.name for each in host.bundle.iterdir()} == {"config.json"}


def test_who_asks_for_none_is_answered_as_well(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    mark = host.refuse_cold()
    host.label({})
    assert host.create() == 0
    host.write_bundle({"type": "network"})
    assert host.create() == 0
    assert not mark.exists()


@pytest.mark.parametrize("shell", ["dash", "busybox sh", "bash --posix"])
def test_what_it_cannot_do_is_left_to_the_interpreter_at_once(
    host: RuntimeHost, asked: subprocess.Popen[bytes], shell: str
) -> None:
    host.shell = shell.split()
    mark = host.refuse_cold()
    host.table.unlink()
    assert host.create() == 0
    assert mark.exists()
    # Nobody has waited in vain.
    assert host.owner.read_text().startswith(f"{asked.pid} ")
    assert asked.stdout is not None
    assert asked.stdout.readline().startswith(b"left FileNotFoundError: ")


def test_settings_of_before_know_nothing_of_it(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    host.settings.pop("warm")
    host.write_settings()
    assert host.create() == FIRST


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_without_it_the_interpreter_is_started(host: RuntimeHost, how: str) -> None:
    with host.warm() as process:
        if how == "killed":
            process.kill()
            process.wait()
    assert host.owner.exists() == (how == "killed")
    assert (host.folder / "create.fifo").exists() == (how == "killed")
    assert host.create() == FIRST
    with host.warm():  # what the killed one left is no hindrance
        mark = host.refuse_cold()
        host.write_bundle()
        assert host.create() == FIRST
        assert not mark.exists()


def test_one_that_is_stopped_is_not_asked(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    freeze(asked.pid)
    assert host.create() == FIRST
    assert host.owner.read_text() != ""  # it was not waited for


@pytest.mark.parametrize("shell", ["dash", "busybox sh", "bash --posix"])
def test_one_that_does_not_answer_is_waited_for_only_once(host: RuntimeHost, shell: str) -> None:
    host.shell = shell.split()
    path = host.folder / "create.fifo"
    os.mkfifo(path, 0o600)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        host.owner.write_text(f"{os.getpid()} {pipe}\n")
        began = time.monotonic()
        assert host.create() == FIRST
        assert time.monotonic() - began > 0.5
        assert os.read(pipe, 10_000).endswith(b"\n")
        assert host.owner.read_text() == ""
        host.write_bundle()
        assert host.create() == FIRST
        with pytest.raises(BlockingIOError):
            os.read(pipe, 1)
    finally:
        os.close(pipe)


def test_one_that_was_waited_for_in_vain_is_asked_again(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    host.owner.write_text("")
    host.until_announced(asked)
    mark = host.refuse_cold()
    assert host.create() == FIRST
    assert not mark.exists()


@pytest.mark.parametrize(
    "owner", ["", "\n", "1", "1 0\n", "x y\n", "../.. /\n", "0 0 0\n", "4194304 5\n", "\x00\n"]
)
def test_a_damaged_note_of_who_it_is_is_no_hindrance(
    host: RuntimeHost, asked: subprocess.Popen[bytes], owner: str
) -> None:
    freeze(asked.pid)  # it would mend it
    host.owner.write_text(owner)
    assert host.create() == FIRST
    assert host.owner.read_text() == owner


def test_a_number_that_is_another_process_s_now_is_not_asked(host: RuntimeHost) -> None:
    with host.warm() as process:
        process.kill()
        process.wait()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    host.owner.write_text(f"{os.getpid()} {writer}\n")
    assert host.create() == FIRST
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)


@pytest.mark.parametrize("what", ["file", "link", "folder", "another pipe", "nothing"])
def test_only_its_own_pipe_is_written_to(
    host: RuntimeHost, asked: subprocess.Popen[bytes], what: str
) -> None:
    path, other = host.folder / "create.fifo", host.folder / "other"
    path.unlink()
    other.write_text("as it was")
    match what:
        case "file":
            path.write_text("as it was")
        case "link":
            path.symlink_to(other)
        case "folder":
            path.mkdir()
        case "another pipe":
            os.mkfifo(path)
    assert host.create() == FIRST
    assert other.read_text() == "as it was"
    assert what != "file" or path.read_text() == "as it was"
    assert what != "nothing" or not path.exists()


@pytest.mark.parametrize("odd", ["b b", "b\tb", "b\nb", "b\\nb", "b*", "é", "b" * 3_500])
def test_odd_bundles_get_their_port_too(
    host: RuntimeHost, asked: subprocess.Popen[bytes], odd: str
) -> None:
    config = (host.bundle / "config.json").read_text()
    long = odd if len(odd) < 200 else "/".join([odd[:100]] * 35)
    host.bundle = host.folder / long
    host.bundle.mkdir(parents=True)
    (host.bundle / "config.json").write_text(config)
    words = [host.lib / "wharfinger-runtime", "create", "--bundle", host.bundle, ID]
    subprocess.run(words, check=True)
    assert host.port() == FIRST


def test_a_bundle_out_of_its_sight_is_the_interpreters(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    # A file system that is mounted for the runtime alone, and where there is another for others.
    script = (
        f"mount -t tmpfs none {host.bundle} && echo '{host.config}' >{host.bundle}/config.json "
        f"&& {host.lib}/wharfinger-runtime create --bundle {host.bundle} {ID} "
        f"&& grep -c PORT={FIRST} {host.bundle}/config.json"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
    assert host.port() == 0


def test_a_runtime_of_another_network_is_not_served(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    mark = host.refuse_cold()
    words = ["unshare", "--net", host.lib / "wharfinger-runtime", "create", "--bundle"]
    subprocess.run([*words, host.bundle, ID], check=True)
    assert mark.exists()
    assert host.port() == 0


def test_a_lock_that_nobody_lets_go_of_holds_up_no_start(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    lock_path = host.folder / "ports.lock"
    with lock_path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        assert host.create() == 0
        assert time.monotonic() - began < LIMIT_SECONDS
        assert host.owner.read_text() == ""
        # What hangs is not announced: the next ones need not wait for it.
        time.sleep(2 * warm.LOOK_SECONDS)
        assert host.owner.read_text() == ""
    host.until_announced(asked)
    assert host.assignments.ports == {}  # it was not done when nobody waited any more
    assert host.port() == 0
    mark = host.refuse_cold()
    assert host.create() == FIRST
    assert not mark.exists()


def test_what_hangs_never_takes_more_than_its_threads(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    mark = host.refuse_cold()
    with (host.folder / "ports.lock").open("w") as lock, ThreadPoolExecutor(40) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = [host.lib / "wharfinger-runtime", "create", "--bundle", host.bundle, ID]
        list(pool.map(lambda _: subprocess.run(words, check=True), range(40)))
        threads = len(list(Path(f"/proc/{asked.pid}/task").iterdir()))
        assert threads <= warm.MOST_AT_ONCE + 1
    assert mark.exists()
    mark.unlink()
    host.until_announced(asked)
    assert host.create() == FIRST
    assert not mark.exists()


def test_it_ends_with_the_registrar_though_a_disk_hangs(host: RuntimeHost) -> None:
    with (host.folder / "ports.lock").open("w") as lock, host.warm() as process:
        fcntl.flock(lock, fcntl.LOCK_EX)
        host.create()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(LIMIT_SECONDS) == 0


def test_one_that_goes_on_later_does_nothing_to_a_bundle_of_a_later_start(
    host: RuntimeHost,
) -> None:
    with sleeper() as (process, stat):
        words = (str(host.table), str(host.data_root), "create", "--bundle", str(host.bundle), ID)
        request = warm.parse(f"{len(words)} {' '.join(words)} {stat}".encode())
        waits = warm.Sleeper(request)
        with (host.folder / "ports.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            errors: list[BaseException] = []

            def late() -> None:
                try:
                    warm.put_port(request, waits)
                except BaseException as error:  # noqa: BLE001 - told below
                    errors.append(error)

            thread = threading.Thread(target=late)
            thread.start()
            until_blocked(thread)
            host.bundle.rename(host.folder / "removed")
            for each in (host.folder / "removed").iterdir():
                each.unlink()
            (host.folder / "removed").rmdir()
            host.bundle.mkdir()
            host.write_bundle(args=["a later start"])
        thread.join(LIMIT_SECONDS)
        waits.answer(signal.SIGALRM)
        assert process.wait() == -signal.SIGALRM
    assert isinstance(errors[0], FileNotFoundError)
    assert host.port() == 0
    assert {each.name for each in host.bundle.iterdir()} == {"config.json"}


def until_blocked(thread: threading.Thread) -> None:
    """Waits until a thread waits for the lock of the table (proc_locks(5): `->`)."""
    give_up_at = time.monotonic() + LIMIT_SECONDS
    waiting = f"-> FLOCK  ADVISORY  WRITE {os.getpid()} "
    while waiting not in Path("/proc/locks").read_text():
        assert thread.is_alive()
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_both_at_once_give_one_port_and_spoil_nothing(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    words = ["create", "--bundle", str(host.bundle), ID]
    warmly = [host.lib / "wharfinger-runtime", *words]
    coldly = [sys.executable, "-I", "-S", host.lib / "create.py", host.table, host.data_root,
              "/no/log", *words]  # fmt: skip
    for _ in range(20):
        host.write_bundle()
        both = [subprocess.Popen(each, stdout=subprocess.DEVNULL) for each in (warmly, coldly)]
        assert [each.wait() for each in both] == [0, 0]
        assert host.port() == FIRST
    assert {each.name for each in host.bundle.iterdir()} == {"config.json"}


def test_killed_at_any_moment_and_back_each_of_200_starts_has_a_port_or_says_why_not(
    host: RuntimeHost,
) -> None:
    ids = [f"{at:012x}".ljust(64, "0") for at in range(200)]
    host.write_table(Table(PortRange(FIRST, FIRST + 400)))
    for container_id in ids:
        for folder, kept in (
            (host.folder / container_id, host.bundle / "config.json"),
            (host.data_root / "containers" / container_id, host.kept),
        ):
            folder.mkdir()
            shutil.copy(kept, folder)
    over = threading.Event()

    def kill_again_and_again() -> None:
        while not over.is_set():
            with host.warm() as process:
                over.wait(random.uniform(0, 0.2))
                process.kill()
                process.wait()

    def start(container_id: str) -> int:
        bundle = host.folder / container_id
        words = [host.lib / "wharfinger-runtime", "create", "--bundle", bundle, container_id]
        subprocess.run(words, check=True)
        assert [each.name for each in bundle.glob("config.json")] == ["config.json"]
        first = json.loads((bundle / "config.json").read_text())["process"]["env"][0]
        return int(first.removeprefix("PORT=")) if first.startswith("PORT=") else 0

    killer = threading.Thread(target=kill_again_and_again)
    killer.start()
    try:
        with complaints(host.folder / "log") as told, ThreadPoolExecutor(8) as pool:
            ports = list(pool.map(start, ids))
    finally:
        over.set()
        killer.join()
    given = {each: port for each, port in zip(ids, ports, strict=True) if port}
    # On a machine that is slow enough some start without one, as they should; none for any other
    # reason, and none in silence.
    assert told.only_too_slow(set(ids) - given.keys()), told.whys
    assert len(given) > len(ids) / 2
    assert len(set(given.values())) == len(given)
    assert host.assignments.ports.items() >= given.items()


def test_a_disk_that_hangs_holds_up_no_start(
    host: RuntimeHost, asked: subprocess.Popen[bytes], slow_disk: Path
) -> None:
    table = slow_disk / "ports"
    table.write_bytes(before := encode(Table(WITHIN)))
    (slow_disk / "ports.lock").touch()
    host.write_settings(table=table)
    subprocess.run(["fsfreeze", "--freeze", slow_disk], check=True)
    try:
        assert host.create() == 0
        assert host.owner.read_text() == ""
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", slow_disk], check=True)
    host.until_announced(asked)  # what hung has ended, and has done nothing late
    assert table.read_bytes() == before
    assert host.port() == 0
    mark = host.refuse_cold()
    assert host.create() == FIRST
    assert not mark.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"x",
        b"-1 a",
        b"1",
        b"9999 a",
        b"\xc2\xb2 a",
        b"0 1 (x) S",
        b"3 /t /d create 1 (sh) S 1 2 3",
        b"0 9999999999 (sh) S " + b"1 " * 48 + b"1",
        b"\xff\xfe\x00",
        b"1 " * 2_000,
    ],
)
def test_garbage_is_told_and_answered_by_nothing(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"no count of words|no process that waits"):
        warm.parse(line)
    said: list[str] = []
    desk = warm.Desk(said.append)
    desk.take(line + b"\n")
    assert len(said) == 1
    assert said[0].startswith("garbage ")


def test_a_line_is_read_as_it_was_written() -> None:
    request = warm.parse(b"3 /t /d create " + self_stat().encode())
    assert request.words == ("/t", "/d", "create")
    assert request.pid == os.getpid()
    assert str(request.started) in self_stat().split()


def test_a_process_that_only_has_the_number_is_left_alone() -> None:
    with sleeper() as (process, stat):
        request = warm.parse(f"0 {stat}".encode())
        older = warm.Request((), request.pid, request.started - 1)
        with pytest.raises(ProcessLookupError, match="another one's"):
            warm.Sleeper(older)
        assert process.poll() is None


@pytest.mark.parametrize(
    "words",
    [
        ("/t", "/d"),
        ("/t", "/d", "create", OTHER),
        ("/t", "/d", "create", "--bundle", "b", OTHER),
        ("t", "/d", "create", "--bundle", "/b", OTHER),
        ("/t", "/d", "start", OTHER),
        ("/t", "/d", "create", "--bundle", "/missing", OTHER),
    ],
)
def test_what_makes_no_sense_is_left_to_the_interpreter(words: tuple[str, ...]) -> None:
    said: list[str] = []
    desk = warm.Desk(said.append)
    with sleeper() as (process, stat):
        desk.take(f"{len(words)} {' '.join(words)} {stat}\n".encode())
        assert process.wait(LIMIT_SECONDS) == -signal.SIGTERM
    desk.finish(LIMIT_SECONDS)
    assert len(said) == 1
    assert said[0].startswith("left ")
    assert desk.done == 0


def test_lines_that_come_in_pieces_are_put_together_and_endless_ones_dropped() -> None:
    said: list[str] = []
    desk = warm.Desk(said.append)
    desk.take(b"x" * 4_000)
    desk.take(b"x" * 4_000)
    assert said == []
    with sleeper() as (process, stat):
        whole = f"0 {stat}\n".encode()
        desk.take(whole[:10])
        desk.take(whole[10:])
        assert process.wait(LIMIT_SECONDS) == -signal.SIGTERM
    desk.finish(LIMIT_SECONDS)
    assert len(said) == 1
    assert said[0].startswith("left ")


def test_what_was_done_is_told_though_one_start_follows_the_other(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    host.label({})
    assert asked.stdout is not None
    give_up_at = time.monotonic() + LIMIT_SECONDS
    while not select.select([asked.stdout], [], [], 0)[0]:
        assert time.monotonic() < give_up_at
        assert host.create() == 0
    assert asked.stdout.readline().startswith(b"done ")


def test_who_has_asked_is_answered_though_the_registrar_ends(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    freeze(asked.pid)
    with sleeper() as (process, stat):
        (host.folder / "create.fifo").write_text(f"0 {stat}\n")
        assert asked.stdin is not None
        asked.stdin.close()
        asked.send_signal(signal.SIGCONT)
        assert process.wait(LIMIT_SECONDS) == -signal.SIGTERM
    assert asked.wait(LIMIT_SECONDS) == 0


def test_no_start_leaves_a_descriptor_open(
    host: RuntimeHost, asked: subprocess.Popen[bytes]
) -> None:
    def opened() -> int:
        return len(list(Path(f"/proc/{asked.pid}/fd").iterdir()))

    assert host.create() == FIRST
    before = opened()
    for _ in range(5):
        host.write_bundle()
        assert host.create() == FIRST
    mark = host.refuse_cold()
    for damaged in (host.table, host.kept, host.bundle / "config.json"):
        host.write_bundle()
        kept = damaged.read_bytes()
        damaged.write_text("{")
        host.call("create", "--bundle", str(host.bundle), ID)
        damaged.write_bytes(kept)
    assert mark.exists()
    assert opened() == before


def test_only_root_can_ask(host: RuntimeHost, asked: subprocess.Popen[bytes]) -> None:
    for each in (host.folder / "create.fifo", host.owner):
        assert each.stat().st_mode & 0o777 == 0o600


def test_a_table_is_taken_whole(host: RuntimeHost, asked: subprocess.Popen[bytes]) -> None:
    host.write_table(Table(WITHIN, frozenset({FIRST}), Assignments({OTHER: FIRST + 1})))
    mark = host.refuse_cold()
    assert host.create() == FIRST + 2
    assert not mark.exists()
    assert host.table.read_bytes() == encode(
        Table(
            WITHIN,
            frozenset({FIRST}),
            Assignments({OTHER: FIRST + 1, ID: FIRST + 2}, in_environment=frozenset({ID})),
        )
    )
