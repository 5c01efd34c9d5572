"""What to do next so that the wanted release runs, from what runs now: one step at a time; pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from deploy.release.app.model import Order


class State(StrEnum):
    """How a container stands, as far as the next step depends on it.

    ENDED: nothing runs in it, or it is started again and again.
    OUT: it was drained; nobody is sent there any more.
    DOUBTFUL: it runs, and is not registered, or not yet proven.
    UP: it serves.
    """

    ENDED = "ended"
    OUT = "out"
    DOUBTFUL = "doubtful"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Seen:
    """One container of the application.

    Attributes:
        id: of it.
        wanted: whether it is of the release that shall run.
        state: how it stands.
        created: when, in an order that sorts.
    """

    id: str
    wanted: bool
    state: State
    created: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall be.

    Attributes:
        replicas: how many of the wanted release, and none of any other.
        batch: how many at a time.
        order: whether new ones come first.
    """

    replicas: int
    batch: int = 1
    order: Order = Order.START_FIRST


@dataclass(frozen=True, slots=True)
class Start:
    """Start so many of the wanted release."""

    count: int


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until these are up."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Have nobody sent to these any more."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """Stop these and take them away."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """These of the wanted release do not run."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """It is as it shall be."""


Step = Start | Await | Drain | Remove | Failed | Done


def next_step(seen: Collection[Seen], wish: Wish) -> Step:
    """The next step; carried out and looked at again, again and again, it ends in Done or Failed.

    Start-first never leaves fewer that may serve than are wanted, or than there were, and never
    has more containers than are wanted and a batch, unless there were. Stop-first leaves at most a
    batch fewer, and never has more than are wanted. What runs of another release counts as serving
    though nothing is known of it: a registrar that is away for a moment must not cost all of them.
    """
    return _unfinished(seen) or _rolling(seen, wish)


def _unfinished(seen: Collection[Seen]) -> Step | None:
    """What is to be done before anything new is begun."""
    wanted = [each for each in seen if each.wanted]
    if failed := _ids(each for each in wanted if each.state == State.ENDED):
        return Failed(failed)
    if gone := _ids(each for each in seen if each.state in (State.OUT, State.ENDED)):
        return Remove(gone)
    if coming := _ids(each for each in wanted if each.state == State.DOUBTFUL):
        return Await(coming)
    return None


def _rolling(seen: Collection[Seen], wish: Wish) -> Step:
    """The next of those that are up; all that are wanted are, and all others may be."""
    wanted = [each for each in seen if each.wanted]
    others = _least_worth_first(each for each in seen if not each.wanted)
    surplus = len(seen) - wish.replicas
    start_first = wish.order == Order.START_FIRST
    spare = surplus if start_first else surplus + min(wish.batch, wish.replicas)
    if leaving := others[: max(0, spare)]:
        return Drain(_ids(leaving))
    missing = wish.replicas - len(wanted)
    if not seen and missing:
        # Nobody is served, so there is nothing to be careful with.
        return Start(missing)
    if missing > 0:
        room = wish.batch if start_first else -surplus
        return Start(min(wish.batch, missing, room))
    if missing < 0:
        return Drain(_ids(_least_worth_first(wanted)[:-missing]))
    return Done()


def _least_worth_first(several: Iterable[Seen]) -> list[Seen]:
    """What may not serve, then what is oldest."""
    return sorted(several, key=lambda each: (each.state == State.UP, each.created, each.id))


def _ids(several: Iterable[Seen]) -> tuple[str, ...]:
    return tuple(each.id for each in several)
