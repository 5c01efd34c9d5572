"""The verb `healthcheck` against a real daemon, and against what else may listen there."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from tests.stack.tls import Authority
from tests.wharfinger import fakedaemon
from wharfinger import cli, servertls
from wharfinger.endpoints import serving
from wharfinger.errors import Exit
from wharfinger.healthcheck import Answer
from wharfinger.healthcheck import asked as asked_of
from wharfinger.operator.parts.process import free_port, freeze
from wharfinger.servertls import TlsFiles

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running(*flags: str) -> Iterator[subprocess.Popen[str]]:
    """The fake daemon as a process of its own, answering already."""
    words = [sys.executable, "-m", "tests.wharfinger.fakedaemon", *flags]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "registrar ready" in line or "registrar started" in line:
                    break
            yield process
        finally:
            process.kill()
            process.stderr.close()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.run(fakedaemon.command(), ["healthcheck", *arguments])
    code = left.value.code
    assert isinstance(code, int)
    return code


def until(wanted: int, *arguments: str) -> None:
    end = time.monotonic() + 30
    while run(*arguments) != wanted:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def listen() -> str:
    return f"127.0.0.1:{free_port()}"


def test_a_healthy_one_is_0(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--set", f"registrar.listen={listen}")
    with running(*flags):
        until(Exit.OK, *flags)
        assert capsys.readouterr().out.splitlines()[-1] == "registrar: healthy"
        assert run("--alive", *flags) == Exit.OK


def test_one_that_listens_everywhere_is_asked_on_loopback(listen: str) -> None:
    port = listen.rpartition(":")[2]
    for everywhere in ("0.0.0.0", "[::]"):
        flags = ("--set", f"registrar.listen={everywhere}:{port}")
        with running(*flags):
            until(Exit.OK, *flags)


def test_one_that_still_starts_is_alive_and_not_healthy(
    listen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--set", f"registrar.listen={listen}")
    with running(*flags, "--set", "registrar.does=wait"):
        until(Exit.OK, "--alive", *flags)
        capsys.readouterr()
        assert run(*flags) == Exit.UNHEALTHY
        assert "registrar: not healthy: start-up is not complete" in capsys.readouterr().out


def test_one_whose_loop_hangs_is_neither(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--set", f"registrar.listen={listen}")
    with running(*flags) as process:
        until(Exit.OK, *flags)
        freeze(process.pid)
        capsys.readouterr()
        assert run("--alive", "--timeout", "0.2", *flags) == Exit.UNHEALTHY
        told = capsys.readouterr().out
        assert told == f"registrar: not healthy: {listen} does not answer within 0.2 s\n"


def test_nobody_there(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--set", f"registrar.listen={listen}") == Exit.UNHEALTHY
    assert capsys.readouterr().out == f"registrar: not healthy: {listen}: Connection refused\n"


def test_a_configuration_that_no_daemon_would_take_is_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.toml"
    path.write_text("[registrar]\nlsten = 2\n")
    assert run("--config", str(path)) == Exit.CONFIG
    assert "registrar.lsten" in capsys.readouterr().err


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "1e9", "soon", ""])
def test_a_timeout_that_is_none(timeout: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"--timeout={timeout}") == Exit.USAGE
    assert "is no time of up to 600 seconds" in capsys.readouterr().err


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Says the same to whoever connects, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "speaks no HTTP"),
        (b"", "Remote end closed connection"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "is no health report"),
        (b"HTTP/1.0 200 OK\r\n\r\n[1]", "is no health report"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"healthy": true}', "is no health report"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"daemon": "x", "healthy": "yes"}', "is no health report"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"daemon": "logstore", "healthy": true}', "logstore listens"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 2**21, "is no health report"),
    ],
)
def test_whatever_else_listens_there_is_not_the_daemon(reply: bytes, why: str) -> None:
    with answering(reply) as listen:
        answer = asked_of("registrar", listen, timeout_seconds=5)
    assert (answer.alive, answer.healthy) == (False, False)
    assert why in answer.why


def test_what_it_says_fits_on_one_line_of_dockers() -> None:
    why = "\\u001b[31m" + "x" * 10_000
    body = f'{{"daemon": "registrar", "healthy": false, "why": "{why}"}}'
    with answering(f"HTTP/1.0 503 No\r\n\r\n{body}".encode()) as listen:
        answer = asked_of("registrar", listen, timeout_seconds=5)
    assert answer.alive
    assert answer.why.isprintable()
    assert len(answer.why) < 4096


async def test_over_tls_the_certificate_in_the_configuration_is_trusted_alone(
    tmp_path: Path, listen: str
) -> None:
    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"daemon": "logstore", "healthy": True})

    pairs = [Authority(tmp_path / name).issue(name, "192.0.2.1") for name in ("ours", "other")]
    ours, other = (TlsFiles(pair.cert_file, pair.key_file, None, "logstore") for pair in pairs)
    application = web.Application()
    application.add_routes([web.get("/healthz", healthz)])

    async def asked(files: TlsFiles | None) -> Answer:
        trusted = None if files is None else servertls.trusting(files)
        return await asyncio.to_thread(asked_of, "logstore", listen, trusted, timeout_seconds=5)

    async with serving(listen, application, servertls.load(ours)):
        assert (await asked(ours)).healthy
        refused = await asked(other)
        assert not refused.alive
        assert "CERTIFICATE_VERIFY_FAILED" in refused.why
        assert not (await asked(None)).alive


async def test_one_whose_certificate_has_ended_still_tells_its_own_host_so(
    tmp_path: Path, listen: str
) -> None:
    async def healthz(_request: web.Request) -> web.Response:
        body = {"daemon": "logstore", "healthy": False, "why": "certificate expiry: ended"}
        return web.json_response(body, status=503)

    ended = datetime.now(UTC) - timedelta(hours=1)
    pair = Authority(tmp_path / "ca").issue("box", "192.0.2.1", ends=ended)
    files = TlsFiles(pair.cert_file, pair.key_file, None, "logstore")
    application = web.Application()
    application.add_routes([web.get("/healthz", healthz)])
    async with serving(listen, application, servertls.load(files)):
        answer = await asyncio.to_thread(
            asked_of, "logstore", listen, servertls.trusting(files), timeout_seconds=5
        )
    assert (answer.alive, answer.why) == (True, "certificate expiry: ended")
