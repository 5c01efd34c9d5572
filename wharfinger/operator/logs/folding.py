"""Stack traces folded: of a run of frames the first stays, and how many came after it; pure."""

import re
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from wharfinger.logtext import SGR

# So many lines are seen sooner than the note that stands for them is read.
LEAST: Final = 2
OPEN_RUNS: Final = 1_000
# Java's and Node's frames, Python's, and whatever is set in below its head.
_FRAME: Final = re.compile(r"[ \t]+\S|at [\w$.<>/]+\(|\.\.\. \d+ (?:more|common frames)")
_PYTHON: Final = re.compile(r'[ \t]+File "')

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fold(Generic[T]):
    """Lines that are not shown.

    Attributes:
        first: of them.
        lines: how many they are.
    """

    first: T
    lines: int


@dataclass(slots=True)
class _Run(Generic[T]):
    """Frames behind the first: how many, the first and the last ones of them."""

    kept: int
    held: list[T] = field(default_factory=list)
    last: deque[T] = field(default_factory=deque)
    lines: int = 0

    def add(self, item: T) -> None:
        self.lines += 1
        if len(self.held) <= LEAST:
            self.held.append(item)
        self.last.append(item)
        if len(self.last) > self.kept:
            self.last.popleft()

    def end(self) -> Iterator[T | Fold[T]]:
        hidden = self.lines - self.kept
        if hidden < LEAST:
            yield from self.held
            return
        yield Fold(self.held[0], hidden)
        yield from self.last


class Folding(Generic[T]):
    """Folds lines that come one after the other, those of each container for themselves."""

    def __init__(self) -> None:
        self._runs: OrderedDict[Hashable, _Run[T]] = OrderedDict()

    def feed(self, container: Hashable, text: str, item: T) -> Iterator[T | Fold[T]]:
        """Takes a line; gives what is to be shown now.

        Args:
            container: whose line it is.
            text: the message.
            item: what to give back for it.
        """
        plain = SGR.sub("", text)
        run = self._runs.get(container)
        if not _FRAME.match(plain):
            if run is not None:
                yield from self._runs.pop(container).end()
            yield item
        elif run is None:
            # Python's last call is its innermost, and what it reads comes below it.
            self._runs[container] = _Run(2 if _PYTHON.match(plain) else 0)
            if len(self._runs) > OPEN_RUNS:
                yield from self._runs.popitem(last=False)[1].end()
            yield item
        else:
            run.add(item)

    def end(self) -> Iterator[T | Fold[T]]:
        """What is still held, as nothing more is to come for now."""
        runs = list(self._runs.values())
        self._runs.clear()
        for run in runs:
            yield from run.end()


def folded(rows: Iterable[str]) -> list[str | Fold[str]]:
    """The rows of one message, folded."""
    folding: Folding[str] = Folding()
    shown = [each for row in rows for each in folding.feed(None, row, row)]
    return [*shown, *folding.end()]
