"""How two environments differ in what their engines are given, and which of it may be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.render.files import files
from deploy.release.render.given import Flat, flat
from deploy.release.render.java.mounts import JavaMounts

# Of the same release both are rendered: any will do.
_IMAGE: Final = "@sha256:" + "0" * 64
_RELEASE: Final = "r0"
# Whoever is called otherwise has another name.
_NAMES: Final = ("labels.wharfinger.env",)
_FREE: Final = {
    "engine": "another engine runs it",
    "replicas": "how many may differ",
    "hosts": "where may differ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which two environments differ.

    Attributes:
        where: what it is about (`environment.MODE`, `rollout.batch`).
        first: what it is in the first; None where it has none.
        second: in the second.
        why: it may be; empty where it may not.
    """

    where: str
    first: str | None
    second: str | None
    why: str = ""

    @property
    def allowed(self) -> bool:
        """Whether what mirrors another may have it."""
        return bool(self.why)


def differences(
    app: App, first: Environment, second: Environment, *, java: JavaMounts | None = None
) -> tuple[Difference, ...]:
    """What differs in the rendered files of two environments, in the order of its names.

    The files are read back and held against each other by what they say, since two engines say
    the same in other words. Where neither mirrors the other, nothing may differ but its name.

    Args:
        app: of wharf.yaml.
        first: one of its environments.
        second: another.
        java: the host's JDK, for an application that is built for it.
    """
    one, other = (_flat(app, each, java) for each in (first, second))
    mirrors = first.mirrors == second.name or second.mirrors == first.name
    excuses = dict(_excuses(first, second, mirrors=mirrors))
    return tuple(
        Difference(
            where=where,
            first=one.get(where),
            second=other.get(where),
            why=excuses.get(where, ""),
        )
        for where in sorted(one.keys() | other.keys())
        if one.get(where) != other.get(where)
    )


def _flat(app: App, environment: Environment, java: JavaMounts | None) -> Flat:
    image = app.image + _IMAGE
    texts = files(app, environment, image, _RELEASE, environment.replicas, java=java)
    return flat(environment.engine, app.name, texts)


def _excuses(
    first: Environment, second: Environment, *, mirrors: bool
) -> Iterator[tuple[str, str]]:
    for where in _NAMES:
        yield where, "names differ"
    if not mirrors:
        return
    yield from _FREE.items()
    for name in {**first.secrets, **second.secrets}:
        yield f"mounts./run/secrets/{name}", "secrets may differ"
        yield f"environment.{name}", "secrets may differ"
    if first.engine is not second.engine:
        yield from _of_engines()


def _of_engines() -> Iterator[tuple[str, str]]:
    why = "the engines have no other way"
    # Rancher takes no grace, and kills after ten seconds; Swarm alone rolls back by itself.
    for where in ("grace", "labels.wharfinger.drain", "rollout.order", "rollout.monitor"):
        yield where, why
