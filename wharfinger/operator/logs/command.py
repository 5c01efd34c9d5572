"""The verb `logs`: its options, and which of its ways a command line asks for."""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Final

from wharfinger.cli import Parser
from wharfinger.errors import Exit, Rejected
from wharfinger.operator.logs import ways
from wharfinger.operator.logs.access import Access
from wharfinger.operator.logs.question import FIELDS, Question
from wharfinger.operator.logs.screen import has_colours, paged
from wharfinger.operator.logs.shown import FORMS
from wharfinger.operator.logs.wish import Wish
from wharfinger.operator.logs.words import gathered
from wharfinger.operator.verbs import Verbs, add_shown

LIMIT: Final = 100
MAX_LIMIT: Final = 100_000
MAX_CONTEXT: Final = 1_000
MAX_EXCERPTS: Final = 1_000
TOP: Final = 10
EXAMPLES: Final = """\
what is asked:
  wharfinger logs timeout                     lines with a word, the newest 100
  wharfinger logs '"connection reset"' -- -debug '/5\\d\\d$/'
                                              a phrase, without a word, by an expression
  wharfinger logs --app shop,cart --host '!db1' --level warn+ --since 1h
  wharfinger logs -f --app shop               and every line from now on

an incident:
  wharfinger logs --since 1h --histogram      when did it begin?
  wharfinger logs --since 1h --level error --top app
  wharfinger logs --since 20m --app shop --level error+ --fold
  wharfinger logs --since 20m --app shop '"order failed"' -C 5
  wharfinger logs --since 1h --app shop --export incident.ndjson.zst

exit codes: 0; 1 with -q or --fail-empty when nothing was found; 64 a question that cannot be
read; 69 the store cannot be reached; 75 an export that was interrupted; 78 no token that may read
"""


def add_to(verbs: Verbs) -> None:
    """Adds `logs` to the command."""
    parser = verbs.add("logs", _logs, "search the log store, and follow", interrupted=None)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add_shown(parser)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="all must be there; `-- -not`, '\"a phrase\"', app:shop and '/regex/' work too",
    )
    _add_lines(parser)
    _add_shape(parser)
    _add_ways(parser)
    store = parser.add_argument_group("which store")
    store.add_argument("--url", metavar="URL", help="of the store, if not [logstore] listen")
    store.add_argument(
        "--token-file", type=Path, metavar="FILE", help="if not [logstore] read_token_file"
    )
    store.add_argument("--ca-file", type=Path, metavar="FILE", help="who signs its certificate")
    store.add_argument(
        "--cert-file", type=Path, metavar="FILE", help="to show, if it wants certificates"
    )
    store.add_argument("--key-file", type=Path, metavar="FILE", help="its key, if not in there")
    _take_words_anywhere(parser)


def _take_words_anywhere(parser: Parser) -> None:
    parse = parser.parse_known_args

    def parse_gathered(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        parsed, unknown = parse(gathered(args or (), parser), namespace)
        if unknown:
            parser.error(
                f"there is no option {unknown[0]}; words that must not be there stand at the "
                f"end, behind a --: -- {unknown[0]}"
            )
        return parsed, unknown

    parser.parse_known_args = parse_gathered  # type: ignore[method-assign,assignment]


def _add_lines(parser: Parser) -> None:
    lines = parser.add_argument_group("which lines")
    for name in FIELDS:
        lines.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"of this {name}; A,B for several, 'A*' for all that begin so, '!A' for all but A"
            if name == "app"
            else "likewise, by id or the beginning of it (by name: container_name:NAME)"
            if name == "container"
            else "likewise",
        )
    lines.add_argument(
        "--level",
        action="append",
        default=[],
        metavar="LEVEL",
        help="of this level; also several, '!debug', and warn+ for it and all above",
    )
    lines.add_argument(
        "--since", default="", metavar="TIME", help="1h, 30m, today, 08:15, RFC 3339"
    )
    lines.add_argument("--until", default="", metavar="TIME", help="likewise")
    lines.add_argument(
        "-n",
        "--limit",
        type=_limit,
        metavar="N",
        help=f"the newest N ({LIMIT}; with --top {TOP} values); all or 0 for all that match",
    )


