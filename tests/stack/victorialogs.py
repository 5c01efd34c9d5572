"""VictoriaLogs: the real one where a path to it is given, else what it once said, word for word.

`WHARFINGER_VICTORIA_LOGS=PATH` runs the tests on that program; `WHARFINGER_RECORD=1` beside it
writes down anew what it says. Requests that were never recorded fail a test.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import pytest
from aiohttp import web

from tests.stack.listening import listening
from wharfinger.operator.parts.process import Process, free_port

RECORDED: Final = Path(__file__).with_name("victorialogs.json")
PROGRAM: Final = os.environ.get("WHARFINGER_VICTORIA_LOGS", "")
_RECORDS: Final = os.environ.get("WHARFINGER_RECORD") == "1"
_INGEST: Final = "/insert/jsonline"
_NAMES: Final = "_msg_field=message&_time_field=@timestamp&_stream_fields=app,env,host,stream"
_TAIL: Final = "/select/logsql/tail"
_PLAIN: Final = {"Accept-Encoding": "identity"}


def _read() -> dict[str, tuple[int, str]]:
    """For each question the status and the body of its answer."""
    if _RECORDS or not RECORDED.exists():
        return {}
    told = json.loads(RECORDED.read_text())
    return {
        key: (status, "".join(told["lines"][number] for number in numbers))
        for key, (status, numbers) in told["answers"].items()
    }


def _write() -> None:
    # Answers share most of their lines.
    lines: dict[str, int] = {}
    answers = {
        key: (status, [lines.setdefault(row, len(lines)) for row in body.splitlines(keepends=True)])
        for key, (status, body) in sorted(_ANSWERS.items())
    }
    shown = json.dumps(list(lines), indent=0, ensure_ascii=False)
    RECORDED.write_text(f'{{"lines": {shown},\n"answers": {{\n{_by_row(answers)}}}}}\n')


def _by_row(answers: dict[str, Any]) -> str:
    return ",\n".join(
        f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v)}" for k, v in answers.items()
    )


_ANSWERS: Final = _read()


class VictoriaLogs:
    """What a back end asks; it refuses what the real one was never asked.

    Attributes:
        complaints: questions without an answer.
        moods: answers for the next requests, before it behaves again.
    """

    def __init__(self, folder: Path) -> None:
        self.complaints: list[str] = []
        self.moods: list[Any] = []
        self.port = 0
        self._folder = folder
        self._real = ""
        self._added = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        if PROGRAM:
            await self._start()
        self._session = aiohttp.ClientSession()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        self.port = await listening(self._runner)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()
        if PROGRAM:
            await self._process.terminate()
            if _RECORDS:
                _write()
        assert self.complaints == []

    async def add(self, lines: str, tenant: str = "0:0") -> None:
        """Lines for the real one, found when this returns; the other has its answers."""
        self._added.set()
        if not PROGRAM:
            return
        account, _, project = tenant.partition(":")
        url = f"{self._real}{_INGEST}?{_NAMES}"
        headers = {"AccountID": account, "ProjectID": project, "Content-Type": "application/json"}
        async with self._session.post(url, data=lines, headers=headers) as answer:
            assert answer.status == 200
        async with self._session.get(f"{self._real}/internal/force_flush") as answer:
            assert answer.status == 200

    async def _start(self) -> None:
        port = free_port()
        self._real = f"http://127.0.0.1:{port}"
        arguments = [f"-storageDataPath={self._folder}", f"-httpListenAddr=127.0.0.1:{port}"]
        command = [PROGRAM, *arguments, "-retentionPeriod=100y"]
        self._process = Process(command, log=self._folder.with_suffix(".log"))

        async def ready() -> bool:
            try:
                async with aiohttp.request("GET", f"{self._real}/health") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await self._process.start(ready)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        form = dict(await request.post())
        if self.moods:
            answer: web.StreamResponse = await self.moods.pop(0)(request)
            return answer
        key = _key(request, form)
        if request.path == _TAIL:
            return await self._tail(request, key, form)
        if PROGRAM:
            status, body = await self._ask(request, form)
            if _RECORDS:
                _ANSWERS[key] = (status, body)
        elif key in _ANSWERS:
            status, body = _ANSWERS[key]
        else:
            self.complaints.append(f"never recorded: {key}")
            return web.Response(status=501, text=key)
        return web.Response(status=status, text=body)

    async def _ask(self, request: web.Request, form: dict[str, Any]) -> tuple[int, str]:
        headers = {name: request.headers.get(name, "0") for name in ("AccountID", "ProjectID")}
        url = f"{self._real}{request.path}"
        async with self._session.request(
            request.method, url, data=form or None, headers=headers
        ) as answer:
            return answer.status, await answer.text()

    async def _tail(
        self, request: web.Request, key: str, form: dict[str, Any]
    ) -> web.StreamResponse:
        """An answer without an end; from the book it comes when lines were added."""
        response = web.StreamResponse()
        if not PROGRAM:
            status, body = _ANSWERS[key]
            if status != 200:
                return web.Response(status=status, text=body)
            # The real one then sends nothing, not even headers, until there is much.
            assert request.headers["Accept-Encoding"] == "identity"
            await _begin(response, request)
            await self._added.wait()
            await response.write(body.encode())
            await asyncio.Event().wait()
        url = f"{self._real}{request.path}"
        async with self._session.post(url, data=form, headers=_PLAIN) as answer:
            if answer.status != 200:
                _ANSWERS[key] = (answer.status, await answer.text())
                return web.Response(status=answer.status, text=_ANSWERS[key][1])
            await _begin(response, request)
            told = ""
            async for data in answer.content.iter_any():
                told += data.decode()
                _ANSWERS[key] = (answer.status, told)
                await response.write(data)
        return response


async def _begin(response: web.StreamResponse, request: web.Request) -> None:
    await response.prepare(request)
    # Go sends headers at once, aiohttp with the first bytes of a body.
    await response.write(b"\n")


def _key(request: web.Request, form: dict[str, Any]) -> str:
    tenant = f"{request.headers.get('AccountID', '')}:{request.headers.get('ProjectID', '')}"
    asked = " ".join(f"{name}={value}" for name, value in sorted(form.items()))
    return f"{request.method} {request.path} {tenant} {asked}"


@pytest.fixture
async def victorialogs(tmp_path: Path) -> AsyncIterator[VictoriaLogs]:
    async with VictoriaLogs(tmp_path / "victorialogs") as server:
        yield server
