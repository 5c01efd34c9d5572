"""What a watch holds, how it proves a server's history, what each answer means: all pure."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from wharfinger.kv import Changed, Count, Event, Get, KeyRange, KeyValue, Result, WatchAnswer

# Of each kind: the keys that changed latest, and keys picked at random.
WITNESSES: Final = 8


@dataclass(slots=True)
class Holding:
    """One range as the consumer knows it: every event up to `revision` is in `items`.

    Attributes:
        keys: the range.
        revision: of the latest event in it, or of the list where there was none since.
        items: each key that exists.
        latest: keys that changed latest, deleted ones among them.
    """

    keys: KeyRange
    revision: int
    items: dict[str, KeyValue]
    latest: deque[str] = field(default_factory=lambda: deque(maxlen=WITNESSES))

    def __post_init__(self) -> None:
        newest = heapq.nlargest(WITNESSES, self.items.values(), key=lambda kv: kv.mod_revision)
        self.latest.extend(kv.key for kv in reversed(newest))

    def take(self, events: Iterable[Event]) -> None:
        """Brings it up to date."""
        for event in events:
            if event.kv is None:
                self.items.pop(event.key, None)
            else:
                self.items[event.key] = event.kv
            self.latest.append(event.key)
            self.revision = event.revision


Question = Get | Count
Sample = Callable[[Sequence[str], int], Sequence[str]]


def questions(holding: Holding, sample: Sample) -> tuple[Question, ...]:
    """What to ask a server that says it can go on from our revision.

    Neither its cluster id (made from its flags) nor its revision (a wiped cluster passes ours
    again) says that its history is ours. What stood in it at our revision does: how many keys
    there were, and the exact versions of the latest and of some others.

    Args:
        holding: what we know.
        sample: `random.sample`-shaped.
    """
    others = sample(tuple(holding.items), min(WITNESSES, len(holding.items)))
    keys = dict.fromkeys((*holding.latest, *others))
    return (
        Count(holding.keys, holding.revision),
        *(Get(key, holding.revision) for key in keys),
    )


def agrees(holding: Holding, asked: Sequence[Question], answers: Sequence[Result]) -> bool:
    """Whether the answers to `questions` are what we hold."""
    return len(asked) == len(answers) and all(
        answer == (len(holding.items) if isinstance(ask, Count) else holding.items.get(ask.key))
        for ask, answer in zip(asked, answers, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Alive:
    """The server lives and has nothing new."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The watch of that holding stands; `behind` when older events are still to come."""

    number: int
    behind: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """Events of that holding, to be taken and handed on."""

    number: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Relist:
    """The history that we know cannot be gone on with."""

    why: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The watch has ended; another stream may go on where it stopped."""

    why: str


def watch_id(number: int) -> int:
    """The id of the watch of a holding; 0 would let etcd choose one."""
    return number + 1


Action = Alive | Confirmed | Deliver | Relist | Retry


def decide(answer: WatchAnswer, holdings: Sequence[Holding], opened_revision: int) -> Action:
    """What one message of the stream means.

    Args:
        answer: the message.
        holdings: the ranges that are watched, each with its `watch_id` as id.
        opened_revision: the newest that we held when the stream was opened.
    """
    if answer.canceled:
        return _ended(answer)
    number = answer.watch_id - 1
    if not answer.created and not answer.events:
        return _progress(answer.revision, opened_revision)
    if not 0 <= number < len(holdings):
        return Retry(f"an answer to a watch that was not asked for: {answer.watch_id}")
    held_revision = holdings[number].revision
    if answer.created:
        return Confirmed(number, behind=answer.revision > held_revision)
    if answer.events[0].revision <= held_revision:
        return Relist(f"revision {answer.events[0].revision} came after {held_revision}")
    return Deliver(number, answer.events)


def _ended(answer: WatchAnswer) -> Relist | Retry:
    if answer.compact_revision:
        return Relist(f"history is compacted up to revision {answer.compact_revision}")
    return Retry(f"the watch was ended: {answer.reason or 'without a reason'}")


def _progress(revision: int, opened_revision: int) -> Alive | Relist:
    # Before 3.4.25 etcd sends it by a way of its own, on which it may come before older events
    # (etcd issue 15220) and after newer ones. So it never moves the point to go on from, and
    # cannot be compared with the events of its stream, only with what was before.
    if 0 < revision < opened_revision:
        return Relist(f"the revision went back from {opened_revision} to {revision}")
    return Alive()


class Gathering:
    """Joins events of several ranges, so that no revision is split between two updates.

    etcd sends the parts of one revision right after another, range by range.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Holds events back until they are released."""
        self._events.extend(events)

    @property
    def newest_revision(self) -> int:
        """Of the events that are held back; 0 when none is."""
        return max((event.revision for event in self._events), default=0)

    @property
    def newest(self) -> tuple[Event, ...]:
        """Those of that revision."""
        newest = self.newest_revision
        return tuple(event for event in self._events if event.revision == newest)

    def release(self, up_to_revision: int | None = None) -> Changed | None:
        """What is held back, in order of revision; None when that is nothing.

        Args:
            up_to_revision: what is newer stays held back.
        """
        self._events.sort(key=lambda event: event.revision)
        limit = self.newest_revision if up_to_revision is None else up_to_revision
        released = tuple(event for event in self._events if event.revision <= limit)
        self._events = self._events[len(released) :]
        return Changed(released[-1].revision, released) if released else None
