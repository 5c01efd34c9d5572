"""Which resources go together: what is checked or reloaded by one command is published as one."""

from collections.abc import Iterable, Iterator

from discovery.publish.commands import names_source
from discovery.resources.resources import Resource


def grouped(resources: Iterable[Resource]) -> tuple[tuple[Resource, ...], ...]:
    """The resources in groups that know nothing of each other.

    A reload command reads all of its files at once, and so does a check that looks at the files
    in their places (`nginx -t`): while one of them is in doubt the verdict on another means
    nothing. Everything else is published side by side, and a slow check holds up nobody.
    """
    groups: list[tuple[set[str], list[Resource]]] = []
    for resource in resources:
        commands = set(_shared(resource))
        touched = [group for group in groups if group[0] & commands]
        groups = [group for group in groups if not group[0] & commands]
        commands = commands.union(*(names for names, _ in touched))
        together = [member for _, members in touched for member in members]
        groups.append((commands, [*together, resource]))
    return tuple(tuple(members) for _, members in groups)


def _shared(resource: Resource) -> Iterator[str]:
    if resource.nginx is not None:
        yield "the built-in resource"
    if resource.reload_cmd:
        yield f"reload {resource.reload_cmd}"
    if resource.check_cmd and not names_source(resource.check_cmd):
        yield f"check {resource.check_cmd}"
