"""The verbs `manual` and `completion`."""

import argparse
import asyncio
import sys
from pathlib import Path

from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.files import write_atomically
from wharfinger.operator import terminal
from wharfinger.operator.manual import commandpage, completion, pages
from wharfinger.operator.verbs import Verbs


def add_to(verbs: Verbs) -> None:
    """Adds `manual` and `completion` to the command."""
    manual = verbs.add("manual", _manual, "a manual page; all, and completions, as files")
    manual.add_argument(
        "page", nargs="?", default="wharfinger", metavar="PAGE", help="registrar, wharfinger.toml"
    )
    manual.add_argument(
        "--into", type=Path, metavar="FOLDER", help="a folder `share`, for packages: writes all"
    )
    shell = verbs.add("completion", _completion, "what completes a command in a shell")
    shell.add_argument("shell", choices=completion.SHELLS, help="source <(... bash)")
    shell.add_argument(
        "program", nargs="?", default="wharfinger", choices=commandpage.PAGES, help="of this one"
    )


async def _manual(parsed: argparse.Namespace) -> Exit:
    if parsed.into is not None:
        await asyncio.to_thread(_write, parsed.into)
        return Exit.OK
    every = pages.pages()
    text = next((every[name] for name in _names(parsed.page) if name in every), None)
    if text is None:
        raise Rejected(f"no page {parsed.page!r}; there are {', '.join(sorted(every))}")
    if not sys.stdout.isatty():
        terminal.write(text)
        return Exit.OK
    return await _shown(text)


def _names(asked: str) -> tuple[str, ...]:
    return asked, f"{asked}.8", f"{asked}.5"


async def _shown(text: str) -> Exit:
    try:
        process = await asyncio.create_subprocess_exec(
            "man", "-l", "-", stdin=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        terminal.write(text)
        return Exit.OK
    await process.communicate(text.encode())
    return Exit.OK


def _write(folder: Path) -> None:
    try:
        for name, text in pages.shared().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode())
    except OSError as error:
        raise Unavailable(f"{error.filename or folder}: {error.strerror}") from error


async def _completion(parsed: argparse.Namespace) -> Exit:
    terminal.write(completion.script(pages.parsers()[parsed.program], parsed.shell))
    return Exit.OK
