"""A stop through the runtime: held back for as long as the registrar says, and never for ever."""

import ctypes
import os
import resource
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from registrar.runtime import stop
from tests.stack.runtime import ID, LABELS, RuntimeHost

OK = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"
# linux/fanotify.h, linux/fcntl.h
FAN_CLASS_CONTENT = 0x4
FAN_OPEN_PERM = 0x1_0000
AT_FDCWD = -100
KILL = ["--root", "/run/x", "kill", ID]


@pytest.fixture
def host() -> Iterator[RuntimeHost]:
    # pytest's own folders are too deep for the path of a socket.
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/wf-XXXXXX"], text=True).strip())
    yield RuntimeHost(folder)
    shutil.rmtree(folder)


class Registrar(threading.Thread):
    """Answers one question with what it was told to, and notes what it saw before it let go."""

    def __init__(self, host: RuntimeHost, answer: bytes, *, lets_go: bool = True) -> None:
        super().__init__()
        self.asked = b""
        self.delivered: bool | None = None
        self.over = threading.Event()
        self._called = host.folder / "called"
        self._answer, self._lets_go = answer, lets_go
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(host.socket))
        self._server.listen()
        self._server.settimeout(20)

    def run(self) -> None:
        with self._server, self._server.accept()[0] as client:
            client.settimeout(20)
            while not self.asked.endswith(b"\r\n\r\n"):
                self.asked += client.recv(4_096)
            client.sendall(self._answer)
            if not self._lets_go:
                self.over.wait(20)
            self.delivered = self._called.exists()


@contextmanager
def answering(host: RuntimeHost, answer: bytes, *, lets_go: bool = True) -> Iterator[Registrar]:
    registrar = Registrar(host, answer, lets_go=lets_go)
    registrar.start()
    try:
        yield registrar
    finally:
        registrar.over.set()
        registrar.join()


@pytest.mark.parametrize(("word", "number"), [("15", 15), ("TERM", 15), ("SIGUSR1", 10)])
def test_the_signal_waits_until_the_registrar_lets_it_go(
    host: RuntimeHost, word: str, number: int
) -> None:
    with answering(host, OK + b"hold 600\n") as registrar:
        assert host.call(*KILL, word) == [*KILL, word]
    assert registrar.delivered is False
    path = f"/v1/containers/{ID}/stopping?signal={number}"
    assert registrar.asked == f"POST {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode()


def test_without_a_signal_it_is_term(host: RuntimeHost) -> None:
    with answering(host, OK + b"hold 0\n") as registrar:
        assert host.call(*KILL) == KILL
    assert b"signal=15 " in registrar.asked


@pytest.mark.parametrize("answer", [OK + b"hold 0.01\n", OK + b"hold 0\n"])
def test_it_waits_no_longer_than_it_was_told(host: RuntimeHost, answer: bytes) -> None:
    with answering(host, answer, lets_go=False) as registrar:
        assert host.call(*KILL, "15") == [*KILL, "15"]
    assert registrar.delivered is True


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        OK,
        b"hold 600\n",
        b"HTTP/1.0 404 Not Found\r\n\r\nhold 600\n",
        b"HTTP/1.0\r\n\r\nhold 600\n",
        b"\x16\x03\x01\n\n600\n",
        OK + b"hold\n",
        OK + b"hold for ever\n",
        OK + b"hold -5\n",
        OK + b"hold inf\n",
        OK + b"hold 1e9\n",
        OK + b"hold 999999\n",
        OK + b"wait 600\n",
        OK + b"x" * 2**17,
        b"\n" * 2**17,
    ],
)
def test_what_is_no_answer_holds_nothing_back(host: RuntimeHost, answer: bytes) -> None:
    with answering(host, answer, lets_go=False) as registrar:
        assert host.call(*KILL, "15") == [*KILL, "15"]
    assert registrar.delivered is not None


