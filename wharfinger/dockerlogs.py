"""Containers' logs through Docker's API: open answers, any number of them at once."""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from wharfinger.dockeraddress import unreachable
from wharfinger.errors import ConfigError, Finding, Rejected, Unavailable
from wharfinger.sections import DockerConfig

CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
BUFFER_BYTES: Final = 32 * 2**10
WHY_CHARACTERS: Final = 200

Pieces = AsyncIterable[tuple[bytes, bool]]


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How long.

    Attributes:
        begin_seconds: until an answer begins: dockerd gives none while it starts the container.
        silence_seconds: within an answer that ends by itself.
    """

    begin_seconds: float = 60.0
    silence_seconds: float = 60.0


class DockerLogs:
    """Asks the engine behind `[docker] url` for logs alone; an async context manager.

    The engine's other client holds a hundred connections at most, and an open answer takes one.
    """

    def __init__(self, config: DockerConfig, *, limits: LogLimits | None = None) -> None:
        self._url = config.url
        self._limits = limits or LogLimits()
        self._base = ""
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            self._base, connector = _connector(self._url)
        except (ValueError, OSError) as error:
            finding = Finding("docker.url", f"{self._url!r} cannot be used: {error}")
            raise ConfigError([finding]) from error
        self._opened = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.close()
        self._opened = None

    @contextlib.asynccontextmanager
    async def logs(
        self, container_id: str, *, follow: bool, last: int | None, terminal: bool = False
    ) -> AsyncIterator[Pieces | None]:
        """A container's log, each entry with its time; None when there is no such container.

        What comes is in Docker's frames, unless the container has a terminal: then beside each
        piece stands whether a chunk of HTTP ends with it.

        Args:
            container_id: 64 hexadecimal digits.
            follow: stays open for what comes, as long as the container runs.
            last: begins with so many of the last entries; None for all that Docker has.
            terminal: the container has one.

        Raises:
            Unavailable: the engine cannot be reached, fails, or is just removing the container.
            Rejected: nothing can be read of this one's log.
        """
        if self._opened is None:
            raise RuntimeError("DockerLogs is used outside its `async with`")
        if not CONTAINER_ID.fullmatch(container_id):
            raise Rejected(f"{container_id[:80]!r} is no container's id")
        parameters = {"stdout": "1", "stderr": "1", "timestamps": "1"}
        parameters["follow"] = str(int(follow))
        parameters["tail"] = "all" if last is None else str(last)
        silence = None if follow else self._limits.silence_seconds
        with self._asking():
            async with asyncio.timeout(self._limits.begin_seconds):
                answer = await self._opened.get(
                    f"{self._base}/containers/{container_id}/logs",
                    params=parameters,
                    timeout=aiohttp.ClientTimeout(total=None, sock_read=silence),
                    read_bufsize=BUFFER_BYTES,
                )
        async with answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                yield None
                return
            await self._accept(answer)
            yield self._chunks(answer) if terminal else self._any(answer)

    async def _accept(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status == HTTPStatus.OK:
            return
        with self._asking():
            async with asyncio.timeout(self._limits.begin_seconds):
                said = (await answer.text()).strip()[:WHY_CHARACTERS]
        why = f"Docker at {self._url}: {said}"
        refused = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
        if answer.status == HTTPStatus.NOT_IMPLEMENTED or (
            refused and answer.status != HTTPStatus.CONFLICT
        ):
            raise Rejected(why)
        raise Unavailable(why)

    async def _chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[bytes, bool]]:
        with self._asking():
            async for piece in answer.content.iter_chunks():
                yield piece

    async def _any(self, answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[bytes, bool]]:
        with self._asking():
            async for data in answer.content.iter_any():
                yield data, False

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f"Docker at {self._url} does not answer for a log") from error
        except (aiohttp.ClientError, OSError) as error:
            why = f"Docker at {self._url} cut the connection: {error!r:.{WHY_CHARACTERS}}"
            raise Unavailable(unreachable(self._url, error) or why) from error


def _connector(url: str) -> tuple[str, aiohttp.BaseConnector]:
    """What requests begin with, and what makes their connections."""
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        return "http://docker", aiohttp.UnixConnector(rest, limit=0)
    # The docker command's own variables, as the engine's other client takes them.
    if os.environ.get("DOCKER_TLS_VERIFY") != "1":
        return f"http://{rest}", aiohttp.TCPConnector(limit=0)
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return f"https://{rest}", aiohttp.TCPConnector(limit=0, ssl=context)
