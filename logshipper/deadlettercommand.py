"""`logshipper dead-letter list|replay`: what sinks refused, and how it is sent once more."""

import argparse
import contextlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from logshipper.census import Census
from logshipper.config import Config
from logshipper.deadletter import FILE_NAME, DeadLetters, Letter, offset_of, read_letter
from logshipper.replay import Replay
from logshipper.sinkconfig import AnySink
from logshipper.sinks.catalogue import make
from wharfinger import cli
from wharfinger.errors import Conflict, Exit, Rejected, Unavailable
from wharfinger.jsontext import encode_line
from wharfinger.text import printable, quantity

SHOWN: Final = 20
SHOWN_CHARACTERS: Final = 60


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "replay"), help="show them, or send them again")
    parser.add_argument("--sink", metavar="NAME", help="of this sink alone")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--limit",
        type=int,
        default=SHOWN,
        metavar="N",
        help=f"list: the newest of each sink ({SHOWN})",
    )


async def _run(parsed: argparse.Namespace, config: Config) -> Exit:
    sinks = [
        sink for sink in config.logshipper.sinks if parsed.sink in {None, sink.name}
    ]  # fmt: skip
    if not sinks:
        names = ", ".join(sink.name for sink in config.logshipper.sinks)
        raise Rejected(f"no sink is named {parsed.sink!r:.80}; there are: {names}")
    if parsed.action == "list":
        return _list(parsed, config, sinks)
    return await _replay(parsed, config, sinks)


def letters_of(config: Config, sink: AnySink) -> DeadLetters:
    """The dead letters of a sink."""
    path = config.folder_of(sink) / FILE_NAME
    return DeadLetters(path, sink.type, limit_bytes=sink.dead_letter_bytes)


def _list(parsed: argparse.Namespace, config: Config, sinks: list[AnySink]) -> Exit:
    told: list[dict[str, Any]] = []
    for sink in sinks:
        letters = letters_of(config, sink)
        newest = deque(_letters(letters), maxlen=max(0, parsed.limit))
        census = Census(letters)
        census.look()
        told.append({"sink": sink.name, **census.told(), "newest": list(newest)})
    if parsed.json:
        print(encode_line({"sinks": told}).decode())  # noqa: T201 - for programs
        return Exit.OK
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("SINK", "REFUSED AT", "STATUS", "REPLAYS", "REASON", "DOCUMENT"):
        table.add_column(heading, overflow="fold")
    for each in told:
        for read in each["newest"]:
            table.add_row(each["sink"], *_row(read))
    if table.row_count:
        Console().print(table, markup=False)
    for each in told:
        held = quantity(each["letters"], "dead letter")
        print(f"{each['sink']}: {held}, {quantity(each['bytes'], 'byte')}")  # noqa: T201
    return Exit.OK


def _row(read: Letter) -> tuple[str, ...]:
    moment = datetime.fromtimestamp(read.time, UTC).isoformat(timespec="seconds")
    document = (read.document or quantity(len(read.document_base64) * 3 // 4, "byte")).strip()
    texts = (read.reason, document[-SHOWN_CHARACTERS:] if read.document else document)
    return (moment, str(read.status), str(read.replays), *map(printable, texts))


def _letters(letters: DeadLetters) -> Iterator[Letter]:
    """All of them, oldest first; a line that is none is shown as what it is."""
    for path in letters.files():
        # A replay may have done with it meanwhile.
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(offset_of(path))
            for line in file:
                if not line.strip():
                    continue
                try:
                    yield read_letter(line)
                except ValueError:
                    text = line.decode("utf-8", "replace")
                    yield Letter(path.stat().st_mtime, 0, "is no letter", text, type="")


async def _replay(parsed: argparse.Namespace, config: Config, sinks: list[AnySink]) -> Exit:
    told: list[dict[str, Any]] = []
    code = Exit.OK
    for config_of_sink in sinks:
        letters = letters_of(config, config_of_sink)
        trouble = ""
        sink = make(config_of_sink)
        replay = Replay(letters, sink)
        try:
            if letters.files():
                await replay.run()
        except (Unavailable, Conflict) as error:
            trouble, code = str(error), Exit.TRY_LATER
        finally:
            await sink.close()
        outcome = replay.outcome
        told.append(
            {
                "sink": config_of_sink.name,
                "delivered": outcome.delivered,
                "refused": outcome.refused,
                "unreadable": outcome.unreadable,
                "dropped_bytes": outcome.dropped_bytes,
                "trouble": trouble,
            }
        )
    if parsed.json:
        print(encode_line({"sinks": told}).decode())  # noqa: T201 - for programs
        return code
    for each in told:
        line = "{sink}: {delivered} delivered, {refused} refused again, {unreadable} unreadable"
        print(line.format(**each))  # noqa: T201
        if each["dropped_bytes"]:
            dropped = quantity(each["dropped_bytes"], "byte")
            print(f"  the file is full: {dropped} of older letters had to go")  # noqa: T201
        if each["trouble"]:
            print(printable(f"  stopped: {each['trouble']}; the rest is kept"))  # noqa: T201
    return code


DEAD_LETTER: Final[cli.Verb[Config]] = cli.Verb(
    name="dead-letter",
    summary="list what sinks refused, or send it again",
    arguments=_arguments,
    run=_run,
)