def test_a_registrar_that_is_frozen_is_not_waited_for(host: RuntimeHost) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(host.socket))
        server.listen(0)
        assert host.call(*KILL, "15") == [*KILL, "15"]
        with socket.socket(socket.AF_UNIX) as first:  # and now its queue is full
            first.setblocking(False)
            while first.connect_ex(str(host.socket)) == 0:
                first = socket.socket(socket.AF_UNIX)  # noqa: PLW2901
                first.setblocking(False)
            assert host.call(*KILL, "15") == [*KILL, "15"]


def test_a_dead_registrar_is_not_waited_for(host: RuntimeHost) -> None:
    assert host.call(*KILL, "15") == [*KILL, "15"]
    host.socket.write_text("no socket")
    assert host.call(*KILL, "15") == [*KILL, "15"]


def test_one_that_is_being_restarted_is(host: RuntimeHost) -> None:
    asking = subprocess.Popen([host.lib / "wharfinger-runtime", *KILL, "15"])
    with answering(host, OK + b"hold 0\n") as registrar:
        assert asking.wait(20) == 0
    assert b"stopping" in registrar.asked


@pytest.mark.parametrize(
    "kept", ["", "{", '{"Config":{"Labels":{}}}', '{"Config":{"Labels":null}}']
)
def test_only_our_own_containers_wait_for_a_registrar(
    host: RuntimeHost, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.kept.write_text(kept)
    with monkeypatch.context() as patched:
        patched.setattr(stop.time, "sleep", lambda _: pytest.fail("waits"))
        client = None
        with suppress(KeyError, ValueError, AttributeError, StopIteration):
            client = stop.connected(str(host.socket), str(host.data_root), ID)
    assert client is None
    assert host.call(*KILL, "15") == [*KILL, "15"]
    host.label(LABELS)
    assert stop.is_ours(str(host.data_root), ID)


@pytest.mark.parametrize("words", [["../x", "15"], ["a" * 64 + "/", "15"], [ID, "WHAT"], [ID, ""]])
def test_what_docker_would_not_say_is_not_asked_about(host: RuntimeHost, words: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(host.socket))
        server.listen()
        server.setblocking(False)
        words = ["kill", *words]
        assert host.call(*words) == words
        if words[-1]:
            with pytest.raises(BlockingIOError):
                server.accept()


def test_what_another_python_compiled_is_compiled_anew(host: RuntimeHost) -> None:
    (host.lib / "stop.pyc").write_bytes(os.urandom(64))
    with answering(host, OK + b"hold 0\n") as registrar:
        host.call(*KILL, "15")
    assert registrar.asked


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Whoever opens it hangs, as on a disk that does not answer (fanotify(7))."""
    kernel = ctypes.CDLL(None, use_errno=True)
    asked = kernel.fanotify_init(FAN_CLASS_CONTENT, os.O_RDONLY)
    assert asked >= 0
    try:
        # FAN_MARK_ADD of FAN_OPEN_PERM: nobody reads the question, so nobody answers it.
        mask, here = ctypes.c_uint64(FAN_OPEN_PERM), ctypes.c_int(AT_FDCWD)
        assert kernel.fanotify_mark(asked, 1, mask, here, os.fsencode(path)) == 0
        yield
    finally:
        os.close(asked)


def test_a_disk_that_hangs_keeps_no_signal(host: RuntimeHost) -> None:
    with unreadable(host.kept):
        assert host.call(*KILL, "15") == [*KILL, "15"]


@pytest.mark.parametrize("shell", ["dash", "busybox sh"])  # bash itself tries for 15 s
@pytest.mark.parametrize("words", [KILL, ["create", "--bundle", "a b", ID]])
def test_where_nothing_can_be_forked_runc_is_called(
    host: RuntimeHost, shell: str, words: list[str]
) -> None:
    host.folder.chmod(0o777)
    subprocess.run(
        [*shell.split(), host.lib / "wharfinger-runtime", *words],
        check=True,
        timeout=30,
        user=65_534,  # of root the kernel keeps no count
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)),
    )
    assert (host.folder / "called").read_text().splitlines() == words
