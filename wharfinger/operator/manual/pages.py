"""All manual pages and completions, each with its place below a folder `share`."""

import argparse
from importlib.metadata import entry_points
from typing import Final

from wharfinger import __version__
from wharfinger.cli import parser_of
from wharfinger.errors import ConfigError, Finding
from wharfinger.operator.manual import commandpage, completion, configpage
from wharfinger.sample import sections

GROUP: Final = "wharfinger.commands"


def parsers() -> dict[str, argparse.ArgumentParser]:
    """What parses each command, by its name.

    Raises:
        ConfigError: one of them is not installed or cannot be imported.
    """
    found = {}
    try:
        for point in entry_points(group=GROUP):
            made = point.load()
            found[point.name] = made() if callable(made) else parser_of(made)
    except (ImportError, AttributeError) as error:
        raise ConfigError([Finding(GROUP, f"a command cannot be imported: {error}")]) from error
    if missing := set(commandpage.PAGES) - set(found):
        fix = "install the distribution: pip install -e ."
        raise ConfigError([Finding(min(missing), f"no entry point in {GROUP}", fix)])
    return found


def pages() -> dict[str, str]:
    """Each manual page by its name: `registrar.8`.

    Raises:
        ConfigError: a part of Wharfinger is not installed.
    """
    commands = parsers()
    found = {f"{name}.8": commandpage.page(each, __version__) for name, each in commands.items()}
    return {**found, "wharfinger.toml.5": configpage.page(sections(), __version__)}


def shared() -> dict[str, str]:
    """Each file by its path below `share`: manual pages, and completions of each command.

    Raises:
        ConfigError: a part of Wharfinger is not installed.
    """
    found = {f"man/man{name[-1]}/{name}": text for name, text in pages().items()}
    for name, parser in parsers().items():
        for shell, place in completion.PLACES.items():
            found[place.format(name)] = completion.script(parser, shell)
    return found
