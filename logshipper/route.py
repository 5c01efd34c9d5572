"""Whether a container's log is shipped, and what its documents carry beside the text; pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from logshipper.lines.labels import from_labels
from logshipper.linesettings import LineSettings
from logshipper.model import Route
from wharfinger.container import Container
from wharfinger.errors import Rejected
from wharfinger.identity import identify

LOGS_LABEL: Final = "wharfinger.logs"
CHARSET_LABEL: Final = "wharfinger.logs.charset"
FILES_LABEL: Final = "wharfinger.logs.files"
ON: Final = "on"
OFF: Final = "off"
DRIVER: Final = "json-file"
NO_DRIVER: Final = "none"
# Those that Docker can read back by themselves; of all others it keeps a copy, unless told not to.
READABLE: Final = frozenset({"local", "journald"})
CACHE_OPTION: Final = "cache-disabled"
# A label may be megabytes long, and goes into every document.
MAX_FIELD_CHARACTERS: Final = 256
ID_DIGITS: Final = 64


# What compose and Swarm write on what they start.
ORIGINS: Final = {
    "com.docker.compose.project": "compose_project",
    "com.docker.compose.service": "compose_service",
    "com.docker.stack.namespace": "swarm_stack",
    "com.docker.swarm.service.name": "swarm_service",
    "com.docker.swarm.task.name": "swarm_task",
}
MAX_CHOSEN: Final = 32
_ODD: Final = re.compile(r"[^A-Za-z0-9_]")


def route(
    container: Container,
    *,
    host: str,
    lines: LineSettings | None = None,
    labels: Sequence[str] = (),
    variables: Sequence[str] = (),
) -> Route:
    """Decides for one container.

    Args:
        container: as Docker describes it.
        host: name of this host.
        lines: what is done to lines, where its labels say nothing else.
        labels: names of labels that documents carry; `x.*` for all that begin so.
        variables: names of its variables that documents carry.
    """
    decided = file_route(container, host=host, lines=lines, labels=labels, variables=variables)
    if not decided.ship:
        return decided
    if container.log_driver not in {DRIVER, ""}:
        why = unreadable(container)
        return (
            Route(ship=False, reason=why) if why else replace(decided, driver=container.log_driver)
        )
    if CHARSET_LABEL not in container.labels or FILES_LABEL in container.labels:
        return decided
    why = f"label {CHARSET_LABEL} is of no use: {DRIVER} logs are UTF-8"
    return replace(decided, reason="; ".join(filter(None, (decided.reason, why))))


def unreadable(container: Container) -> str:
    """Why Docker's API cannot give a container's log; empty when it can, as far as one sees."""
    driver = container.log_driver
    if driver == NO_DRIVER:
        return f"log driver {driver!r} keeps nothing"
    disabled = container.log_options.get(CACHE_OPTION, "").strip().lower()
    if driver not in READABLE and disabled in {"true", "1", "t"}:
        return f"log driver {driver!r:.80} sends lines away, and {CACHE_OPTION} keeps no copy here"
    return ""


def through(decided: Route) -> str:
    """How a log is read, where that is not its file; for people."""
    return f"through Docker's API (driver {decided.driver:.80})" if decided.driver else ""


def file_route(
    container: Container,
    *,
    host: str,
    lines: LineSettings | None = None,
    labels: Sequence[str] = (),
    variables: Sequence[str] = (),
) -> Route:
    """Decides for the files inside one container, whatever becomes of what it prints.

    Args:
        container: as Docker describes it.
        host: name of this host.
        lines: what is done to lines, where its labels say nothing else.
        labels: names of labels that documents carry.
        variables: names of its variables that documents carry.
    """
    if container.labels.get(LOGS_LABEL, "").strip().lower() == OFF:
        return Route(ship=False, reason=f"label {LOGS_LABEL}={OFF}")
    return _described(container, host, lines or LineSettings(), labels, variables)


def of_file(decided: Route, owner: str, path: str) -> Route:
    """The route of one file.

    Args:
        decided: for all files of its container, or of its table in the configuration.
        owner: what its ids begin with.
        path: of the file, as its program sees it.
    """
    fields = _bounded({**decided.fields, "file": path})
    return replace(decided, fields=fields, owner=owner)


def _described(
    container: Container,
    host: str,
    lines: LineSettings,
    labels: Sequence[str],
    variables: Sequence[str],
) -> Route:
    wish = container.labels.get(LOGS_LABEL, "").strip().lower()
    reasons = [] if wish in {"", ON} else [f"label {LOGS_LABEL}={wish!r:.40} is neither on nor off"]
    service = None
    try:
        service = identify(container.labels, container.env)
    except Rejected as refusal:
        # Its lines are worth keeping all the same; they are found by container and host.
        reasons.append(f"{refusal}; shipped without app and env")
    settings, problems = from_labels(container.labels, lines)
    fields = {
        **settings.fields,
        **_chosen("label", labels, container.labels),
        **_chosen("env", variables, container.env),
        **{name: container.labels.get(label, "") for label, name in ORIGINS.items()},
        "app": service.app if service else "",
        "env": service.env if service else "",
        "host": host,
        "container": container.id[:ID_DIGITS],
        "container_name": container.name,
        "image": container.image,
    }
    reason = "; ".join([*reasons, *problems])
    return Route(ship=True, reason=reason, fields=_bounded(fields), lines=settings)


def _chosen(kind: str, wanted: Sequence[str], held: Mapping[str, str]) -> dict[str, str]:
    names = [
        name
        for name in sorted(held)
        if name in wanted or any(w[-1:] == "*" and name.startswith(w[:-1]) for w in wanted)
    ]
    # A dot in the name of a field is a path to Elasticsearch.
    return {f"{kind}_{_ODD.sub('_', name)}": held[name] for name in names[:MAX_CHOSEN]}


def _bounded(fields: Mapping[str, str]) -> dict[str, str]:
    return {key: text[:MAX_FIELD_CHARACTERS] for key, text in fields.items() if text}
