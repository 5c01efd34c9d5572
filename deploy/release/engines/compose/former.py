"""What ran before a rollout, by the containers and by what was noted of one that was cut off."""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import structs

from deploy.release.engines.compose.files import MARK_LABEL, RELEASE_LABEL, Begun, Former
from deploy.release.engines.facts import Facts


def former_of(
    found: Sequence[Facts], mark: str, begun: Begun | None, least: int = 0
) -> Former | None:
    """What a rollout to `mark` goes back to: what ran before it, or before one that was cut off.

    None where nothing else ran, and on the way back from a rollout that was cut off as long as some
    of what ran before it is there: what was left half-way is nothing to go back to.

    Args:
        found: the containers.
        mark: of the release that shall run.
        begun: what was noted of a rollout that was cut off.
        least: how many there are to be, where another machine may have taken some already.
    """
    there = [each for each in found if each.runs]
    marks = Counter(each.labels.get(MARK_LABEL, "") for each in there)
    if begun is not None and begun.former is not None:
        if begun.former.mark != mark:
            return begun.former
        if mark in marks:
            return None
    several = [(count, key) for key, count in marks.items() if key != mark]
    if not several:
        return None
    former = as_former(there, max(several)[1])
    # Half-way there are never more of both together than there were, and one batch.
    count = max(former.replicas, min(least, len(there)))
    return structs.replace(former, replicas=count)


def running_ids(found: Iterable[Facts]) -> frozenset[str]:
    """The ids of those that run."""
    return frozenset(each.id for each in found if each.runs)


def as_former(found: Iterable[Facts], mark: str) -> Former:
    """All of a mark, as something to go back to."""
    own = [each for each in found if each.labels.get(MARK_LABEL, "") == mark]
    newest = own[-1]
    return Former(
        mark=mark,
        image=newest.image,
        release=newest.labels.get(RELEASE_LABEL, ""),
        replicas=len(own),
    )
