"""Logs through Docker's API, against an engine that answers in every way it may."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from wharfinger.dockerlogs import DockerLogs, LogLimits
from wharfinger.errors import ConfigError, Rejected, Unavailable
from wharfinger.sections import DockerConfig

ID = "ab" * 32
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def engine(
    folder: Path, answer: Answer, limits: LogLimits | None = None
) -> AsyncIterator[DockerLogs]:
    application = web.Application()
    application.router.add_get("/containers/{id}/logs", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "s")).start()
    try:
        async with DockerLogs(DockerConfig(url=f"unix://{folder}/s"), limits=limits) as logs:
            yield logs
    finally:
        await runner.cleanup()


def says(status: int, text: str = "") -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text)

    return answer


async def read(logs: DockerLogs, *, terminal: bool = False) -> list[tuple[bytes, bool]] | None:
    async with logs.logs(ID, follow=False, last=7, terminal=terminal) as pieces:
        return None if pieces is None else [piece async for piece in pieces]


async def test_it_asks_for_both_streams_with_times(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return web.Response(body=b"frames")

    async with engine(tmp_path, answer) as logs:
        found = await read(logs)
        assert found is not None
        assert b"".join(data for data, _ in found) == b"frames"
        async with logs.logs(ID, follow=True, last=None) as pieces:
            assert pieces is not None
    both = {"stdout": "1", "stderr": "1", "timestamps": "1"}
    assert asked == [both | {"follow": "0", "tail": "7"}, both | {"follow": "1", "tail": "all"}]


async def test_with_a_terminal_chunks_are_told_apart(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for text in (b"one", b"two", b"x" * 100_000):
            await response.write(text)
        return response

    async with engine(tmp_path, answer) as logs:
        held, chunks = b"", []
        for data, boundary in await read(logs, terminal=True) or ():
            held += data
            if boundary and held:
                chunks.append(held)
                held = b""
        assert chunks == [b"one", b"two", b"x" * 100_000]


async def test_no_such_container_is_none(tmp_path: Path) -> None:
    async with engine(tmp_path, says(404, "No such container")) as logs:
        assert await read(logs) is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Rejected), (501, Rejected), (409, Unavailable), (500, Unavailable), (503, Unavailable)],
)
async def test_refusals_say_what_to_do(tmp_path: Path, status: int, error: type[Exception]) -> None:
    async with engine(tmp_path, says(status, "its words" + "x" * 9000)) as logs:
        with pytest.raises(error, match="its words") as raised:
            await read(logs)
        assert len(str(raised.value)) < 400


async def test_an_answer_that_breaks_off_and_one_that_stops_are_unavailable(
    tmp_path: Path,
) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"some")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def stops(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"some")
        await asyncio.sleep(3600)
        return response

    for number, answer in enumerate((breaks, stops)):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with engine(folder, answer, LogLimits(silence_seconds=0.1)) as logs:
            with pytest.raises(Unavailable):
                await read(logs)


async def test_one_that_never_begins_is_unavailable(tmp_path: Path) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    async with engine(tmp_path, never, LogLimits(begin_seconds=0.1)) as logs:
        with pytest.raises(Unavailable, match="does not answer"):
            await read(logs)


async def test_an_open_answer_holds_up_no_other(tmp_path: Path) -> None:
    begun = 0
    end = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal begun
        begun += 1
        response = web.StreamResponse()
        await response.prepare(request)
        await end.wait()
        return response

    async with engine(tmp_path, answer) as logs:

        async def hold() -> None:
            async with logs.logs(ID, follow=True, last=None) as pieces:
                assert pieces is not None
                _ = [piece async for piece in pieces]

        holding = [asyncio.create_task(hold()) for _ in range(150)]
        async with asyncio.timeout(20):
            while begun < 150:  # noqa: ASYNC110 - counted by the server's tasks
                await asyncio.sleep(0.01)
        end.set()
        await asyncio.gather(*holding)


async def test_nobody_there_is_unavailable_with_the_fix(tmp_path: Path) -> None:
    async with DockerLogs(DockerConfig(url=f"unix://{tmp_path}/none")) as logs:
        with pytest.raises(Unavailable, match="is dockerd running"):
            await read(logs)


async def test_only_an_id_is_asked_for(tmp_path: Path) -> None:
    async with DockerLogs(DockerConfig(url=f"unix://{tmp_path}/none")) as logs:
        for name in ("../images/x", "web", "", ID + "/x"):
            with pytest.raises(Rejected):
                async with logs.logs(name, follow=False, last=None):
                    pass


async def test_certificates_that_are_missing_are_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"docker\.url"):
        await DockerLogs(DockerConfig(url="tcp://127.0.0.1:2376")).__aenter__()
    monkeypatch.delenv("DOCKER_TLS_VERIFY")
    async with DockerLogs(DockerConfig(url="tcp://127.0.0.1:1")) as logs:
        with pytest.raises(Unavailable):
            await read(logs)
