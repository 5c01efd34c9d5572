"""The platform on three hosts: two edges, one log store, and what must be equal everywhere."""

import asyncio
import itertools
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tests.stack.lab.box import SITE, TOKEN, Box
from tests.stack.lab.lab import Lab
from tests.stack.lab.load import Load, posting
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.images import build_shop
from wharfinger.operator.parts.process import Condition, until

INSTANCES: Final = 2  # on each host
PATIENCE_SECONDS: Final = 60.0
SOON_SECONDS: Final = 20.0
# Twice round for each worker of an Nginx that has two.
ASKED_PER_INSTANCE: Final = 5
ORDER: Final = re.compile(r"POST /order\?n=(\d+) 200")


@dataclass(frozen=True, slots=True)
class State:
    """The shop's instances, as each place sees them.

    Attributes:
        runs: what really listens, on all hosts that are on.
        etcd: what each member holds, by host.
        served: what each edge's Nginx answers from, by host.
        kept: how many the edges serve besides, which etcd lost with their lease.
    """

    runs: frozenset[str]
    etcd: dict[str, frozenset[str]]
    served: dict[str, frozenset[str]]
    kept: float

    @property
    def equal(self) -> bool:
        """Whether all places see the same, and anything at all."""
        places = {self.runs, *self.etcd.values(), *self.served.values()}
        return len(places) == 1 and bool(self.runs) and not self.kept


