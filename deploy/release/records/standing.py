"""How an environment stands: what should run, what does, and where the two differ; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy.release.engine import Replica
from deploy.release.records import choice
from deploy.release.records.record import Numbered, Record
from wharfinger.text import quantity

_DIGITS = 19
_UNWISHED = ("rolled back", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One environment.

    Attributes:
        serving: the release that should run; None before the first, and where none should.
        wanted: how many instances there should be.
        up: how many there are.
        running: the digests of all that there is, with how many of each.
        remarks: where that is not as it should be; nothing when all is well.
        news: what is as it may be, and worth a word: a rollout under way, one that was taken back.
        last_words: what the last rollout said of its end, if that was none to be wished.
        down: the take-down since which nothing should run, be it half-way; None where none was.
        to_take: whether a take-down said again would take something, or end what came since.
        has_succeeded: whether there is a release that a rollback may go to.
    """

    serving: Record | None
    wanted: int
    up: int
    running: tuple[tuple[str, int], ...]
    remarks: tuple[str, ...]
    news: tuple[str, ...] = ()
    last_words: tuple[str, ...] = ()
    down: Record | None = None
    to_take: bool = False
    has_succeeded: bool = False


def standing(
    history: Sequence[Numbered],
    replicas: Sequence[Replica],
    *,
    declared: int,
    is_locked: bool,
) -> Standing:
    """How it stands.

    Args:
        history: oldest first.
        replicas: what the engine runs.
        declared: how many wharf.yaml asks for; 0 for one on each host.
        is_locked: whether somebody changes it now.
    """
    serving, down = choice.serving(history), choice.taken_down(history)
    digests = [digest_of(each) for each in replicas]
    running = tuple((each, digests.count(each)) for each in dict.fromkeys(digests))
    up = sum(each.state == "up" for each in replicas)
    wanted = choice.replicas(history, declared) if declared else len(replicas)
    if down is not None:
        wanted = 0
    last = history[-1].record if history else None
    remarks = [
        *_of_the_last(last, is_locked=is_locked),
        *_of_images(_should(serving, down), serving, running),
        *(f"{_named(each)} is {each.state}" for each in replicas if _ails(each)),
        *(_of_a_stranger(each) for each in replicas if down is not None and not each.own),
    ]
    if up != wanted and serving is not None:
        remarks.append(f"{up} of {quantity(wanted, 'instance is', 'instances are')} up")
    if not declared and not replicas and serving is not None:
        remarks.append("nothing runs here, on no host")
    news = [*_news(last, is_locked=is_locked), *_of_the_end(down)]
    if is_locked:
        # Half-way all of it is as it should be.
        news, remarks = [*news, *remarks], []
    return Standing(
        serving=serving,
        wanted=wanted,
        up=up,
        running=running,
        remarks=tuple(remarks),
        news=tuple(news),
        last_words=last.said if last is not None and last.state in _UNWISHED else (),
        down=down,
        to_take=down is not None and (last != down or _is_half_way(down, replicas)),
        has_succeeded=bool(choice.succeeded(history)),
    )


def digest_of(replica: Replica) -> str:
    """Of the image that a container was started from; empty where it was by none."""
    return replica.image.rpartition("@")[2] if "@" in replica.image else ""


def _ails(replica: Replica) -> bool:
    return replica.state not in ("up", "starting")


def _of_the_last(last: Record | None, *, is_locked: bool) -> Iterator[str]:
    if last is not None and last.state == "running" and not is_locked:
        yield f"the {_what(last)} was cut off"
    if last is not None and last.state == "failed":
        yield f"the {_what(last)} failed: {last.why}"


def _news(last: Record | None, *, is_locked: bool) -> list[str]:
    if last is not None and last.state == "running" and is_locked:
        return [f"the {_what(last)} is under way"]
    if last is not None and last.state == "rolled back":
        return [f"the {_what(last)} was rolled back: {last.why}"]
    return []


def _of_the_end(down: Record | None) -> Iterator[str]:
    if down is not None and down.state == "succeeded":
        yield f"down since {down.ended} by {down.by or 'somebody'}: {down.release} was taken away"


def _is_half_way(down: Record, replicas: Sequence[Replica]) -> bool:
    return down.state != "succeeded" or any(each.own for each in replicas)


def _of_a_stranger(replica: Replica) -> str:
    return f"{_named(replica)} is by its labels of something else: no take-down takes it"


def _what(last: Record) -> str:
    return f"{last.verb} of {last.release} by {last.by or 'somebody'} at {last.at}"


def _named(replica: Replica) -> str:
    return f"{replica.name} on {replica.host}" if replica.host else replica.name


def _should(serving: Record | None, down: Record | None) -> str:
    if down is not None:
        return ", and nothing should run here since it was taken down"
    if serving is not None:
        return f", which should run {serving.release}"
    return ", and nothing is known to have been released here"


def _of_images(
    should: str, serving: Record | None, running: Sequence[tuple[str, int]]
) -> Iterator[str]:
    for digest, count in running:
        if serving is None or digest != serving.digest:
            shown = digest[:_DIGITS] or "an image by no digest"
            yield f"{count} of what runs here is of {shown}{should}"
