"""`logshipper plan`: which containers' logs would be shipped, how, and why not."""

import argparse
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from logshipper.config import Config
from logshipper.planning import decide, planned
from wharfinger import cli
from wharfinger.dockerd import Docker
from wharfinger.errors import Exit
from wharfinger.jsontext import encode_line
from wharfinger.text import printable

SHOWN_CHARACTERS: Final = 60
WIDE: Final = 240


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="those that have stopped, too")
    parser.add_argument("--json", action="store_true", help="for programs")


async def _run(parsed: argparse.Namespace, config: Config) -> Exit:
    async with Docker(config.docker) as docker:
        listed = await docker.list(all=parsed.all)
    found = sorted(listed.containers, key=lambda container: container.name)
    plans = [planned(each, decide(config, each)) for each in found]
    if parsed.json:
        told = {"containers": plans, "unknown": sorted(listed.unknown)}
        print(encode_line(told).decode())  # noqa: T201 - for programs
        return Exit.OK
    _show(plans)
    for unknown in sorted(listed.unknown):
        print(f"{unknown[:12]}: Docker could not describe it")  # noqa: T201
    return Exit.OK


def _show(plans: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("CONTAINER", "NAME", "SINKS", "LINES", "WHY"):
        table.add_column(title, overflow="fold")
    for plan in plans:
        lines = " ".join(f"{key}={_short(value)}" for key, value in plan["lines"].items())
        sinks = " ".join(plan["sinks"])
        cells = (plan["container"][:12], plan["name"], sinks or "none", lines or "-", plan["why"])
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)


def _short(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


PLAN: Final = cli.Verb(
    name="plan",
    summary="which containers' logs are shipped, how, and why not",
    arguments=_arguments,
    run=_run,
)
