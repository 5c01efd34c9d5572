"""`logshipper tail`: the log of a container, as the shipper reads it, live in a terminal."""

import argparse
import re
import sys
from collections.abc import Iterable
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from logshipper import apilivetail
from logshipper.apilivetail import Asked
from logshipper.config import Config
from logshipper.livetail import Document, Place, Wish, caught_up
from logshipper.planning import decide
from logshipper.route import DRIVER, unreadable
from wharfinger import cli
from wharfinger.container import Container
from wharfinger.dockerd import Docker
from wharfinger.dockerlogs import DockerLogs
from wharfinger.errors import Exit, Rejected
from wharfinger.jsontext import encode_line
from wharfinger.logtext import RESET, harmless, moment
from wharfinger.text import printable, shortened

LINES: Final = 10
ALL: Final = "all"
MAX_LINES: Final = 1_000_000
NEAR: Final = 5
ID_DIGITS: Final = 12
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_STYLES: Final = {"stderr": "\x1b[31m", "stdout": "\x1b[36m"}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER", help="its name, or how its id begins")
    parser.add_argument("-f", "--follow", action="store_true", help="show new lines as they come")
    parser.add_argument("--since", default="", metavar="TIME", help="30m, 1h, 2d, or RFC 3339")
    parser.add_argument(
        "-n",
        "--lines",
        type=_count,
        metavar="N",
        help=f"the last N of what is there, or all ({LINES}; all with --since)",
    )
    parser.add_argument("--json", action="store_true", help="whole documents, for programs")


def _count(text: str) -> int | str:
    if text == ALL:
        return ALL
    if not text.isascii() or not text.isdigit() or int(text) > MAX_LINES:
        raise argparse.ArgumentTypeError(f"give a number up to {MAX_LINES}, or {ALL}")
    return int(text)


async def _run(parsed: argparse.Namespace, config: Config) -> Exit:
    wish = _wish(parsed, datetime.now(UTC))
    colours = sys.stdout.isatty()

    def show(document: Document) -> None:
        text = encode_line(document).decode() if parsed.json else line(document, colours=colours)
        sys.stdout.write(f"{text}\n")
        if parsed.follow:
            sys.stdout.flush()

    async with Docker(config.docker) as docker, DockerLogs(config.docker) as logs:
        container = await found(docker, parsed.container)
        place = _place(container, Path((await docker.info()).data_root), config)
        if place.route.driver:
            asked = Asked(logs, docker, container)
            reader = await apilivetail.caught_up(
                asked, place, wish, _complain, show, follow=parsed.follow
            )
        else:
            reader = await caught_up(place, wish, _complain, show, follow=parsed.follow)
        with closing(reader):
            if not parsed.follow:
                return Exit.OK
            async with aclosing(reader.coming()) as documents:
                async for document in documents:
                    show(document)
    _complain(f"container {_called(container)} was removed")
    return Exit.OK


def _wish(parsed: argparse.Namespace, now: datetime) -> Wish:
    since = None
    if parsed.since:
        since = datetime.fromisoformat(moment(parsed.since, now)).timestamp()
    asked: int | str = parsed.lines
    if parsed.lines is None:
        asked = ALL if parsed.since else LINES
    return Wish(None if isinstance(asked, str) else asked, since)


async def found(docker: Docker, asked: str) -> Container:
    """The container of that name, or whose id begins so.

    Raises:
        Rejected: there is none, or more than one; says which ones might be meant.
        Unavailable: Docker does not answer.
    """
    if _REFERENCE.fullmatch(asked) and (container := await _inspected(docker, asked)) is not None:
        return container
    names = {each.id: each.name for each in (await docker.list(all=True)).containers}
    raise Rejected(unknown(asked, names))


async def _inspected(docker: Docker, asked: str) -> Container | None:
    """Docker's own search: by id, then by name, then by the beginning of an id."""
    try:
        return await docker.inspect(asked)
    except Rejected:
        return None  # of several that begin so, it takes none


def unknown(asked: str, names: dict[str, str]) -> str:
    """Says that nobody is called so, and who nearly is.

    Args:
        asked: what was typed.
        names: of all containers, by id.
    """
    begun = sorted(
        f"{names[each]} ({each[:ID_DIGITS]})" for each in names if each.startswith(asked)
    )
    if len(begun) > 1:
        return f"{len(begun)} containers' ids begin with {asked!r:.80}: {_listed(begun)}"
    within = [name for name in sorted(names.values()) if asked.lower() in name.lower()]
    near = dict.fromkeys([*get_close_matches(asked, names.values(), NEAR, 0.5), *within])
    if near:
        return f"no container {asked!r:.80}; did you mean {_listed(near)}?"
    if names:
        return f"no container {asked!r:.80}; there are {_listed(sorted(names.values()))}"
    return f"no container {asked!r:.80}: Docker has none"


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NEAR} more" if len(listed) > NEAR else ""
    return ", ".join(listed[:NEAR]) + more


def _called(container: Container) -> str:
    return container.name or container.id[:ID_DIGITS]


def _place(container: Container, root: Path, config: Config) -> Place:
    called, driver = _called(container), container.log_driver
    if driver in {DRIVER, ""}:
        driver = ""
    elif why := unreadable(container):
        raise Rejected(f"container {called} has no log that can be read: {why}")
    routes = decide(config, container).values()
    route = next((each for each in routes if each.ship), next(iter(routes)))
    if not route.ship:
        _complain(f"container {called} is not shipped: {route.reason}")
    elif route.reason:
        _complain(route.reason)
    # What is not shipped is shown as it would be.
    route = replace(route, ship=True, driver=driver)
    path = root / "containers" / container.id / f"{container.id}-json.log"
    if container.log_path and not driver:
        path = Path(container.log_path)
    limit_bytes = config.logshipper.max_message_bytes
    return Place(container.id, path.parent, path.name, route, limit_bytes)


def line(document: dict[str, Any], *, colours: bool) -> str:
    """A document as people read it: time, stream, level, text; nothing in it drives a terminal."""
    # Nanoseconds tell lines apart in a store; milliseconds are enough for the eye.
    when = printable(re.sub(r"(\.\d{3})\d*", r"\1", str(document.get("@timestamp", "")))[:40])
    stream = printable(str(document.get("stream", ""))[:20])
    level = printable(str(document.get("level", ""))[:20])
    if colours:
        when, stream = f"\x1b[2m{when}{RESET}", f"{_STYLES.get(stream, '')}{stream}{RESET}"
    text = harmless(str(document.get("message", "")), colours=colours)
    return " ".join([*(part for part in (when, stream, level) if part), text])


def _complain(text: str) -> None:
    sys.stderr.write(f"logshipper: {printable(shortened(text, 500))}\n")


TAIL: Final = cli.Verb(
    name="tail",
    summary="show a container's log as it would be shipped, and follow it; asks no sink",
    arguments=_arguments,
    run=_run,
)
