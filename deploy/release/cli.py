"""The command `deploy VERB`: from a tested image to every host that shall run it."""

import argparse
import asyncio
import signal
from collections.abc import Sequence
from typing import Final, NoReturn

from deploy.release import showing
from deploy.release.commands import (
    autoscale,
    build,
    diff,
    down,
    history,
    init,
    notify,
    promote,
    push,
    render,
    report,
    rollback,
    scale,
    schema,
    status,
    unlock,
    up,
)
from wharfinger import __version__
from wharfinger.cli import Parser, finish
from wharfinger.errors import ConfigError, Conflict, Exit, WharfingerError
from wharfinger.operator.verbs import Verbs

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SUMMARY: Final = "Brings an application's tested image to every host that shall run it."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one verb and exits with one of the documented codes."""
    parser = command_line()
    parsed = parser.parse_args(arguments)
    if parsed.config is not None and not parsed.reads_config:
        parser.error(f"{parsed.verb} reads no configuration: leave out --config")
    finish("deploy", lambda: asyncio.run(told(parsed)), interrupted=_left(parsed))


def command_line() -> Parser:
    """What understands the whole command line."""
    parser = Parser(prog="deploy", description=_SUMMARY)
    parser.add_argument("--version", action="version", version=f"deploy {__version__}")
    verbs = Verbs(parser)
    for module in (init, schema, build, push, report, render, diff):
        module.add_to(verbs)
    for module in (up, promote, rollback, scale, autoscale, down, status, history, unlock, notify):
        module.add_to(verbs)
    return parser


async def told(parsed: argparse.Namespace) -> Exit:
    """Runs the verb; programs are told of a failure as of a result, people of all its lines.

    Raises:
        WharfingerError: whatever it fails with, in one line.
    """
    try:
        return await _interruptible(parsed)
    except WharfingerError as error:
        if getattr(parsed, "json", False):
            failed = {"ok": False, "error": str(error), "exit": int(error.exit_code)}
            showing.result(failed, as_json=True)
        if isinstance(error, ConfigError) or "\n" not in str(error):
            raise
        showing.complain(str(error))
        return Exit(error.exit_code)


async def _interruptible(parsed: argparse.Namespace) -> Exit:
    """Runs the verb; a signal cancels it, with its name, so that it can say how it ended."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    came: list[str] = []

    def stop(name: str) -> None:
        came.append(name)
        if task is not None:
            task.cancel(f"cut off by {name}")

    # Who calls it by nohup, or behind a shell's &, has said that it shall not be ended so.
    heard = [each for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    for each in heard:
        loop.add_signal_handler(each, stop, each.name)
    try:
        result: Exit = await parsed.run(parsed)
    except asyncio.CancelledError:
        if not came:
            raise
        raise Conflict(f"{came[0]}: {_left(parsed)}") from None
    finally:
        for each in heard:
            loop.remove_signal_handler(each)
    return result


def _left(parsed: argparse.Namespace) -> str:
    """What an interruption leaves behind, and what to type next."""
    text: str = parsed.interrupted
    return text.format_map(vars(parsed))
