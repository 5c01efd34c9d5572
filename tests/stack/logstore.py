"""A log store as a process of its own, and senders of numbered lines that it must keep."""

import asyncio
import contextlib
import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from wharfinger.operator.parts.process import Process, free_port, until


class StoreProcess:
    """A log store as a process, on a port and a folder of its own.

    Args:
        folder: of its data and its log.
        settings: of `[logstore]`, by name; of other sections with these in front.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.data_dir = folder / "data"
        given: dict[str, object] = {
            "listen": self.url.removeprefix("http://"),
            "data_dir": self.data_dir,
            "min_free_bytes": 0,
            **settings,
        }
        full = {name if "." in name else f"logstore.{name}": v for name, v in given.items()}
        arguments = [part for name, v in full.items() for part in ("--set", f"{name}={v}")]
        self.process = Process(
            [sys.executable, "-m", "logshipper.store", "run", *arguments],
            log=folder / "logstore.log",
            name="logstore",
        )

    async def start(self) -> float:
        """Starts it and waits until it is ready; gives the seconds that took."""
        began = time.monotonic()
        await self.process.start(self.ready)
        return time.monotonic() - began

    async def ready(self) -> bool:
        async with aiohttp.ClientSession() as client:
            return await self._is_ready(client)

    async def _is_ready(self, client: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with client.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        return False


class Server(StoreProcess):
    """The same, with a client that sends, asks and counts."""

    def __init__(self, folder: Path, client: aiohttp.ClientSession, **settings: object) -> None:
        super().__init__(folder, **settings)
        self.client = client

    async def ready(self) -> bool:
        return await self._is_ready(self.client)

    async def bulk(
        self, lines: dict[str, str], token: str = "", **fields: object
    ) -> dict[str, int]:
        """Sends id to message; the status of each id, none at all for a whole refusal."""
        body = b"".join(
            json.dumps({"create": {"_id": identity}}).encode()
            + b"\n"
            + json.dumps({"message": message, "app": "shop", **fields}).encode()
            + b"\n"
            for identity, message in lines.items()
        )
        packed, headers = gzip.compress(body, 1), {"Content-Encoding": "gzip", **bearer(token)}
        async with self.client.post(f"{self.url}/_bulk", data=packed, headers=headers) as answer:
            if answer.status != 200:
                return {}
            items = (await answer.json())["items"]
        assert len(items) == len(lines)
        return {item["create"]["_id"]: item["create"]["status"] for item in items}

    async def messages(self, token: str = "") -> list[str]:
        async with self.client.get(f"{self.url}/api/export", headers=bearer(token)) as answer:
            assert answer.status == 200
            return [json.loads(line)["message"] for line in (await answer.text()).splitlines()]

    async def get(self, path: str) -> Any:
        async with self.client.get(f"{self.url}{path}") as answer:
            return await answer.json()


class Sender:
    """Sends numbered lines of one source, each body until it is acknowledged.

    Args:
        server: where to.
        number: of the source.
        body_lines: lines in a body.
        token: to send with.
        times: of the bodies, in turn; none for the time of arrival.

    Attributes:
        acknowledged: the lines that were answered with success.
        going: cleared, nothing more is sent until it is set.
    """

    def __init__(
        self,
        server: Server,
        number: int,
        body_lines: int = 150,
        *,
        token: str = "",
        times: tuple[str, ...] = (),
    ) -> None:
        self.token = token
        self._server = server
        self._source = f"{number:016x}.1"
        self._lines = body_lines
        self._times = times
        self._next = 0
        self.acknowledged: set[str] = set()
        self.going = asyncio.Event()
        self.going.set()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            fields = {"@timestamp": time} if (time := self._time()) else {}
            body = dict(self._body())
            while body:
                await self.going.wait()
                try:
                    statuses = await self._server.bulk(body, self.token, **fields)
                except (aiohttp.ClientError, ConnectionError, TimeoutError):
                    await until(self._server.ready, timeout_seconds=60, what="the store is back")
                    continue
                assert set(statuses.values()) <= {200, 201}
                for identity in statuses:
                    self.acknowledged.add(body.pop(identity))
            self._next += self._lines

    def _body(self) -> Iterator[tuple[str, str]]:
        for n in range(self._next, self._next + self._lines):
            yield f"{self._source}.{n * 97:x}", f"{self._source} line {n}"

    def _time(self) -> str:
        return self._times[self._next // self._lines % len(self._times)] if self._times else ""


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token, if there is one."""
    return {"Authorization": f"Bearer {token}"} if token else {}
