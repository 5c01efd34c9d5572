"""The verbs of the operator's command: the module of each adds its own."""

import argparse
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

from wharfinger.cli import Parser
from wharfinger.errors import Exit

Run: TypeAlias = Callable[[argparse.Namespace], Coroutine[Any, Any, Exit]]


class Verbs:
    """Where they are added.

    Args:
        parser: of the whole command.
    """

    def __init__(self, parser: Parser) -> None:
        # Before the verb as well, where the daemons take it.
        parser.add_argument("--config", type=Path, metavar="FILE", help="as the daemons take it")
        self._parsers = parser.add_subparsers(metavar="VERB", required=True)

    def add(
        self, name: str, run: Run, effect: str, *, interrupted: str | None = "interrupted"
    ) -> Parser:
        """Adds one.

        Args:
            name: as it is called.
            run: does it.
            effect: one line for --help.
            interrupted: what Ctrl-C leaves behind, in words; None for what is ended by it.
        """
        parser = self._parsers.add_parser(
            name, help=effect, description=f"{effect[0].upper()}{effect[1:]}."
        )
        parser.set_defaults(run=run, verb=name, interrupted=interrupted, reads_config=False)
        return parser


def add_config(parser: Parser) -> None:
    """Adds --config, for what reads the host's configuration."""
    # Not there, it must not unset the one before the verb.
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="as the daemons take it",
    )
    parser.set_defaults(reads_config=True)


def add_shown(parser: Parser) -> None:
    """Adds --config and --json, for what shows something."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
