"""The labels by which registrars, discovery and `deploy` itself know a container."""

import math
from collections.abc import Mapping
from typing import Final

from deploy.release.app.model import App, Environment, Health

RELEASE: Final = "wharfinger.release"
# Rancher 1.6 kills ten seconds after a stop, and with-port has to hand the signal on before.
RANCHER_DRAIN_SECONDS: Final = 8


def whose(app: App, environment: Environment) -> Mapping[str, str]:
    """What tells of which application it is, and in which environment."""
    return {"wharfinger.app": app.name, "wharfinger.env": environment.name}


def service(app: App, environment: Environment, release: str) -> Mapping[str, str]:
    """What tells whose it is, for what an engine calls a service."""
    return {**whose(app, environment), RELEASE: release}


def container(
    app: App, environment: Environment, release: str, *, drain_seconds: float
) -> Mapping[str, str]:
    """All of a container's, sorted; those of the author's beside ours.

    Args:
        app: of wharf.yaml.
        environment: one of its.
        release: `r12`.
        drain_seconds: for which with-port holds a stop back; the label knows whole seconds.
    """
    ours = {
        **service(app, environment, release),
        "wharfinger.drain": str(math.ceil(drain_seconds)),
        **_check(app.health),
    }
    if app.port.fixed is not None:
        ours["wharfinger.port"] = str(app.port.fixed)
    if app.port.pool is not None:
        first, last = app.port.pool
        ours["wharfinger.port.pool"] = f"{first}-{last}"
    if app.serve is not None:
        ours["wharfinger.host"] = app.serve.host
        ours["wharfinger.path"] = app.serve.path or "/"
    return dict(sorted({**app.labels, **ours}.items()))


def _check(health: Health) -> Mapping[str, str]:
    asked = "tcp" if health.http is None else f"http:{health.http}"
    return {
        "wharfinger.check": asked,
        "wharfinger.check.interval": f"{health.every_seconds:g}s",
        "wharfinger.check.timeout": f"{health.timeout_seconds:g}s",
        "wharfinger.check.rise": str(health.healthy),
        "wharfinger.check.fall": str(health.unhealthy),
        "wharfinger.check.grace": f"{health.start_seconds:g}s",
    }
