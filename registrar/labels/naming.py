"""Which service a container, or one port of it, is an instance of."""

from collections.abc import Iterator
from typing import Final

from registrar.labels.settings import Statement
from wharfinger.errors import Rejected
from wharfinger.identity import APP_LABEL, ENV_LABEL
from wharfinger.keys import Service

APP_VARIABLE: Final = "APP_NAME"
ENV_VARIABLE: Final = "ENVIRONMENT"
COMPOSE_SERVICE: Final = "com.docker.compose.service"
SWARM_SERVICE: Final = "com.docker.swarm.service.name"
SWARM_STACK: Final = "com.docker.stack.namespace"


def named_by_us(said: Statement) -> bool:
    """Whether its name is in our words, of the whole container or of one port."""
    if said.own.general.get("app") or said.container.env.get(APP_VARIABLE):
        return True
    return any("app" in one for one in said.own.by_port.values())


def ours(said: Statement, port: int | None) -> Service:
    """The service by our words first, then registrator's, then Compose's or Swarm's.

    Raises:
        Rejected: a part is missing or cannot stand in a key.
    """
    app = (
        said.own.get("app", port)
        or said.container.env.get(APP_VARIABLE)
        or said.spelled.get("name", port)
        or last_resort(said)
    )
    if not app:
        if port in said.own.by_port:
            raise Rejected(f"has labels wharfinger.{port}.* but no app: set wharfinger.{port}.app")
        label = f"wharfinger.{said.own.asks}"
        raise Rejected(f"has the label {label} but no app: set the label {APP_LABEL}")
    return Service(app, _environment(said, port))


def ignored(said: Statement, port: int | None) -> bool:
    """Whether this port of it is to be left alone."""
    return bool(said.own.alone("ignore", port) or said.spelled.alone("ignore", port))


def registrators_app(said: Statement, port: int | None) -> str:
    """The app by registrator's words; empty for a port that is not to be registered."""
    app = said.spelled.get("name", port)
    return app if app or said.ways.explicit else last_resort(said)


def registrators(said: Statement, port: int | None, *, grouped: bool) -> Service:
    """The service by registrator's words.

    Args:
        said: of the container.
        port: which of its own.
        grouped: it has several: a name that is not this port's own is told apart by its number.

    Raises:
        Rejected: a part is missing or cannot stand in a key.
    """
    app = registrators_app(said, port)
    if not app:
        numbers = ", ".join(sorted(said.spelled.by_port)[:5])[:60]
        raise Rejected(f"names port {numbers}, but has no such port: expose or publish it")
    if grouped and not said.spelled.alone("name", port):
        app = f"{app}-{port}"
    return Service(app, _environment(said, port))


def last_resort(said: Statement) -> str:
    """Compose's or Swarm's name; without explicit mode else the image's; empty for none."""
    labels = said.container.labels
    if name := labels.get(COMPOSE_SERVICE, ""):
        return name
    if name := labels.get(SWARM_SERVICE, ""):
        stack = labels.get(SWARM_STACK, "")
        return (name.removeprefix(f"{stack}_") if stack else name) or name
    if said.ways.explicit:
        return ""
    # As registrator: the base name without tag; and without a digest, which it leaves there.
    return said.container.image.rpartition("/")[2].partition(":")[0].partition("@")[0]


def _environment(said: Statement, port: int | None) -> str:
    """Labels first, then what is said of this port alone, then what is general."""
    environment = next(filter(None, _environments(said, port)), "")
    if not environment:
        raise Rejected(
            f"has an app but no environment: set the label {ENV_LABEL}, "
            "or default_env in the registrar's configuration"
        )
    return environment


def _environments(said: Statement, port: int | None) -> Iterator[str]:
    yield said.own.get("env", port)
    spelled = ("environment", "env")
    yield from (said.spelled.alone(name, port) for name in spelled)
    yield said.container.env.get(ENV_VARIABLE, "")
    yield from (said.spelled.general.get(name, "") for name in spelled)
    yield said.ways.default_env
