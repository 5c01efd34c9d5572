"""The manual page of a command, from what parses its command line."""

import argparse
from collections.abc import Collection, Iterator
from typing import Any, Final

from wharfinger.operator.manual import particulars, roff

USAGE_WIDTH: Final = 78
PAGES: Final = ("wharfinger", "registrar", "discovery", "logshipper", "logstore", "deploy")


def page(parser: argparse.ArgumentParser, version: str) -> str:
    """The whole page.

    Args:
        parser: of the command.
        version: of Wharfinger.
    """
    name, told = parser.prog, parser.description or ""
    told_of = particulars.of(name)
    lines = [
        roff.head(name, 8, version),
        roff.title("NAME"),
        f"{roff.escaped(name)} \\- {roff.escaped(told.rstrip('.'))}",
        roff.title("SYNOPSIS"),
        *_usage(parser),
        roff.title("DESCRIPTION"),
        *roff.prose(told),
        *_epilog(parser),
        roff.title("OPTIONS"),
        *_options(parser, ()),
        roff.title("VERBS"),
        *_verbs(parser),
        roff.title("EXIT STATUS"),
        *roff.table(told_of.exits),
        roff.title("FILES"),
        *roff.table(told_of.files),
        roff.title("ENVIRONMENT"),
        *roff.table(told_of.environment),
        roff.title("SEE ALSO"),
        ",\n".join([*(f"{roff.bold(each)}(8)" for each in PAGES if each != name),
                    f"{roff.bold('wharfinger.toml')}(5)"]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The verbs of a command, each with what parses it."""
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse tells it no other way
            return dict(action.choices)
    return {}


def flags(parser: argparse.ArgumentParser) -> frozenset[str]:
    """Every spelling of every option."""
    return frozenset(each for action in _actions(parser) for each in action.option_strings)


def _verbs(parser: argparse.ArgumentParser) -> Iterator[str]:
    common = flags(parser)
    for name, verb in verbs(parser).items():
        yield roff.subtitle(verb.prog)
        yield from _usage(verb)
        yield ".PP"
        yield from roff.prose(verb.description or _summary(parser, name))
        yield from _options(verb, common)
        yield from _epilog(verb)
        yield from _verbs(verb)


def _summary(parser: argparse.ArgumentParser, name: str) -> str:
    for action in _actions(parser):
        for choice in getattr(action, "_choices_actions", ()):
            if choice.dest == name:
                return f"{(choice.help or '').capitalize()}."
    return ""


def _usage(parser: argparse.ArgumentParser) -> Iterator[str]:
    # Not as wide as the terminal of whoever makes the page: it must be the same for all.
    formatter = argparse.HelpFormatter(prog=parser.prog, width=USAGE_WIDTH)
    groups = parser._mutually_exclusive_groups  # noqa: SLF001 - as argparse itself does it
    formatter.add_usage(parser.usage, _actions(parser), groups, prefix="")
    yield from roff.verbatim(formatter.format_help())


def _options(parser: argparse.ArgumentParser, known: Collection[str]) -> Iterator[str]:
    """Its options and arguments; of what is told elsewhere, that it has them."""
    again = []
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:  # noqa: SLF001
            continue
        if action.option_strings and set(action.option_strings) <= set(known):
            again.append(action.option_strings[-1])
            continue
        yield from roff.entry(_term(action), _told(action, parser))
    if told := [each for each in again if each != "--help"]:
        yield ".PP"
        yield f"Also: {', '.join(roff.bold(each) for each in told)}."


def _term(action: argparse.Action) -> str:
    value = _value(action)
    if not action.option_strings:
        return roff.italic(value or action.dest)
    names = ", ".join(roff.bold(each) for each in action.option_strings)
    return f"{names} {roff.italic(value)}" if value else names


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _told(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    if not action.help:
        return ""
    known = {"prog": parser.prog, **vars(action)}
    return action.help % known if "%" in action.help else action.help


def _epilog(parser: argparse.ArgumentParser) -> Iterator[str]:
    if parser.epilog:
        yield ".PP"
        yield from roff.verbatim(parser.epilog)


def _actions(parser: argparse.ArgumentParser) -> list[Any]:
    return parser._actions  # noqa: SLF001 - argparse has no other way to ask
