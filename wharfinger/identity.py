"""Which service a container belongs to, by its labels or environment; both are hostile."""

from collections.abc import Iterator, Mapping
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.keys import Service

APP_LABEL: Final = "wharfinger.app"
ENV_LABEL: Final = "wharfinger.env"

# In the order in which they are asked; the first that is not empty counts.
_APP_VARIABLES: Final = ("APP_NAME", "SERVICE_NAME")
_ENV_VARIABLES: Final = ("ENVIRONMENT", "SERVICE_ENVIRONMENT", "SERVICE_ENV")


def identify(labels: Mapping[str, str], env: Mapping[str, str]) -> Service | None:
    """Reads APP and ENV: our labels first, then the variables, then registrator's SERVICE_*.

    An empty value counts as none, since Compose writes one for every variable that is not set.
    As with registrator, a SERVICE_* name may stand among the labels or the variables.

    Returns:
        The service; None for a container that names no app, and is none of ours.

    Raises:
        Rejected: it means to be one of ours, but a part is missing or cannot stand in a key.
    """
    app = next(_given(labels, env, APP_LABEL, _APP_VARIABLES), "")
    environment = next(_given(labels, env, ENV_LABEL, _ENV_VARIABLES), "")
    if app and environment:
        return Service(app, environment)
    if app:
        raise Rejected(f"has an app but no environment: set the label {ENV_LABEL}")
    if labels.get(ENV_LABEL):
        raise Rejected(f"has the label {ENV_LABEL} but no app: set the label {APP_LABEL}")
    return None


def _given(
    labels: Mapping[str, str], env: Mapping[str, str], label: str, variables: tuple[str, ...]
) -> Iterator[str]:
    yield from filter(None, [labels.get(label)])
    for name in variables:
        # registrator reads SERVICE_* from labels, too; APP_NAME there means nothing to anyone.
        if name.startswith("SERVICE_"):
            yield from filter(None, [labels.get(name)])
        yield from filter(None, [env.get(name)])
