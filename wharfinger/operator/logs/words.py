"""Words between options: argparse takes a list of words in one place only; pure."""

import argparse
from collections.abc import Sequence


def gathered(arguments: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """The same command line with its words at the end, behind a `--`.

    Args:
        arguments: what was typed.
        parser: knows which options take a value.
    """
    options: list[str] = []
    words: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            words += rest
            break
        if argument == "-" or not argument.startswith("-"):
            words.append(argument)
            continue
        options.append(argument)
        # `--app=x` and `-n5` hold theirs.
        action = parser._option_string_actions.get(argument)  # noqa: SLF001 - no other way to ask
        if action is not None and action.nargs is None and rest:
            options.append(rest.pop(0))
    return [*options, "--", *words] if words else options
