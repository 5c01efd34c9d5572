"""How long a rollback holds: until what the resource is made of changes."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from discovery.config import JINJA
from discovery.publish.history import History
from discovery.resources.resources import Resource
from wharfinger.errors import Rejected


def renew(history: History, fingerprints: Mapping[str, str]) -> list[str]:
    """Ends each hold whose resource is made of something else now.

    A hold stands against a template; when that is mended there is nothing to hold.

    Args:
        history: knows what is held.
        fingerprints: of all resources, by name.

    Returns:
        The resources whose hold has ended.
    """
    ended = []
    for name, sources in fingerprints.items():
        with contextlib.suppress(OSError, Rejected):
            hold = history.held(name)
            if hold is None or hold.sources == sources:
                continue
            if hold.sources:
                history.let_go(name)
                ended.append(name)
            else:
                history.hold(name, hold.against(sources))
    return ended


def fingerprints(resources: Iterable[Resource], templates: Path) -> dict[str, str]:
    """What each resource is made of, by name.

    By content: a hold outlives a boot that numbers the disks otherwise, and a copy.

    Args:
        resources: all.
        templates: the folder that Jinja2 includes from.
    """
    # Jinja2 includes what it likes from its folder; a template of confd's is one file.
    folder = digest(sorted(f"{path} {_content(path)}" for path in files_below(templates)))
    return {
        one.name: digest(
            [
                *([folder] if one.template.suffix == JINJA else []),
                _content(one.template),
                *(f"{name}={value!r}" for name, value in _settings(one)),
            ]
        )
        for one in resources
    }


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and its folders; not the hidden ones.

    Those editors, and our own writes, leave for a moment.
    """
    for below, _, names in os.walk(folder):
        yield from (Path(below, name) for name in names if not name.startswith("."))


def digest(lines: list[str]) -> str:
    """Names these lines."""
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _settings(resource: Resource) -> Iterator[tuple[str, object]]:
    """What its file says; a field that a later version of ours adds changes nothing."""
    for one in fields(resource):
        if (value := getattr(resource, one.name)) != one.default:
            yield one.name, value


def _content(path: Path) -> str:
    """Names a file's content; whoever reads a pipe waits for its writer."""
    with contextlib.suppress(OSError):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return "-"
