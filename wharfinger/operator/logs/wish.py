"""What a command line asks for, beside the question itself; pure."""

from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

from wharfinger.operator.logs.question import Question
from wharfinger.operator.logs.shown import Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which way, and how its lines are shown.

    Attributes:
        question: what is asked of the store.
        limit: lines at most, the newest; None for all.
        tells_more: say so where there are more than that.
        follow: then each new line as it comes.
        form: of each line.
        context: lines of the same container before and after each; None for none.
        newest_first: downward in time.
        zone: whose time is shown; None for this machine's.
        fold: stack traces are folded; None where people read.
        people: they read it: stdout is a terminal, or a pager on one.
        colours: for a terminal.
        histogram: counts by time in place of lines.
        top: the values of these fields, counted, in their place.
        fields: those of each field the store counts.
        values: so many of each; None for all.
        export: the file to write them to, all.
        quiet: show nothing, only say whether there are any.
        fail_empty: end with `Exit.EMPTY` where there are none.
    """

    question: Question = field(default_factory=Question)
    limit: int | None = 100
    tells_more: bool = True
    follow: bool = False
    form: Form = "short"
    context: tuple[int, int] | None = None
    newest_first: bool = False
    zone: tzinfo | None = None
    fold: bool | None = None
    people: bool = False
    colours: bool = False
    histogram: bool = False
    top: tuple[str, ...] = ()
    fields: bool = False
    values: int | None = 10
    export: Path | None = None
    quiet: bool = False
    fail_empty: bool = False
