"""Which lines belong to the one before them: stack traces as four languages print them; pure."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from logshipper.lines.pattern import OPERATOR_INSTRUCTIONS, compile_pattern
from logshipper.model import Message, Position

INDENT: Final = (" ", "\t")
# Every expression here is anchored, and no two neighbours of it can take the same characters: a
# text cannot make it try twice.
_JAVA_NEXT: Final = re.compile(r"Caused by: |Suppressed: |\.\.\. \d+ (?:more|common frames)")
_JAVA_CLASS: Final = re.compile(r"(?:[A-Za-z_$][\w$]*+\.)++[A-Za-z_$][\w$]*+")
_JAVA_NAMED: Final = ("Exception", "Error", "Throwable", "Failure")
_PYTHON_HEAD: Final = "Traceback (most recent call last):"
_PYTHON_CHAIN: Final = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_GO_HEAD: Final = ("panic: ", "fatal error: ")
_GO_NEXT: Final = re.compile(
    r"goroutine \d+ |\[signal |created by |exit status \d|\.\.\.additional frames"
    r"|runtime stack:"
)
_NODE_CLOSING: Final = re.compile(r"[\])}]+[,;]?$")


class Event(msgspec.Struct, gc=False):
    """Lines that belong together, as long as more may come.

    Attributes:
        first: the message of its first line.
        at: where that begins.
        lines: their texts.
        size_bytes: of all of them.
        time: Docker's, of the last one.
        trace: a mark of the preset: it has seen the head of a trace.
    """

    first: Message
    at: Position
    lines: list[str]
    size_bytes: int = 0
    time: str = ""
    trace: bool = False

    @property
    def head(self) -> str:
        """The first line; a terminal's lines end in a carriage return, which says nothing."""
        return self.lines[0].removesuffix("\r")

    def line(self, number: int) -> str:
        """The line of that number, counted from the last, which is 1; empty before the first."""
        return self.lines[-number].removesuffix("\r") if number <= len(self.lines) else ""


Continues = Callable[[str, Event], bool]


def compile_multiline(text: str, *, instructions: int = OPERATOR_INSTRUCTIONS) -> Continues:
    """Says, for a line, whether it goes on with an event.

    Args:
        text: name of a preset, or a pattern that is found in the first line of each event.
        instructions: how large the pattern's program may be.

    Raises:
        Rejected: it is no pattern.
    """
    if text in PRESETS:
        return PRESETS[text]
    pattern = compile_pattern(text, instructions=instructions)
    return lambda line, _: not pattern.found(line)


def _java(line: str, event: Event) -> bool:
    first = line[:1]
    if first.isdigit():  # a time, as a rule; no class is called so
        return False
    if first in INDENT or (first in "CS." and _JAVA_NEXT.match(line)):
        return True
    # Loggers print the exception on a line of its own, behind the message. One that follows a
    # trace is the next one: `printStackTrace` in a loop is not one event.
    return len(event.lines) == 1 and _thrown(line) and not _thrown(event.head)


def _thrown(line: str) -> bool:
    colon = line.find(":")
    name = line[:colon] if colon >= 0 else line
    return name.endswith(_JAVA_NAMED) and _JAVA_CLASS.fullmatch(name) is not None


def _python(line: str, event: Event) -> bool:
    last = event.line(1)
    if line.startswith(INDENT):
        return True
    if line == _PYTHON_HEAD:
        # Behind the message that the logger wrote, or behind the words that chain two of them.
        chained = event.trace and _chain(event) in _PYTHON_CHAIN
        follows = chained or (not event.trace and last != _PYTHON_HEAD and len(event.lines) == 1)
        event.trace = event.trace or follows
        return follows
    if event.head == _PYTHON_HEAD:
        event.trace = True
    if not event.trace:
        return False
    return not line or last.startswith(INDENT) or line in _PYTHON_CHAIN


def _chain(event: Event) -> str:
    return event.line(1) or event.line(2)


def _go(line: str, event: Event) -> bool:
    if event.head.startswith(_GO_HEAD):
        event.trace = True
    if line.startswith("goroutine ") and line.endswith(":"):
        # Also net/http's `http: panic serving ...`, which is a line of its logger.
        event.trace = event.trace or " panic " in event.line(1)
        return event.trace
    if not event.trace or line.startswith(_GO_HEAD):
        return False
    return not line or line.startswith(INDENT) or _go_frame(line)


def _go_frame(line: str) -> bool:
    # A function with its arguments: `main.(*Server).serve(0xc000, {0x1, 0x2})`.
    return bool(_GO_NEXT.match(line)) or (line.endswith(")") and " " not in line.split("(", 1)[0])


def _node(line: str, event: Event) -> bool:
    if line.startswith(INDENT):
        event.trace = event.trace or line.strip() == "^" or line.lstrip().startswith("at ")
        return True
    if not event.trace:
        return False
    if not line or line.startswith("Node.js v") or _NODE_CLOSING.match(line):
        return True
    # An uncaught error: the source line, a caret under it, an empty line, and then the error.
    return not event.line(1) and event.line(2).strip() == "^"


PRESETS: Final[dict[str, Continues]] = {
    "java": _java,
    "python": _python,
    "go": _go,
    "node": _node,
}
