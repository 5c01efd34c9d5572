"""The demo, step by step; each step measures itself and says what must hold."""

import asyncio
import os
import random
import signal
import string
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import aiohttp

from wharfinger.etcd import Etcd
from wharfinger.keys import InstanceKey, Service
from wharfinger.kv import Changed, KeyValue
from wharfinger.operator.demo.console import Show, StepFailedError
from wharfinger.operator.demo.stage import DAEMONS, HOST_NAME, Stage
from wharfinger.operator.demo.traffic import posting
from wharfinger.operator.parts.images import build_shop
from wharfinger.operator.parts.process import until
from wharfinger.watch import Watch

SHOP: Final = Service("shop", "prod")
PATIENCE_SECONDS: Final = 30.0
REGISTRAR_AWAY_SECONDS: Final = 2.0
REQUESTS_BEFORE_STOP: Final = 200


class Story:
    """The steps, and what one leaves for the next."""

    def __init__(self, show: Show, stage: Stage, etcd: Etcd) -> None:
        self._show = show
        self._stage = stage
        self._etcd = etcd
        self._started = 0

    async def tell(self) -> None:
        """Runs every step.

        Raises:
            WharfingerError: the first that did not hold.
        """
        await self._start_daemons()
        await self._build_image()
        await self._start_containers(3)
        await self._serve_from_all(3)
        await self._scale(5)
        await self._stop_one_under_load()
        await self._kill_one()
        await self._kill_registrar()
        await self._find_log_line()

    async def _start_daemons(self) -> None:
        async with self._show.step("registrar, discovery, logstore and logshipper start") as step:
            starts = (self._stage.start_daemon(name) for name in DAEMONS)
            # Each is awaited: one that is left behind would outlive the stage.
            for outcome in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            step.tell("one configuration file, four processes, each ready by its own word")

    async def _build_image(self) -> None:
        async with self._show.step("build the application's image from scratch") as step:
            image = await build_shop(self._stage.docker, self._stage.folder / "image")
            size = await self._stage.docker.run("image", "inspect", "-f", "{{.Size}}", image)
            name = image.removeprefix("sha256:")[:12]
            step.tell(f"{name}: {int(size) / 1e6:.1f} MB, entrypoint with-port")

    async def _start_containers(self, count: int) -> None:
        async with self._show.step(f"docker run, {count} times, on the host's network") as step:
            for _ in range(count):
                await self._run_container()
            keys = await self._instances(count)
            ports = {InstanceKey.parse(key).endpoint.port for key in keys}
            step.require(len(ports) == count, f"{count} containers, ports {sorted(ports)}")
            leases = {kv.lease for kv in keys.values()}
            step.require(len(leases) == 1 and 0 not in leases, f"leases {leases}")
            for key, kv in keys.items():
                step.tell(f"{key} = {kv.value.decode()}  lease {kv.lease:x}")

    async def _serve_from_all(self, count: int) -> None:
        async with self._show.step(f"Nginx answers from all {count}") as step:
            step.tell(f"answers from ports {', '.join(await self._answering(count))}")

    async def _scale(self, count: int) -> None:
        async with self._show.step(f"scale to {count}") as step:
            while self._started < count:
                await self._run_container()
            step.tell(f"answers from ports {', '.join(await self._answering(count))}")

    async def _stop_one_under_load(self) -> None:
        what = "docker stop of one, under POST requests, proxy_next_upstream off"
        async with self._show.step(what) as step:
            async with posting(f"{self._stage.url('nginx')}/order", HOST_NAME) as traffic:
                await traffic.more(REQUESTS_BEFORE_STOP)
                begun = time.monotonic()
                stopping = asyncio.create_task(self._stage.docker.run("stop", "shop-1"))
                await self._instances(4)
                unregistered = time.monotonic() - begun
                step.require(not stopping.done(), "the container ended before its key was gone")
                await stopping
                stopped = time.monotonic() - begun
                await traffic.more(REQUESTS_BEFORE_STOP)
            failed = traffic.failures.total()
            step.tell(
                f"its key was gone after {unregistered:.3f} s, it ended after {stopped:.3f} s"
            )
            step.tell(f"{traffic.answered} requests answered, {failed} failed")
            step.require(failed == 0, f"requests failed: {dict(traffic.failures)}")

    async def _kill_one(self) -> None:
        async with self._show.step("kill -9 of one container") as step:
            pid = await self._stage.docker.run("inspect", "-f", "{{.State.Pid}}", "shop-2")
            begun = time.monotonic()
            os.kill(int(pid), signal.SIGKILL)  # behind Docker's back
            await self._instances(3)
            step.tell(f"its key was gone after {time.monotonic() - begun:.3f} s")
            step.tell(f"answers from ports {', '.join(await self._answering(3))}")

    async def _kill_registrar(self) -> None:
        async with self._show.step("kill -9 of the registrar itself, and back") as step:
            before = await self._instances(3)
            seen: list[str] = []
            listed = asyncio.Event()
            watching = asyncio.create_task(self._watch(listed, seen))
            try:
                await listed.wait()
                registrar = self._stage.daemons["registrar"]
                await registrar.kill()
                await asyncio.sleep(REGISTRAR_AWAY_SECONDS)
                begun = time.monotonic()
                await self._stage.start_daemon("registrar")
                back = time.monotonic() - begun
            finally:
                watching.cancel()
            after = await self._instances(3)
            same = {key: (kv.value, kv.mod_revision, kv.lease) for key, kv in before.items()} == {
                key: (kv.value, kv.mod_revision, kv.lease) for key, kv in after.items()
            }
            step.tell(f"away {REGISTRAR_AWAY_SECONDS:g} s, ready again after {back:.2f} s")
            step.tell(f"watchers saw {len(seen)} changes; keys and lease are the same: {same}")
            step.require(same and not seen, f"watchers saw {seen}")

    async def _find_log_line(self) -> None:
        async with self._show.step("find a container's log line by full-text search") as step:
            word = "quay" + "".join(random.choices(string.ascii_lowercase, k=10))  # noqa: S311
            url = f"{self._stage.url('nginx')}/order?item={word}"
            async with aiohttp.ClientSession() as session:
                async with session.post(url, headers={"Host": HOST_NAME}) as response:
                    step.require(response.ok, f"the request was answered {response.status}")
                hit = await self._search(session, word)
            written = datetime.fromisoformat(str(hit["time"]))
            age = (datetime.now(UTC) - written).total_seconds()
            step.tell(f"q={word}: {hit['message']!r}")
            step.tell(f"found {age:.3f} s after the container wrote it")

    async def _search(self, session: aiohttp.ClientSession, word: str) -> dict[str, object]:
        url = f"{self._stage.url('logstore')}/api/search"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            async with session.get(url, params={"q": word, "app": SHOP.app}) as response:
                found = await response.json()
            if found.get("hits"):
                hit: dict[str, object] = found["hits"][0]
                return hit
            await asyncio.sleep(0.01)
        raise StepFailedError(f"{word} was not found in {PATIENCE_SECONDS:g} s")

    async def _watch(self, listed: asyncio.Event, seen: list[str]) -> None:
        async for update in Watch(self._etcd, (SHOP.prefix,)):
            if isinstance(update, Changed):
                seen.extend(event.key for event in update.events)
            else:
                listed.set()

    async def _run_container(self) -> None:
        self._started += 1
        name = f"shop-{self._started}"
        labels = {"app": SHOP.app, "env": SHOP.env, "host": HOST_NAME}
        flags = [f"--label=wharfinger.{key}={value}" for key, value in labels.items()]
        await self._stage.docker.run(
            "run", "--detach", "--network=host", f"--name={name}", *flags, "shop"
        )

    async def _instances(self, count: int) -> Mapping[str, KeyValue]:
        """Waits until etcd holds exactly `count` instances of the shop."""
        found: Mapping[str, KeyValue] = {}

        async def complete() -> bool:
            nonlocal found
            found = (await self._etcd.list(SHOP.prefix)).items
            return len(found) == count

        await until(complete, timeout_seconds=PATIENCE_SECONDS, what=f"{count} keys are in etcd")
        return found

    async def _answering(self, count: int) -> list[str]:
        """Waits until Nginx has answered from `count` containers in a row of requests."""
        url = self._stage.url("nginx") + "/"
        answers: list[str] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            while time.monotonic() < deadline:
                answers = []
                for _ in range(count * 8):
                    async with session.get(url, headers={"Host": HOST_NAME}) as response:
                        answers.append((await response.text()).strip())
                        if not response.ok:
                            break
                if response.ok and len(set(answers)) == count:
                    return sorted(set(answers))
                await asyncio.sleep(0.02)
        raise StepFailedError(f"Nginx answered from {sorted(set(answers))}, not from {count}")
