"""What to do now, from all that was observed: ports on this host, and keys in etcd."""

from dataclasses import dataclass

from registrar.checks.model import Target
from registrar.judging import judge
from registrar.model import Action, Instance, Observed, Plan, Ready, Refused, Release, Seen, Verdict
from registrar.view import Question, Read, View, questions, unchanged
from wharfinger.keys import InstanceKey


def make(observed: Observed) -> Plan:
    """Judges all that every container asks for, and says what is to be done where one waits."""
    return Plans().make(observed)


class Plans:
    """One plan after another, each as if it were the first.

    A container is judged again only where something differs that its judgement was read from:
    hundreds of containers are asked about whenever anything happens to one of them.
    """

    def __init__(self) -> None:
        self._at = ("", "")
        self._judgements: dict[str, _Judgement] = {}

    def make(self, observed: Observed) -> Plan:
        """Judges all that every container asks for, and says what is to be done where one waits."""
        before = self._judgements if self._at == (observed.host, observed.ip) else {}
        asked = questions(observed)
        now: dict[str, _Judgement] = {}
        verdicts: dict[str, tuple[Verdict, ...]] = {}
        actions: list[Action] = _releases(observed)
        targets: list[Target] = []
        standing: list[Target] = []
        instances: dict[InstanceKey, Instance] = {}
        for container_id, seen in sorted(observed.containers.items(), key=_precedence):
            if not seen.asks:
                continue
            judgement = before.get(container_id)
            if judgement is None or not _holds(judgement, seen, asked):
                judgement = _judgement(seen, observed)
            now[container_id] = judgement
            verdicts[container_id] = _unless_held(judgement, container_id, instances)
            actions.extend(judgement.actions)
            targets.extend(judgement.targets)
            standing.extend(judgement.standing)
        self._judgements, self._at = now, (observed.host, observed.ip)
        return Plan(tuple(actions), verdicts, instances, tuple(targets), frozenset(standing))


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What all that a container asks for came to, and what that was read from.

    Attributes:
        instances: those that its verdicts would have registered.
    """

    seen: Seen
    reads: tuple[Read, ...]
    verdicts: tuple[Verdict, ...]
    actions: tuple[Action, ...]
    targets: tuple[Target, ...]
    standing: tuple[Target, ...]
    instances: tuple[Instance, ...]


def _releases(observed: Observed) -> list[Action]:
    known = observed.containers.keys() | observed.unknown
    # Who listens has not gone, whatever Docker says: an engine with another data root knows no
    # container, and when the right one is back each must have its own port still.
    return [
        Release(container_id)
        for container_id, port in observed.ports.items()
        if container_id not in known and port not in observed.listeners
    ]


def _precedence(item: tuple[str, Seen]) -> tuple[bool, int, str]:
    """Who keeps a key for which two ask, whatever order Docker lists them in.

    One that has ended, and stays for wharfinger.deregister, makes room for its replacement; of
    those that run, the one that does so longest keeps it.
    """
    container_id, seen = item
    return (not seen.container.running, seen.container.started_at_ns, container_id)


def _holds(judgement: _Judgement, seen: Seen, asked: tuple[Question, ...]) -> bool:
    if judgement.seen is not seen and judgement.seen != seen:
        return False
    return unchanged(judgement.reads, asked)


def _judgement(seen: Seen, observed: Observed) -> _Judgement:
    view = View(observed)
    judged = [judge(seen, ask, view) for ask in seen.asks]
    verdicts = tuple(each.verdict for each in judged)
    return _Judgement(
        seen=seen,
        reads=tuple(dict.fromkeys(view.reads)),
        verdicts=verdicts,
        # Several of its instances may need one and the same thing.
        actions=tuple(dict.fromkeys(action for each in judged for action in each.actions)),
        targets=tuple(each.target for each in judged if each.target is not None),
        standing=tuple(each.target for each in judged if each.target is not None and each.stands),
        instances=tuple(each.instance for each in verdicts if isinstance(each, Ready)),
    )


def _unless_held(
    judgement: _Judgement, container_id: str, instances: dict[InstanceKey, Instance]
) -> tuple[Verdict, ...]:
    """Adds its instances to those of the containers before it, which keep what they have."""
    held = False
    for each in judgement.instances:
        held |= instances.setdefault(each.key, each).metadata.id != container_id
    if not held:
        return judgement.verdicts
    return tuple(_or_refused(each, container_id, instances) for each in judgement.verdicts)


def _or_refused(
    verdict: Verdict, container_id: str, instances: dict[InstanceKey, Instance]
) -> Verdict:
    if not isinstance(verdict, Ready):
        return verdict
    key = verdict.instance.key
    holder = instances[key].metadata.id
    if holder == container_id:
        return verdict
    return Refused(f"{key.address} is already that of container {holder[:12]}")
