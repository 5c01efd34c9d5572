"""What an environment's history says: what it serves, what a rollback goes to; pure."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from deploy.release.records.record import Numbered, Record
from wharfinger.errors import Rejected

# What was pushed by other means has the beginning of its digest in this place.
_RELEASE: Final = re.compile(r"r[1-9][0-9]{0,11}", re.ASCII)


def succeeded(history: Sequence[Numbered]) -> tuple[Record, ...]:
    """The releases that a rollback may go to, in order; the last is the one that served last.

    A rollback takes away all that came after the one that it went to: who rolls back twice goes
    back by two, and never to what was rolled away from. A scale changes no release, and a
    take-down leaves none: what served before it is still what a rollback may go to.

    Args:
        history: oldest first.
    """
    standing: list[Record] = []
    for record in _good(history):
        digests = [each.digest for each in standing]
        if record.verb == "rollback" and record.digest in digests:
            last = len(digests) - 1 - digests[::-1].index(record.digest)
            standing[last:] = [record]
        elif digests[-1:] == [record.digest]:
            standing[-1] = record
        else:
            standing.append(record)
    return tuple(standing)


def serving(history: Sequence[Numbered]) -> Record | None:
    """The release that should run, by what is known.

    None before the first that succeeded, and since the environment was taken down, or half of it.
    """
    return None if taken_down(history) is not None else _served_last(history)


def taken_down(history: Sequence[Numbered]) -> Record | None:
    """The take-down after which nothing has succeeded, whether it has ended well or is half-way.

    What was tried since and failed brings nothing back.

    Args:
        history: oldest first.
    """
    for record in (each.record for each in reversed(history)):
        if record.verb == "down":
            return record
        if record.state == "succeeded":
            return None
    return None


def how_far(down: Record) -> str:
    """What a take-down has made of an environment, in words."""
    return "was taken down" if down.state == "succeeded" else "is half-way taken down"


def way_back(history: Sequence[Numbered], environment: str) -> str:
    """The command that brings back what was taken down; `up` alone takes the newest push."""
    if succeeded(history):
        return f"deploy rollback {environment}"
    tried = to_take_down(history)
    if tried is None:
        return f"deploy up {environment}"
    named = tried.release if _RELEASE.fullmatch(tried.release) else f"--digest {tried.digest}"
    return f"deploy up {environment} {named}"


def to_take_down(history: Sequence[Numbered]) -> Record | None:
    """The release that a take-down takes away; of one that never succeeded, what was tried last."""
    tried = (each.record for each in reversed(history))
    return _served_last(history) or next(tried, None)


def target(history: Sequence[Numbered], running: Collection[str], named: str = "") -> Record:
    """The release that a rollback goes to: one that has succeeded in this environment.

    Without a name it is the one before that which serves; where something else runs than what
    should, since a rollout broke off half-way, it is the one that should. A rollback that broke
    off goes on to where it went: whoever repeats it wants away from what should run. After a
    take-down, be it half-way, it is the one that was taken away.

    Args:
        history: oldest first.
        running: the digests that the engine runs.
        named: `r12`; empty for none.

    Raises:
        Rejected: there is none.
    """
    if named:
        return _named(history, running, named)
    standing = succeeded(history)
    if not standing:
        raise Rejected("no release has succeeded here yet: there is none to go back to")
    last = history[-1].record
    if last.verb == "rollback" and last.state == "failed":
        unended = next((each for each in standing if each.digest == last.digest), None)
        if unended is not None:
            return unended
    if taken_down(history) is not None or set(running) - {standing[-1].digest}:
        return standing[-1]
    if len(standing) == 1:
        only = standing[-1].release
        raise Rejected(f"{only} is the first release that succeeded here: none is before it")
    return standing[-2]


def cut_off(history: Sequence[Numbered]) -> tuple[Numbered, ...]:
    """The rollouts that nobody ended; with the lock in hand, whoever ran them is gone."""
    return tuple(each for each in history if each.record.state == "running")


def is_settled(history: Sequence[Numbered]) -> bool:
    """Whether the last rollout is known to have ended well.

    A scale that did not says nothing of the release; one that did found one release alone.
    """
    for record in (each.record for each in reversed(history)):
        if record.state in ("succeeded", "rolled back"):
            return True
        if record.verb != "scale":
            return False
    return False


def unproven(history: Sequence[Numbered]) -> frozenset[str]:
    """The digests that were tried while none has come up; none where one has.

    Of a first release that was cut off something may be there, and it need not be any good. What
    was there before a take-down has gone with it, be it good or not.
    """
    tried: set[str] = set()
    proven = False
    for record in (each.record for each in history):
        ended_well = record.state in ("succeeded", "rolled back")
        if record.verb != "down":
            proven = proven or ended_well
            tried.add(record.digest)
        elif ended_well:
            proven = False
            tried.clear()
    return frozenset() if proven else frozenset(tried)


def replicas(history: Sequence[Numbered], declared: int) -> int:
    """How many instances a release has: what somebody scaled to, until wharf.yaml changes.

    Args:
        history: oldest first.
        declared: what wharf.yaml asks for now.
    """
    latest = _served_last(history)
    if latest is None or latest.declared != declared:
        return declared
    return latest.replicas


def _named(history: Sequence[Numbered], running: Collection[str], named: str) -> Record:
    good = _good(history)
    found = next((each for each in reversed(good) if each.release == named), None)
    if found is None:
        names = ", ".join(dict.fromkeys(each.release for each in reversed(good)))
        what = f"what has: {names}" if names else "nothing has"
        raise Rejected(f"{named} has not succeeded here; {what}")
    # Of one that failed nobody knows whether all of it is there: it is gone on with, or back to.
    if set(running) == {found.digest} and history[-1].record.state != "failed":
        raise Rejected(f"{named} is what runs here already")
    return found


def _good(history: Sequence[Numbered]) -> list[Record]:
    """What has brought a release that ran; who takes one away brings none."""
    records = (each.record for each in history)
    return [each for each in records if each.state == "succeeded" and each.verb != "down"]


def _served_last(history: Sequence[Numbered]) -> Record | None:
    return next(iter(reversed(succeeded(history))), None)


def newest_first(history: Sequence[Numbered], limit: int) -> Iterator[Numbered]:
    """The latest of a history."""
    yield from list(reversed(history))[:limit]
