"""Docker's API as the daemons use it: lists, inspections, and a watch on containers."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer

from wharfinger.container import (
    Container,
    DockerEvent,
    EngineInfo,
    ExposedPort,
    Listed,
    PublishedPort,
    parse_container,
    parse_info,
)
from wharfinger.dockeraddress import unreachable
from wharfinger.dockerexec import Executed, Output
from wharfinger.dockerstats import ONE_LOOK, parse_cpu_seconds
from wharfinger.dockerwatch import ACTIONS, Watch, WatchLimits
from wharfinger.errors import ConfigError, Finding, Rejected, Unavailable
from wharfinger.roll import FIELDS, Roll
from wharfinger.sections import DockerConfig

__all__ = [
    "Container",
    "Docker",
    "DockerEvent",
    "EngineInfo",
    "Executed",
    "ExposedPort",
    "Limits",
    "Listed",
    "PublishedPort",
    "WatchLimits",
]

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)  # moby, daemon/names
WHY_CHARACTERS: Final = 300
EXEC_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
OUTPUT_BYTES: Final = 4_096
# The stream of an exec ends a moment before the engine knows its exit code.
EXIT_CODE_SECONDS: Final = 1.0
EXIT_CODE_TICK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much.

    Attributes:
        ping_timeout_seconds: no answer to a ping for so long: dockerd hangs.
        request_timeout_seconds: for any other request.
        list_timeout_seconds: for a list with all its inspections.
        inspections: containers that are inspected at the same time.
        watch: those of a watch.
    """

    ping_timeout_seconds: float = 3.0
    request_timeout_seconds: float = 5.0
    list_timeout_seconds: float = 60.0
    inspections: int = 8
    watch: WatchLimits = field(default_factory=WatchLimits)


