"""Lines page by page, however many: forward or backward, through a store that goes away."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from wharfinger.backoff import Backoff
from wharfinger.errors import Unavailable
from wharfinger.operator.logs.client import Busy, Identified, Page, Store
from wharfinger.operator.logs.question import Parameters, having

# Each page costs the store a search of its own; but it is whole in memory, here and there.
FIRST_PAGE_LINES: Final = 1_000
PAGE_LINES: Final = 5_000
PAGE_BYTES: Final = 8 * 2**20
# For what runs for minutes: a store that restarts is back by then.
PATIENCE_SECONDS: Final = 60.0
# For who sits before it.
BUSY_SECONDS: Final = 10.0
_BACKOFF_CAP_SECONDS: Final = 5.0

T = TypeVar("T")
_line: Final = msgspec.json.Decoder(dict[str, Any])
_identified: Final = msgspec.json.Decoder(Identified)


async def pages(
    store: Store,
    parameters: Parameters,
    *,
    limit: int | None = None,
    newest_first: bool = False,
    patience_seconds: float = 0.0,
    complain: Callable[[str], None] = lambda _text: None,
) -> AsyncGenerator[list[msgspec.Raw], None]:
    """All lines that fit, each a JSON object as the store wrote it.

    A page is given whole, or asked for again: none is left out, none comes twice.

    Args:
        store: who is asked.
        parameters: what is asked.
        limit: lines at most; None for all.
        newest_first: downward in time.
        patience_seconds: how long a page behind the first may be asked for in vain.
        complain: is told once when the store has gone away.

    Raises:
        Unavailable: it did not come back.
    """
    left, beyond, size = limit, "", min(FIRST_PAGE_LINES, PAGE_LINES)
    order = having(parameters, order="" if newest_first else "oldest")
    while left is None or left > 0:
        wanted = size if left is None else min(left, size)
        asked = having(order, **{"before" if newest_first else "after": beyond})

        async def ask(asked: Parameters = asked, wanted: int = wanted) -> Page:
            return await store.page(asked, wanted)

        # Who is not there at the beginning will hardly be for the waiting.
        page = await persistent(ask, patience_seconds if beyond else 0.0, complain)
        if page.hits:
            before, beyond = beyond, _last(store, page)
            if beyond == before:
                raise Unavailable(f"log store {store.url}: it gives one page again and again")
            yield page.hits
        if not page.more or not page.hits:
            return
        left = None if left is None else left - len(page.hits)
        length = sum(len(bytes(hit)) for hit in page.hits) // len(page.hits)
        size = max(min(PAGE_LINES, PAGE_BYTES // max(length, 1)), 1)


async def persistent(
    ask: Callable[[], Awaitable[T]],
    patience_seconds: float = 0.0,
    complain: Callable[[str], None] = lambda _text: None,
) -> T:
    """An answer, of a store that is busy for a moment or, with patience, away for longer.

    Raises:
        Unavailable: it took too long.
    """
    loop = asyncio.get_running_loop()
    began, told = loop.time(), False
    backoff = Backoff(first_seconds=0.2, cap_seconds=_BACKOFF_CAP_SECONDS)
    while True:
        try:
            return await ask()
        except Unavailable as error:
            wait = backoff.next_delay_seconds()
            patience = patience_seconds
            if isinstance(error, Busy):
                wait, patience = max(wait, error.wait_seconds), max(patience, BUSY_SECONDS)
            if loop.time() + wait > began + patience:
                raise
            if not told:
                complain(f"{error}; trying again")
                told = True
        await asyncio.sleep(wait)


def lines(found: list[msgspec.Raw]) -> list[dict[str, Any]]:
    """The lines of a page.

    Raises:
        Unavailable: one is none.
    """
    try:
        return [_line.decode(raw) for raw in found]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unavailable("the log store sent what is no line") from None


def _last(store: Store, page: Page) -> str:
    try:
        return _identified.decode(page.hits[-1]).id
    except msgspec.MsgspecError:
        raise Unavailable(f"log store {store.url}: it sent what is no line") from None
