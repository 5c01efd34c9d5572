"""A resource file of confd's, or of its fork's, in our own words."""

from collections.abc import Mapping
from typing import Final

from discovery.confd.durations import duration_problem, seconds_of
from wharfinger.errors import Finding
from wharfinger.schema import Section, fields
from wharfinger.sources import Given, Node, Table, origin

# The fork's, whose times are texts.
_TIMES: Final[Mapping[str, str]] = {
    "check_cmd_timeout": "check_timeout_seconds",
    "reload_cmd_timeout": "reload_timeout_seconds",
}
_OWNERS: Final = frozenset({"uid", "gid"})
_NOBODY: Final = -1
# The fork reads such a resource from another store: to take etcd instead would be no small thing.
_NOT_PASSED_OVER: Final = frozenset({"backend"})


def translated(table: Table, model: type[Section], *, native: str) -> tuple[Finding, ...]:
    """Makes ours of a resource of confd's, in place.

    A name may have any case, and what confd does not know it passes over without a word.

    Args:
        table: the file.
        model: of its table `template`.
        native: what the template's name ends in where it is one of ours; there nothing is done.

    Returns:
        What is passed over.
    """
    _renamed(table, frozenset({"template"}))
    template = table.entries.get("template")
    if not isinstance(template, Table):
        return ()
    _renamed(template, known := frozenset(field.name for field in fields(model)))
    src = template.entries.get("src")
    if not isinstance(src, Given) or str(src.value).endswith(native):
        return ()
    for name in _OWNERS:
        owner = template.entries.get(name)
        if isinstance(owner, Given) and owner.value == _NOBODY:
            del template.entries[name]
    for theirs, ours in _TIMES.items():
        time = template.entries.get(theirs)
        if isinstance(time, Given) and not duration_problem(str(time.value)):
            seconds = seconds_of(str(time.value))
            template.entries[ours] = Given(seconds, time.origin, time.folder)
            del template.entries[theirs]
    return (
        *_passed_over(table, frozenset({"template"}) | _NOT_PASSED_OVER, ""),
        *_passed_over(template, known | _TIMES.keys(), "template."),
    )


def _renamed(table: Table, known: frozenset[str]) -> None:
    for name in [name for name in table.entries if name not in known]:
        if (plain := name.lower()) in known and plain not in table.entries:
            table.entries[plain] = table.entries.pop(name)


def _passed_over(table: Table, known: frozenset[str], above: str) -> list[Finding]:
    unknown: dict[str, Node] = {
        name: node for name, node in table.entries.items() if name not in known
    }
    for name in unknown:
        del table.entries[name]
    problem = "is passed over, as by confd: there is no such field"
    return [Finding(above + name, problem, "", origin(node)) for name, node in unknown.items()]