class Docker:
    """The engine behind `[docker] url`; an async context manager.

    Every method raises `Unavailable` when the engine cannot be reached, does not answer in time
    or fails by itself (5xx), and `Rejected` when it refuses this one request (4xx).
    """

    def __init__(self, config: DockerConfig, *, limits: Limits | None = None) -> None:
        self._url = config.url
        self._limits = limits or Limits()
        self._opened: aiodocker.Docker | None = None
        self._watches: set[Watch] = set()

    async def __aenter__(self) -> Self:
        try:
            self._opened = aiodocker.Docker(url=self._url)
        except (ValueError, OSError) as error:  # DOCKER_CERT_PATH without certificates, ...
            finding = Finding("docker.url", f"{self._url!r} cannot be used: {error}")
            raise ConfigError([finding]) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()
        self._opened = None

    @property
    def reconnects(self) -> int:
        """How often the open watches lost their stream."""
        return sum(watch.reconnects for watch in self._watches)

    @property
    def overflows(self) -> int:
        """How often events came faster than they were taken for too long, in open watches."""
        return sum(watch.overflows for watch in self._watches)

    async def info(self) -> EngineInfo:
        """What the engine says of itself (`GET /info`)."""
        async with self._asking("info", self._limits.request_timeout_seconds):
            told = await self._client.system.info()
        return parse_info(told)

    async def ping(self) -> None:
        """Asks for a sign of life (`GET /_ping`), which takes no lock inside dockerd."""
        asking = self._asking("ping", self._limits.ping_timeout_seconds)
        url = f"{self._client.docker_host}/_ping"
        async with asking, self._client.session.get(url) as answer:
            await self._accept(answer, "ping")
            await answer.read()

    async def inspect(self, container_id: str) -> Container | None:
        """One container by id or name; None when there is none."""
        _check_name(container_id)
        what = f"inspect {container_id[:12]}"
        async with self._asking(what, self._limits.request_timeout_seconds):
            try:
                told = await self._client.containers.container(container_id).show()
            except aiodocker.DockerError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return None
                raise
        return parse_container(told)

    async def cpu_seconds(self, container_id: str) -> float | None:
        """What a container has used of all cores since its start; None when there is none."""
        _check_name(container_id)
        what = f"stats {container_id[:12]}"
        url = f"{self._client.docker_host}/containers/{container_id}/stats"
        async with (
            self._asking(what, self._limits.request_timeout_seconds),
            self._client.session.get(url, params=ONE_LOOK) as answer,
        ):
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            await self._accept(answer, what)
            return parse_cpu_seconds(await answer.read())

    async def containers(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002  Docker's own word
        """The running containers, or all; one that vanishes or cannot be read is absent."""
        return (await self.list(all=all)).containers

    async def list(self, *, all: bool = False, roll: Roll | None = None) -> Listed:  # noqa: A002  Docker's own word
        """The running containers, or all, and the ids of those that could not be read.

        Args:
            all: those that do not run, too.
            roll: what was found before; who is the same is not inspected again. Takes what is
                found now.
        """
        roll = roll or Roll()
        async with self._asking("list", self._limits.list_timeout_seconds):
            began = time.monotonic()
            found = [_entry(each) for each in await self._client.containers.list(all=all)]
            same = roll.same(found, began=began, now=time.monotonic())
            gate = asyncio.Semaphore(self._limits.inspections)
            others = [each for each in found if each["Id"] not in same]
            tasks = [asyncio.create_task(self._inspect_or_id(each["Id"], gate)) for each in others]
            try:
                read = await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
        for entry, each in zip(others, read, strict=True):
            if isinstance(each, Container):
                roll.inspected(entry, each, began=began)
        return Listed(
            containers=(*same.values(), *(each for each in read if isinstance(each, Container))),
            unknown=frozenset(each for each in read if isinstance(each, str)),
            began=began,
        )

    async def watch(
        self,
        *,
        on_alive: Callable[[], None] = lambda: None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> AsyncGenerator[Listed | DockerEvent, None]:
        """Tells what happens to containers, for ever; nothing that Docker does ends it.

        A `Listed` comes first, and again after every reconnection, overflow and doubt. After it
        come the events that happened since it was begun, each once and in order; of those before
        it only each `kill`, which no list shows. Events of a container's earlier runs are left
        out where the list told of a later one.

        Args:
            on_alive: called again and again while dockerd answers and its last list was good.
            on_trouble: called with the reason whenever it does not, or the list fails.
        """
        watch = Watch(self, self._limits.watch, on_alive, on_trouble)
        self._watches.add(watch)
        try:
            async with aclosing(watch.updates()) as updates:
                async for update in updates:
                    yield update
        finally:
            self._watches.discard(watch)

    def relist(self) -> None:
        """Has every open watch list now; a list under way does not count."""
        for watch in self._watches:
            watch.relist()

    @contextlib.asynccontextmanager
    async def events(self, since_ns: int) -> AsyncIterator[AsyncIterable[bytes]]:
        """Subscribes to what happens to containers; nothing from now on is missing.

        Args:
            since_ns: tells what was before, too, as far as dockerd's buffer of 256 events goes,
                in Unix nanoseconds; not after now.
        """
        # dockerd answers before it subscribes (moby, api/server/router/system): what happens
        # between the two is only in its buffer, from which `since` makes it send.
        parameters = {
            "since": f"{since_ns // 10**9}.{since_ns % 10**9:09d}",
            "filters": json.dumps({"type": ["container"], "event": ACTIONS}),
        }
        # An engine that was replaced meanwhile may speak another version of the API.
        self._client.api_version = "auto"
        url = f"{self._client.docker_host}/events"
        no_limit = aiohttp.ClientTimeout(total=None)
        async with self._asking("events", self._limits.request_timeout_seconds):
            answer = await self._client.session.get(url, params=parameters, timeout=no_limit)
        # aiodocker's own event task drops the error and ends for good: the stream is read raw.
        async with answer:
            async with self._asking("events", self._limits.request_timeout_seconds):
                await self._accept(answer, "events")
            yield self._chunks(answer)

    async def exec(
        self,
        container_id: str,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        timeout_seconds: float,
        on_start: Callable[[str], None] = lambda _: None,
    ) -> Executed:
        """Runs a command inside a running container, as the container's own user.

        Args:
            container_id: id or name.
            words: the command; no shell is involved but the one it names.
            environment: more variables for it.
            timeout_seconds: how long it is waited for; it runs on afterwards.
            on_start: told the exec's id before anything runs, for whoever is cancelled.
        """
        _check_name(container_id)
        what = f"exec in {container_id[:12]}"
        container = self._client.containers.container(container_id)
        async with self._asking(what, self._limits.request_timeout_seconds):
            made = await container.exec(list(words), environment=environment)
        exec_id = made.id
        if not EXEC_ID.fullmatch(exec_id):
            raise Unavailable(f"Docker at {self._url} answered nonsense ({what})")
        on_start(exec_id)
        output = Output(OUTPUT_BYTES)
        patience = EXIT_CODE_SECONDS
        try:
            async with asyncio.timeout(timeout_seconds), self._asking(what, None):
                await self._follow(exec_id, output)
        except TimeoutError:
            patience = 0  # what it left in the background may hold the stream open: ask once
        return Executed(exec_id, await self._exit_code(exec_id, patience), output.text)

    async def executing(self, exec_id: str) -> bool:
        """Whether a command inside a container still runs."""
        return await self._exec_state(exec_id) is None

    async def _follow(self, exec_id: str, output: Output) -> None:
        url = f"{self._client.docker_host}/exec/{exec_id}/start"
        no_limit = aiohttp.ClientTimeout(total=None)
        begin = {"Detach": False, "Tty": False}
        async with self._client.session.post(url, json=begin, timeout=no_limit) as answer:
            await self._accept(answer, "exec")
            async for chunk in answer.content.iter_any():
                output.feed(chunk)

    async def _exit_code(self, exec_id: str, patience_seconds: float) -> int | None:
        for _ in range(int(patience_seconds / EXIT_CODE_TICK_SECONDS)):
            if (code := await self._exec_state(exec_id)) is not None:
                return code
            await asyncio.sleep(EXIT_CODE_TICK_SECONDS)
        return await self._exec_state(exec_id)

    async def _exec_state(self, exec_id: str) -> int | None:
        """The exit code, -1 when the exec or its container is gone; None while it runs."""
        async with self._asking("exec", self._limits.request_timeout_seconds):
            try:
                told = await self._client.containers.exec(exec_id).inspect()
            except aiodocker.DockerError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return -1
                raise
            if told["Running"]:
                return None
            code = told.get("ExitCode")
            return code if isinstance(code, int) else -1

    @property
    def _client(self) -> aiodocker.Docker:
        if self._opened is None:
            raise RuntimeError("Docker is used outside its `async with`")
        return self._opened

    async def _chunks(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        async with self._asking("events", None):
            async for chunk in answer.content.iter_any():
                yield chunk

    async def _inspect_or_id(
        self, known_id: str, gate: asyncio.Semaphore
    ) -> Container | str | None:
        async with gate:
            try:
                return await self.inspect(known_id)
            except (Unavailable, Rejected):
                # One container that dockerd chokes on, or whose lock it holds for ever, must not
                # hide all others; but with dockerd itself gone, nothing is known of any.
                await self.ping()
                return known_id

    async def _accept(self, answer: aiohttp.ClientResponse, what: str) -> None:
        if answer.status != HTTPStatus.OK:
            raise aiodocker.DockerError(answer.status, f"{what}: {await answer.text()}")

    @contextlib.asynccontextmanager
    async def _asking(self, what: str, timeout_seconds: float | None) -> AsyncIterator[None]:
        """Turns each way in which a request fails into what the caller does about it."""
        try:
            async with asyncio.timeout(timeout_seconds):
                yield
        except TimeoutError as error:
            why = f"Docker at {self._url} did not answer within {timeout_seconds} s ({what})"
            raise Unavailable(why) from error
        except aiodocker.DockerError as error:
            why = f"Docker at {self._url}: {error.message[:WHY_CHARACTERS]} ({what})"
            if HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise Rejected(why) from error
            raise Unavailable(unreachable(self._url, error.__context__) or why) from error
        except (aiohttp.ClientError, OSError) as error:
            why = f"Docker at {self._url} cut the connection: {error!r} ({what})"
            raise Unavailable(unreachable(self._url, error) or why) from error
        except (ValueError, TypeError, KeyError) as error:
            why = f"Docker at {self._url} answered nonsense: {error!r:.{WHY_CHARACTERS}} ({what})"
            raise Unavailable(why) from error


def _entry(found: DockerContainer) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": found.id}
    for field_name in FIELDS:
        with contextlib.suppress(KeyError):
            entry[field_name] = found[field_name]
    return entry


def _check_name(container_id: str) -> None:
    # Anything else could lead elsewhere in the API: the client resolves "..".
    if not NAME.fullmatch(container_id):
        raise Rejected(f"{container_id[:80]!r} is no container's id or name")