def _add_shape(parser: Parser) -> None:
    shape = parser.add_argument_group("how they are shown")
    shape.add_argument("-o", "--output", choices=FORMS, default="short", help="the form (short)")
    for option, which in (("-B", "before"), ("-A", "after"), ("-C", "context")):
        meant = "before and after" if which == "context" else which
        shape.add_argument(
            option,
            f"--{which}",
            type=_context,
            metavar="N",
            help=f"and N lines of the same container {meant} each",
        )
    shape.add_argument("--reverse", action="store_true", help="the newest first")
    shape.add_argument("--utc", action="store_true", help="times in UTC, not this machine's zone")
    shape.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        help="of a stack trace one frame (on a terminal, without -A, -B, -C)",
    )
    shape.add_argument(
        "--colour",
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: on a terminal, unless NO_COLOR is set",
    )
    shape.add_argument("--pager", action="store_true", help="in $PAGER, or less")


def _add_ways(parser: Parser) -> None:
    ways_ = parser.add_argument_group(
        "instead of lines that were found"
    ).add_mutually_exclusive_group()
    ways_.add_argument("-f", "--follow", action="store_true", help="and new lines as they come")
    ways_.add_argument("--histogram", action="store_true", help="how many, by time and level")
    ways_.add_argument(
        "--top", metavar="FIELD", help="the values of a field, counted; A,B for several"
    )
    ways_.add_argument("--fields", action="store_true", help="the values of each field, counted")
    ways_.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="all that match into FILE.ndjson, .ndjson.gz or .ndjson.zst",
    )
    ways_.add_argument("-q", "--quiet", action="store_true", help="nothing; exit 1 for none")
    parser.add_argument("--fail-empty", action="store_true", help="exit 1 when nothing was found")


def _limit(text: str) -> int:
    if text == "all":
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"give a number from 1 to {MAX_LIMIT}, or all")
    return int(text)


def _context(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_CONTEXT:
        raise argparse.ArgumentTypeError(f"give a number from 0 to {MAX_CONTEXT}")
    return int(text)


async def _logs(parsed: argparse.Namespace) -> Exit:
    wish = _wish(parsed)
    access = Access(
        config=parsed.config,
        url=parsed.url,
        token_file=parsed.token_file,
        ca_file=parsed.ca_file,
        cert_file=parsed.cert_file,
        key_file=parsed.key_file,
    )
    if parsed.pager:
        with paged():
            return await ways.logs(wish, access)
    return await ways.logs(wish, access)


def _wish(parsed: argparse.Namespace) -> Wish:
    given = [parsed.before, parsed.after, parsed.context]
    context = any(each is not None for each in given)
    limit = LIMIT if parsed.limit is None else parsed.limit
    top = tuple(name for name in (parsed.top or "").split(",") if name)
    wish = Wish(
        question=Question(
            words=tuple(parsed.words),
            wanted={name: tuple(getattr(parsed, name)) for name in (*FIELDS, "level")},
            since=parsed.since,
            until=parsed.until,
        ),
        limit=limit or None,
        tells_more=parsed.limit is None,
        values=(TOP if parsed.limit is None else limit) or None,
        follow=parsed.follow,
        form="json" if parsed.json else parsed.output,
        context=(_first(parsed.before, parsed.context), _first(parsed.after, parsed.context))
        if context
        else None,
        newest_first=parsed.reverse,
        zone=UTC if parsed.utc else None,
        fold=parsed.fold,
        people=sys.stdout.isatty(),
        colours=has_colours(parsed.colour),
        histogram=parsed.histogram,
        top=top,
        fields=parsed.fields,
        export=parsed.export,
        quiet=parsed.quiet,
        fail_empty=parsed.fail_empty or parsed.quiet,
    )
    _require_sense(wish, parsed)
    return wish


def _first(one: int | None, other: int | None) -> int:
    return one if one is not None else other or 0


def _require_sense(wish: Wish, parsed: argparse.Namespace) -> None:
    nonsense = {
        "-A, -B and -C go with a search, not with -f": wish.context and wish.follow,
        f"-A, -B and -C go with -n up to {MAX_EXCERPTS}": wish.context
        and (wish.limit is None or wish.limit > MAX_EXCERPTS),
        "--reverse goes with a search, not with -f": wish.newest_first and wish.follow,
        "--until ends before what -f waits for": wish.question.until and wish.follow,
        "-f has no last page for --pager": parsed.pager and wish.follow,
        "--fold goes from the oldest line on, not with --reverse": wish.fold and wish.newest_first,
        "--top needs the name of a field": parsed.top is not None and not wish.top,
        "--top takes names as they stand in -o json": not all(
            re.fullmatch(r"[\w@][\w@.-]{0,99}", name) for name in wish.top
        ),
    }
    for problem, so in nonsense.items():
        if so:
            raise Rejected(problem)
