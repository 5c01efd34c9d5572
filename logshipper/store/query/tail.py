"""Live tails: every line that fits goes to its followers as soon as it is committed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from logshipper.store.metrics import Metrics
from logshipper.store.model import LINE_BITS, Document, Hit, Key, Stream
from logshipper.store.query import plan as planning
from logshipper.store.query.fitting import expressed
from logshipper.store.query.order import size
from logshipper.store.query.plan import Plan
from logshipper.store.query.search import Effort

QUEUED_HITS: Final = 2_000
QUEUED_CHARACTERS: Final = 4 * 2**20
_LINE_MASK: Final = (1 << LINE_BITS) - 1


@dataclass(slots=True, eq=False)
class Follower:
    """One open tail.

    Attributes:
        tenant: whose lines.
        plan: which of them.
        limit: hits that wait for a slow reader; beyond it the oldest are dropped and counted.
        limit_characters: of the hits that wait, in the same way.
    """

    tenant: str
    plan: Plan
    limit: int = QUEUED_HITS
    limit_characters: int = QUEUED_CHARACTERS
    _hits: list[Hit] = field(default_factory=list)
    _dropped: int = 0
    _characters: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, hits: Sequence[Hit]) -> None:
        """Takes hits; on the event loop."""
        self._dropped += max(0, len(hits) - self.limit)
        hits = hits[-self.limit :]
        self._hits.extend(hits)
        self._characters += sum(map(size, hits))
        excess = max(0, len(self._hits) - self.limit)
        dropped = sum(map(size, self._hits[:excess]))
        while self._characters - dropped > self.limit_characters:
            dropped += size(self._hits[excess])
            excess += 1
        if excess:
            del self._hits[:excess]
            self._characters -= dropped
            self._dropped += excess
        self._more.set()

    async def batches(self, idle_seconds: float) -> AsyncIterator[tuple[list[Hit], int]]:
        """Hits and how many were dropped before them, for ever; nothing of both when idle."""
        while True:
            try:
                async with asyncio.timeout(idle_seconds):
                    await self._more.wait()
            except TimeoutError:
                yield [], 0
                continue
            self._more.clear()
            hits, dropped = self._hits, self._dropped
            self._hits, self._dropped, self._characters = [], 0, 0
            yield hits, dropped


class Tails:
    """All open tails.

    Args:
        loop: where the followers live.
        metrics: what to count.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> None:
        self._loop = loop
        self._metrics = metrics
        self._followers: tuple[Follower, ...] = ()
        self._versions: Counter[str] = Counter()

    def version(self, tenant: str) -> int:
        """Changes with every transaction, before it is acknowledged."""
        return self._versions[tenant]

    @contextmanager
    def follow(self, tenant: str, plan: Plan) -> Iterator[Follower]:
        """A follower, for as long as the block runs."""
        follower = Follower(tenant, plan)
        self._followers = (*self._followers, follower)
        self._metrics.tails.set(len(self._followers))
        try:
            yield follower
        finally:
            self._followers = tuple(f for f in self._followers if f is not follower)
            self._metrics.tails.set(len(self._followers))

    def committed(
        self, tenant: str, day: int, documents: Sequence[Document], row_ids: Sequence[int | None]
    ) -> None:
        """Takes what was committed, in the writer's thread."""
        self._versions[tenant] += 1
        followers = [follower for follower in self._followers if follower.tenant == tenant]
        if not followers:
            return
        hits = [
            Hit(day, Key(document.line.time_ns, row >> LINE_BITS, row & _LINE_MASK), document.line)
            for document, row in zip(documents, row_ids, strict=True)
            if row is not None
        ]
        self._loop.call_soon_threadsafe(self._hand_out, followers, hits)

    def _hand_out(self, followers: Sequence[Follower], hits: Sequence[Hit]) -> None:
        follower, *others = followers
        if kept := fitting(follower.plan, hits):
            follower.put(kept)
        if others:
            # One at a time: many followers of many lines must not keep all requests waiting.
            self._loop.call_soon(self._hand_out, others, hits)


def fitting(plan: Plan, hits: Sequence[Hit]) -> list[Hit]:
    """The lines that fit but for regular expressions, which run elsewhere."""
    filters, levels = plan.filters, planning.level_bits(plan.filters)
    known: dict[Stream, bool] = {}  # of few streams come many lines
    kept: list[Hit] = []
    for hit in hits:
        line = hit.line
        if not 1 << line.level & levels:
            continue
        taken = known.get(line.stream)
        if taken is None:
            taken = known[line.stream] = planning.accepts_stream(filters, line.stream)
        if taken and (
            not plan.checks_text or planning.accepts_text(plan, line.message, line.extra)
        ):
            kept.append(hit)
    return kept


def matching(plan: Plan, hits: Sequence[Hit], effort: Effort) -> list[Hit]:
    """The hits in which the expressions are found as they must; blocks.

    Raises:
        BadQuery: an expression takes too long.
    """
    return expressed(
        plan.regexes,
        list(hits),
        lambda hit: planning.regex_text(hit.line.message, hit.line.extra),
        effort.matching,
    )