class Platform:
    """Three hosts with everything on them.

    Attributes:
        lab: the hosts.
        boxes: what runs on each: box1 is an edge whose Nginx takes pushes, box2 one that is
            reloaded, box3 has the store.
        spent: a test has changed what no other test may find.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.spent = False
        self._numbers = itertools.count(1)
        lua = (True, False, None)
        self.boxes = [
            Box(host, lab.hosts, lua=lua[n], store=lab.hosts[2]) for n, host in enumerate(lab.hosts)
        ]

    @property
    def edges(self) -> list[Box]:
        """Those with an Nginx."""
        return [box for box in self.boxes if box.nginx is not None]

    @property
    def store(self) -> Box:
        """The one with the log store."""
        return self.boxes[2]

    def load(self) -> AbstractAsyncContextManager[Load]:
        """Orders through all edges."""
        edges = [edge.host.ip for edge in self.edges]
        return posting(self.lab.client, edges, SITE, self._numbers)

    async def start(self) -> None:
        """Switches all hosts on and starts the instances; returns when all is equal."""
        await self.lab.power_on()
        await self._load_image()
        await asyncio.gather(*(box.until_ready() for box in self.boxes))
        names = [(box, f"shop-{n}") for box in self.boxes for n in range(INSTANCES)]
        await asyncio.gather(*(box.run_shop(name) for box, name in names))
        await self.until_equal(len(names))

    async def state(self) -> State:
        """Looks at all hosts that are on."""
        boxes = [box for box in self.boxes if box.host.running]
        runs = await asyncio.gather(*(box.listening() for box in boxes))
        held = await asyncio.gather(*(_held(box) for box in boxes))
        everything = frozenset[str]().union(*runs)
        edges = [box for box in boxes if box.nginx is not None]
        asked = ASKED_PER_INSTANCE * len(everything) + 5
        served = await asyncio.gather(*(self._served(box, asked) for box in edges))
        return State(
            everything,
            {box.host.name: found for box, found in zip(boxes, held, strict=True)},
            {box.host.name: found for box, found in zip(edges, served, strict=True)},
            sum(await asyncio.gather(*(_kept(box) for box in edges))),
        )

    async def until_equal(
        self, count: int | None = None, seconds: float = PATIENCE_SECONDS
    ) -> float:
        """Waits until all places see the same instances, so many; gives the seconds that took.

        Raises:
            Unavailable: they never did; with what each saw last.
        """
        since, last = time.monotonic(), None

        async def reached() -> bool:
            nonlocal last
            last = await self.state()
            return last.equal and count in {None, len(last.runs)}

        try:
            await until(reached, timeout_seconds=seconds, what="all places see the same")
        except Unavailable as error:
            raise Unavailable(f"{error}: {last}") from error
        return time.monotonic() - since

    async def until(self, condition: Condition, what: str) -> None:
        """Waits until it holds.

        Raises:
            Unavailable: it did not; the message says `what`.
        """
        await until(condition, timeout_seconds=PATIENCE_SECONDS, what=what)

    async def until_healthy(self, seconds: float = PATIENCE_SECONDS) -> float:
        """Waits until every daemon is well; gives the seconds that took."""
        since = time.monotonic()
        for box in self.boxes:
            if box.host.running:
                await box.until_ready(seconds)
        return time.monotonic() - since

    async def stored_orders(self) -> Counter[int]:
        """How often each order's line is in the store."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = "http://127.0.0.1:7280/api/export?app=shop"
        # All that the tests of a platform ever stored: on a busy machine it takes its time.
        patient = self.store.host.session(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS))
        async with patient as session, session.get(url, headers=headers) as got:
            text = await got.text()
        lines = (json.loads(line)["message"] for line in text.splitlines())
        return Counter(int(match[1]) for line in lines if (match := ORDER.match(line)))

    async def until_stored(self, orders: Collection[int]) -> Counter[int]:
        """Waits until the line of each of these orders is in the store; gives all that are.

        Raises:
            Unavailable: some never came.
        """
        stored: Counter[int] = Counter()
        missing = set(orders)

        async def there() -> bool:
            nonlocal stored, missing
            stored = await self.stored_orders()
            missing = set(orders) - stored.keys()
            return not missing

        try:
            await until(there, timeout_seconds=PATIENCE_SECONDS, what="all lines are stored")
        except Unavailable as error:
            raise Unavailable(f"{error}: {len(missing)} missing: {sorted(missing)[:20]}") from error
        return stored

    def written_orders(self) -> set[int]:
        """The orders whose line Docker has on the disk of some host."""
        lines = [line for box in self.boxes for line in box.written()]
        return {int(match[1]) for line in lines if (match := ORDER.match(line))}

    async def is_as_new(self) -> bool:
        """Whether a test finds what it would find after a start, at once or soon."""
        wanted = {f"shop-{n}" for n in range(INSTANCES)}
        try:
            for box in self.boxes:
                there = await box.host.docker.run("ps", "--all", "--format={{.Names}}")
                if set(there.split()) != wanted:
                    return False
            await self.until_equal(len(self.boxes) * INSTANCES, SOON_SECONDS)
            await self.until_healthy(SOON_SECONDS)
        except Unavailable:
            return False
        return not self.spent

    def keep_logs(self, folder: Path) -> None:
        """Copies what everything has printed."""
        for log in (*self.lab.folder.glob("*/*.log"), *self.lab.folder.glob("*/*/*.log")):
            copy = folder / log.relative_to(self.lab.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, copy)

    async def _load_image(self) -> None:
        first, *others = self.boxes
        await build_shop(first.host.docker, first.host.folder / "image")
        archive = self.lab.folder / "shop.tar"
        await first.host.docker.run("save", "--output", archive, "shop")
        await asyncio.gather(*(box.host.docker.run("load", "--input", archive) for box in others))

    async def _served(self, edge: Box, requests: int) -> frozenset[str]:
        """What it answers from; anything but an answer is among them, too."""
        url, headers = f"http://{edge.host.ip}/", {"Host": SITE}
        # Asked from the host itself, which may be cut off from all others.
        async with edge.host.session() as session:
            asking = (self._asked(session, url, headers) for _ in range(requests))
            return frozenset(await asyncio.gather(*asking))

    async def _asked(
        self, session: aiohttp.ClientSession, url: str, headers: dict[str, str]
    ) -> str:
        try:
            async with session.get(url, headers=headers) as answer:
                said = (await answer.text()).strip()
                return self._address(said) if answer.ok else f"{answer.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__

    def _address(self, port: str) -> str:
        """Who has this port: every host gives others."""
        owner = next(box for box in self.boxes if box.ports[0] <= int(port) <= box.ports[1])
        return f"{owner.host.ip}:{port}"


async def _held(box: Box) -> frozenset[str]:
    try:
        return frozenset((await box.keys()).values())
    except (aiohttp.ClientError, TimeoutError, KeyError) as error:
        return frozenset({type(error).__name__})


async def _kept(edge: Box) -> float:
    try:
        return await edge.metric("discovery", "kept_instances")
    except (aiohttp.ClientError, TimeoutError):
        return float("nan")
