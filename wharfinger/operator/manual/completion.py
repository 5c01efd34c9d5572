"""Completion in shells: what is after the cursor, for bash, zsh and fish."""

import argparse
from pathlib import Path
from typing import Final

import shtab

from wharfinger.operator.manual.commandpage import verbs

# Where each shell looks for what it has not loaded, below a folder `share`.
PLACES: Final = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/site-functions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}
SHELLS: Final = tuple(PLACES)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What completes a command in a shell."""
    _take_files(parser)
    told: str = shtab.complete(parser, shell=shell)
    return f"{told.rstrip()}\n"


def _take_files(parser: argparse.ArgumentParser) -> None:
    """Has what is a path completed as one."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    for verb in verbs(parser).values():
        _take_files(verb)
