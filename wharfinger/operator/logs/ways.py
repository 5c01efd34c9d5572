"""What `wharfinger logs` does: lines found, followed, surrounded, counted, saved."""

import asyncio
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wharfinger.errors import Conflict, Exit, Rejected
from wharfinger.operator import terminal
from wharfinger.operator.logs import counting
from wharfinger.operator.logs.access import Access
from wharfinger.operator.logs.client import Store
from wharfinger.operator.logs.excerpts import Window, excerpts
from wharfinger.operator.logs.following import Following, with_pauses
from wharfinger.operator.logs.highlight import Sought, sought
from wharfinger.operator.logs.pages import PATIENCE_SECONDS, lines, pages, persistent
from wharfinger.operator.logs.printing import Printer
from wharfinger.operator.logs.question import Parameters
from wharfinger.operator.logs.saving import Progress, save, suited
from wharfinger.operator.logs.shown import Style, moment
from wharfinger.operator.logs.wish import Wish
from wharfinger.text import quantity

# Questions for surroundings under way at once: the store has other readers.
ASKED_AT_ONCE: Final = 4


async def logs(wish: Wish, access: Access) -> Exit:
    """Does what is wished for.

    Raises:
        Unavailable: the store cannot be reached, or went away for good.
        Rejected: it cannot understand the question.
        ConfigError: it wants a token that we do not have.
        Conflict: it was interrupted, and what it has written is not whole.
    """
    now = datetime.now(UTC)
    parameters = wish.question.parameters(now)
    if wish.export is not None:
        suited(wish.export)
    async with access.store() as store:
        found = await _done(store, parameters, wish, now)
    if not found and wish.people and not (wish.quiet or wish.follow):
        # Who mistypes a name must not take silence for a quiet night.
        since = dict(parameters).get("from")
        span = f" since {moment(since, wish.zone, 'seconds')}" if since else ""
        terminal.complain(f"nothing was found{span}; --fields alone shows what there is")
    return Exit.EMPTY if wish.fail_empty and not found else Exit.OK


async def _done(store: Store, parameters: Parameters, wish: Wish, now: datetime) -> int:
    """Does it; gives the number of lines that were found."""
    if wish.quiet:
        return len((await persistent(lambda: store.page(parameters, 1))).hits)
    if wish.export is not None:
        return await _export(store, _ended(parameters, now), wish.export)
    if wish.histogram:
        return await counting.show_histogram(store, parameters, wish, now)
    if wish.top or wish.fields:
        return await counting.show_values(store, parameters, wish)
    printer = Printer(_style(wish))
    if wish.follow:
        await _follow(store, parameters, wish, printer)
    elif wish.context is not None:
        await _surround(store, parameters, wish, printer)
    elif wish.limit is None:
        await _stream(store, _ended(parameters, now), wish, printer)
    else:
        await _find(store, parameters, wish, printer)
    return printer.lines


async def _find(store: Store, parameters: Parameters, wish: Wish, printer: Printer) -> None:
    for each in await _newest(store, parameters, wish):
        printer.show(each)
    printer.pause()


async def _newest(
    store: Store, parameters: Parameters, wish: Wish
) -> list[list[dict[str, object]]]:
    """The newest lines, page by page in the order in which they are shown."""
    limit = wish.limit or 0
    # One more than is shown tells whether there are more.
    found = pages(store, parameters, limit=limit + 1, newest_first=True, complain=terminal.complain)
    held, left = [], limit
    async with aclosing(found):
        async for page in found:
            held.append(lines(page[:left]))
            left -= len(page)
    if left < 0 and wish.tells_more:
        terminal.complain(f"these are the newest {limit}; there are more: -n N, -n all, --since")
    return held if wish.newest_first else [page[::-1] for page in held[::-1]]


async def _stream(store: Store, parameters: Parameters, wish: Wish, printer: Printer) -> None:
    progress = Progress(shown=not wish.people and sys.stderr.isatty())
    found = pages(
        store,
        parameters,
        newest_first=wish.newest_first,
        patience_seconds=PATIENCE_SECONDS,
        complain=progress.complain,
    )
    try:
        async with aclosing(found):
            async for page in found:
                printer.show(lines(page))
                progress.add(len(page))
    except asyncio.CancelledError:
        if wish.people:
            raise  # who sits there has seen enough
        shown = quantity(printer.lines, "line")
        raise Conflict(f"interrupted after {shown}: these are not all") from None
    finally:
        progress.clear()
    printer.pause()


async def _surround(store: Store, parameters: Parameters, wish: Wish, printer: Printer) -> None:
    before, after = wish.context or (0, 0)
    narrow = asyncio.Semaphore(ASKED_AT_ONCE)

    async def window(hit: dict[str, object]) -> Window:
        async with narrow:
            # One line more: whether it follows right on the excerpt before it.
            identity = str(hit.get("id", ""))
            try:
                found = await persistent(lambda: store.around(identity, before + 1, after))
            except Rejected:
                return Window((), hit, ())  # its day was removed meanwhile
            return Window(found.before, hit, found.after)

    hits = [hit for page in (await _newest(store, parameters, wish)) for hit in page]
    if wish.newest_first:
        hits.reverse()
    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(window(hit)) for hit in hits]
    except BaseExceptionGroup as errors:
        # Each says the same: the store is away.
        raise errors.exceptions[0] from None
    found = excerpts((task.result() for task in asked), before, after)
    printer.show_excerpts(found[::-1] if wish.newest_first else found)


async def _follow(store: Store, parameters: Parameters, wish: Wish, printer: Printer) -> None:
    following = Following(store, parameters, wish.limit, terminal.complain)
    async with (
        aclosing(following.lines()) as every,
        aclosing(with_pauses(every)) as coming,
    ):
        async for hits in coming:
            if hits:
                printer.show(hits)
            else:
                printer.pause()


async def _export(store: Store, parameters: Parameters, path: Path) -> int:
    progress = Progress(shown=sys.stderr.isatty())
    found = pages(store, parameters, patience_seconds=PATIENCE_SECONDS, complain=progress.complain)
    try:
        async with aclosing(found):
            await save(path, found, progress)
    except asyncio.CancelledError:
        raise Conflict(f"interrupted after {progress}: {path} was not written") from None
    finally:
        progress.clear()
    progress.complain(f"{path}: {progress}")
    return progress.lines


def _ended(parameters: Parameters, now: datetime) -> Parameters:
    """Up to now, where no end was given: what reads forward would never end on a busy store."""
    if "to" in dict(parameters):
        return parameters
    return (*parameters, ("to", now.isoformat()))


def _style(wish: Wish) -> Style:
    fold = wish.fold
    if fold is None:
        fold = wish.people and wish.context is None and not wish.newest_first
    lined = wish.form in {"short", "long", "message"}
    return Style(
        form=wish.form,
        colours=wish.colours and wish.form not in {"json", "logfmt"},
        zone=wish.zone,
        # `grep` wants a row for each line.
        layout=lined and (wish.people or bool(wish.fold)),
        fold=fold and lined,
        marks=sought(wish.question.text) if wish.colours else Sought(),
        with_context=wish.context is not None,
    )
