"""What cannot be together in a wharf.yaml, though each of it may be there."""

from collections.abc import Iterator
from typing import Final

from deploy.release.app import grammar, places
from deploy.release.app.environments import OWN
from deploy.release.app.fields import ENVIRONMENT, Written
from deploy.release.app.kinds import spelled
from deploy.release.app.model import App, EngineName, Environment, Order
from deploy.release.app.places import Problem
from deploy.release.evidence.approval import PREFIX
from deploy.release.evidence.model import MAX_CHECK_LENGTH
from wharfinger.text import quantity

CHECKS: Final = "checks"
_KEYS: Final = {field.name: key for key, field in ENVIRONMENT.items()}


def problems(written: Written, app: App) -> Iterator[Problem]:
    """Everything that is impossible, in no order.

    Args:
        written: the file.
        app: the same with its environments resolved.
    """
    yield from _application(app)
    for name, given in written.environments.items():
        environment = app.environments[name]
        yield from _mirrors(written, name)
        yield from _needs(app, environment)
        yield from _names_of_evidence(environment)
        yield from _how_many(app, environment, set(given.said))
        yield from places.problems(app, environment)
        if grammar.RESERVED_TAG.fullmatch(name):
            yield Problem(
                ("environments", name),
                "is a tag that pushes and reports make, and a promotion makes one of its name",
                "call it otherwise",
            )


def _application(app: App) -> Iterator[Problem]:
    if not app.environments:
        yield Problem(("environments",), "there are none", "write {integration: {engine: compose}}")
    if app.port.fixed is not None and app.port.pool is not None:
        yield Problem(
            ("port", "pool"), "the port is fixed: no registrar gives one", "keep one of the two"
        )
    for name in app.labels:
        if places.is_reserved(name):
            yield Problem(
                ("labels", name),
                "is written by `deploy` itself, or by the engine",
                "take it out, and say it with the other keys of this file",
            )
    if "LAYER" in app.build.arguments:
        yield Problem(
            ("build", "arguments", "LAYER"), "is build.layer's", "take it out, write build.layer"
        )


def _mirrors(written: Written, name: str) -> Iterator[Problem]:
    said = written.environments[name].said
    at = ("environments", name)
    source = said.get("mirrors")
    if source is None:
        if "engine" not in said:
            yield Problem(at, "has no engine", f"write engine: {', '.join(EngineName)}")
        return
    if source == name:
        yield Problem((*at, "mirrors"), "is itself", "name another environment")
    elif source not in written.environments:
        fix = _nearest(source, list(written.environments))
        yield Problem((*at, "mirrors"), f"there is no environment {source!r}", fix)
    elif further := written.environments[source].said.get("mirrors"):
        fix = "let one of them say what it is" if further == name else f"write mirrors: {further}"
        yield Problem((*at, "mirrors"), f"{source} itself mirrors {further}", fix)
    for key in said.keys() - OWN - {"mirrors"}:
        problem = f"comes from {source}: what mirrors it has it as it is there"
        yield Problem((*at, _KEYS[key]), problem, "take it out, or do not mirror")


def _needs(app: App, environment: Environment) -> Iterator[Problem]:
    names = list(app.environments)
    before = names[: names.index(environment.name)]
    for index, need in enumerate(environment.needs):
        at = ("environments", environment.name, "needs", index)
        where, dot, _check = need.rpartition(".")
        if not dot:
            known = [CHECKS, *app.checks]
            if need not in known:
                fix = f"add it to checks, or {_nearest(need, known)}"
                yield Problem(at, f"there is no check {need!r}", fix)
            elif need == CHECKS and not app.checks:
                yield Problem(at, "there are no checks", "list them in checks at the top")
        elif where not in names:
            yield Problem(at, f"there is no environment {where!r}", _nearest(where, names))
        elif where not in before:
            yield Problem(
                at,
                f"{where} does not come before {environment.name}",
                "put that environment further up, or take it out",
            )


def _names_of_evidence(environment: Environment) -> Iterator[Problem]:
    """Whether a tag of the registry has room for them."""
    at: tuple[str | int, ...] = ("environments", environment.name)
    needs = [((*at, "needs", index), need) for index, need in enumerate(environment.needs)]
    word = [((*at, "approve"), f"{PREFIX}{environment.name}")] if environment.approve else []
    for place, name in (*needs, *word):
        if len(name) > MAX_CHECK_LENGTH:
            room = f"{MAX_CHECK_LENGTH} characters, which is all that a tag has room for"
            yield Problem(place, f"{name!r:.80} is longer than {room}", "use shorter names")


def _how_many(app: App, environment: Environment, said: set[str]) -> Iterator[Problem]:
    at = ("environments", environment.name)
    if environment.everywhere:
        for key in said & {"replicas", "autoscale"}:
            yield Problem((*at, key), "there is one on each host", "take it out, or `everywhere`")
        return
    if scale := environment.autoscale:
        if scale.least > scale.most:
            problem = f"min {scale.least} is more than max {scale.most}"
            yield Problem((*at, "autoscale"), problem, "write the smaller one as min")
        elif not scale.least <= environment.replicas <= scale.most:
            problem = f"{environment.replicas} is not from {scale.least} to {scale.most}"
            yield Problem((*at, "replicas"), problem, "write one between, or take it out")
        if scale.cpu_percent is None and scale.requests_per_second is None:
            yield Problem((*at, "autoscale"), "goes by nothing", "write cpu: 70% or requests: 50")
    if app.port.fixed is not None:
        yield from _fixed(at, app.port.fixed, environment)
    elif app.port.pool is not None and environment.engine is EngineName.COMPOSE:
        yield from _pool(app.port.pool, environment)


def _pool(pool: tuple[int, int], environment: Environment) -> Iterator[Problem]:
    """Whether all that may run on the one host at a time get a port; the first rollout would."""
    scale, rollout = environment.autoscale, environment.rollout
    most = scale.most if scale else environment.replicas
    beside = min(rollout.batch, most) if rollout.order is Order.START_FIRST else 0
    there = pool[1] - pool[0] + 1
    if there < most + beside:
        of = quantity(most, "instance")
        new = f" and {beside} new beside them in a rollout" if beside else ""
        few = f"{quantity(there, 'port is', 'ports are')} too few"
        yield Problem(
            ("port", "pool"),
            f"{few} for {of}{new} in {environment.name}",
            f"write a range of {most + beside} ports, or more, within the registrars'",
        )


def _fixed(at: tuple[str, ...], port: int, environment: Environment) -> Iterator[Problem]:
    if environment.rollout.order is Order.START_FIRST:
        yield Problem(
            (*at, "rollout", "order"),
            f"the new instance would find port {port} held by the old one",
            "write stop-first, or let the registrar give ports (take port.fixed out)",
        )
    scale = environment.autoscale
    most = scale.most if scale else environment.replicas
    if environment.engine is EngineName.COMPOSE and most > 1:
        yield Problem(
            (*at, "replicas"),
            f"{most} instances on one host cannot all have port {port}",
            "write 1, or let the registrar give ports (take port.fixed out)",
        )


def _nearest(word: str, words: list[str]) -> str:
    return spelled(word, words) or f"there are {', '.join(words) or 'none'}"
