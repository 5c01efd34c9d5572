"""The operator's command: `wharfinger VERB`."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from wharfinger import __version__
from wharfinger.cli import Parser, finish
from wharfinger.errors import Exit
from wharfinger.interrupt import interruptible
from wharfinger.operator import drain, inside, migration, services, status
from wharfinger.operator.demo import play
from wharfinger.operator.doctor import visit
from wharfinger.operator.install import command as install
from wharfinger.operator.logs import command as logs
from wharfinger.operator.manual import command as manual
from wharfinger.operator.pki import command as pki
from wharfinger.operator.verbs import Verbs
from wharfinger.sample import sample


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one verb and exits with one of the documented codes."""
    parser = command_line()
    parsed = parser.parse_args(arguments)
    if parsed.config is not None and not parsed.reads_config:
        parser.error(f"{parsed.verb} reads no configuration: leave out --config")
    finish("wharfinger", lambda: interruptible(parsed.run(parsed)), interrupted=parsed.interrupted)


def command_line() -> Parser:
    """What understands the whole command line."""
    parser = Parser(prog="wharfinger", description="Runs and looks after the Wharfinger daemons.")
    parser.add_argument("--version", action="version", version=f"wharfinger {__version__}")
    verbs = Verbs(parser)
    play.add_to(verbs)
    _add_to(verbs)
    for module in (status, visit, services, migration, drain, inside, logs):
        module.add_to(verbs)
    for module in (install, pki, manual):
        module.add_to(verbs)
    return parser


def _add_to(verbs: Verbs) -> None:
    parser = verbs.add("config", _config, "the configuration file of a host")
    parser.add_argument(
        "--sample", action="store_true", required=True, help="print it with every default"
    )


async def _config(_parsed: argparse.Namespace) -> Exit:
    sys.stdout.write(sample())
    return Exit.OK
