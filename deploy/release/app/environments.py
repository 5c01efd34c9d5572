"""What an environment is once that which it mirrors, and what goes without saying, is filled in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from deploy.release.app.fields import Given, Written
from deploy.release.app.model import App, EngineName, Environment, Order, Rollout

# How many, where, and who must agree; what runs the containers is a place, too.
OWN: Final = frozenset(
    {"engine", "replicas", "autoscale", "hosts", "docker", "secrets", "needs", "approve"}
)
# Whoever mirrors production does not run on its engine for that, nor wait for its own evidence.
_NOT_TAKEN: Final = ("docker", "needs", "approve", "mirrors")
_HOW_MANY: Final = ("replicas", "autoscale")
_OF_HOSTS: Final = ("hosts", "everywhere")


def resolved(written: Written) -> App:
    """The application with its environments; what cannot be is taken as if it were not said."""
    return replace(
        written.app,
        environments={
            name: _environment(written, name, given) for name, given in written.environments.items()
        },
    )


def _environment(written: Written, name: str, given: Given) -> Environment:
    said = _mirrored(given, written.environments)
    order = Order.START_FIRST if written.app.port.fixed is None else Order.STOP_FIRST
    rollout = Rollout(**{"order": order, **said.pop("rollout", {})})
    if said.get("everywhere"):
        said["replicas"] = 0
    elif "autoscale" in said:
        said.setdefault("replicas", said["autoscale"].least)
    # One without was noted, or is not used.
    said.setdefault("engine", None)
    return Environment(name=name, rollout=rollout, **said)


def _mirrored(given: Given, environments: Mapping[str, Given]) -> dict[str, Any]:
    source = environments.get(given.said.get("mirrors", ""))
    if source is None:
        return dict(given.said)
    taken = {key: value for key, value in source.said.items() if key not in _NOT_TAKEN}
    if any(key in given.said for key in _HOW_MANY):
        taken = {key: value for key, value in taken.items() if key not in _HOW_MANY}
    if given.said.get("engine") is EngineName.COMPOSE:
        # There is one host, and no choice.
        taken = {key: value for key, value in taken.items() if key not in _OF_HOSTS}
    secrets = {**taken.get("secrets", {}), **given.said.get("secrets", {})}
    return {**taken, **given.said, "secrets": secrets}
