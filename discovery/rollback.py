"""`discovery history` and `discovery rollback`: what was served, and the way back to it."""

import argparse
import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec

from discovery.config import Config
from discovery.daemon import state_dir_of
from discovery.nginx.running import reader_of
from discovery.publish.changes import Change
from discovery.publish.history import Generation, History, Hold, name_of
from discovery.publish.journal import Journal
from discovery.publish.publisher import Publisher
from discovery.publish.swap import Swap
from discovery.resources.resources import Resource, find_resources
from discovery.resources.views import Rendered
from wharfinger import lock
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.text import printable

WAIT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
ASK_SECONDS: Final = 2.0


class _Resource(msgspec.Struct, frozen=True):
    name: str
    failed: str
    error: str


class _Status(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...] = ()


def history_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `discovery history`."""
    parser.add_argument("resource", nargs="?", help="this one alone")


def rollback_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `discovery rollback`."""
    parser.add_argument("resource", help="as `discovery history` names it")
    parser.add_argument("--to", metavar="GENERATION", help="else the one before")
    parser.add_argument("--release", action="store_true", help="follow etcd again")


async def history(parsed: argparse.Namespace, config: Config) -> Exit:
    """Prints what each resource has served, the latest first.

    Raises:
        Rejected: the resource that was named has served nothing.
    """
    kept = History(state_dir_of(config))
    names = kept.resources()
    if parsed.resource is not None and parsed.resource not in names:
        raise Rejected(f"{printable(parsed.resource)} has served nothing yet")
    for name in names if parsed.resource is None else [parsed.resource]:
        for line in _lines(name, kept):
            print(line)  # noqa: T201 - this is the command's output
    return Exit.OK


async def rollback(parsed: argparse.Namespace, config: Config) -> Exit:
    """Puts a former generation of one resource into service, and has it stay there.

    Raises:
        Rejected: there is no such resource or generation, or it did not get into service.
        Unavailable: the daemon has not done it in time.
    """
    kept = History(state_dir_of(config))
    resource = _resource(parsed.resource, config)
    if parsed.release:
        held = kept.let_go(resource.name)
        told = "follows etcd again" if held else "was not held"
        print(f"{resource.name} {told}")  # noqa: T201 - this is the command's output
        return Exit.OK
    chosen = _chosen(resource.name, kept, parsed.to)
    content = kept.content(resource.name, chosen.name)
    kept.hold(resource.name, Hold(chosen.name, time.time()))
    try:
        await _served(resource, content, config)
    except (Rejected, Unavailable):
        kept.let_go(resource.name)
        raise
    told = f"{resource.name} serves {chosen.name}, until its template or its file changes"
    print(f"{told}, or `discovery rollback {resource.name} --release`")  # noqa: T201
    return Exit.OK


def _lines(name: str, kept: History) -> Iterator[str]:
    hold = kept.held(name)
    for generation in kept.generations(name):
        at = datetime.fromtimestamp(generation.since, UTC).isoformat(timespec="seconds")
        mark = "  held" if hold and hold.generation == generation.name else ""
        with suppress(FileNotFoundError):  # the eldest, which the daemon has just forgotten
            yield f"{name}  {at}  {generation.name}  {generation.path.stat().st_size} bytes{mark}"


def _resource(name: str, config: Config) -> Resource:
    found = {resource.name: resource for resource in find_resources(config.discovery).resources}
    if name not in found:
        raise Rejected(f"no resource {printable(name)}; there are: {', '.join(sorted(found))}")
    if found[name].nginx is not None:
        raise Rejected(
            "the built-in resource is not rolled back: its file would name backends that are "
            "gone; take instances out with `wharfinger drain`"
        )
    return found[name]


def _chosen(name: str, kept: History, wanted: str | None) -> Generation:
    generations = kept.generations(name)
    if wanted is not None:
        for generation in generations:
            if generation.name == wanted:
                return generation
        raise Rejected(f"{name} has no generation {printable(wanted)}; see `discovery history`")
    if not generations:
        raise Rejected(f"{name} has served nothing yet")
    # Twice is two steps back: what is held was served before what it was rolled back from.
    hold = kept.held(name)
    from_ = hold.generation if hold else generations[0].name
    at = [number for number, one in enumerate(generations) if one.name == from_]
    first = at[-1] if hold and at else 0
    before = [one for one in generations[first + 1 :] if one.name != from_]
    if not before:
        raise Rejected(f"{name}: nothing is kept from before {from_}")
    return before[0]


async def _served(resource: Resource, content: bytes, config: Config) -> None:
    """Waits for the daemon, which sees the hold; publishes it where none runs."""
    state_dir = state_dir_of(config)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.held(state_dir / "lock", "discovery rollback"))
        except Unavailable:
            await _by_the_daemon(resource, content, config)
            return
        publisher = Publisher(state_dir, reader_of)
        await publisher.recover()
        (outcome,) = await publisher.publish([Change(resource, Rendered(content))])
        if outcome.error:
            raise Rejected(str(outcome.error))


async def _by_the_daemon(resource: Resource, content: bytes, config: Config) -> None:
    journal, name = Journal(state_dir_of(config)), name_of(content)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await asyncio.to_thread(_is_served, resource, content, journal):
                if why := await _refusal(resource, name, config):
                    raise Rejected(why)
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise Unavailable(
            f"{resource.dest} is not {name} after {WAIT_SECONDS:g} s, and shall be no longer: "
            "the log of discovery says why"
        ) from None


def _is_served(resource: Resource, content: bytes, journal: Journal) -> bool:
    # In place it is while it is checked, too: until then the journal has it in doubt.
    in_place = Swap(resource.dest).content == content
    return in_place and resource.name not in {doubt.resource for doubt in journal.read()}


async def _refusal(resource: Resource, name: str, config: Config) -> str:
    """Why the daemon could not bring it into service; empty while it has not tried."""
    url = f"http://{config.discovery.listen}/status"
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            told = msgspec.json.decode(await response.read(), type=_Status)
    except (aiohttp.ClientError, OSError, msgspec.MsgspecError):
        return ""
    return next(
        (r.error for r in told.resources if (r.name, r.failed) == (resource.name, name)), ""
    )
