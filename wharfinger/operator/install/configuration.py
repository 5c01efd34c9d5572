"""The configuration of a host: as it was said, as it is, and as it will be."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from wharfinger import sources
from wharfinger.config import Loaded, Section, load, walk
from wharfinger.errors import ConfigError, Finding, Rejected
from wharfinger.operator.install import shipped
from wharfinger.operator.install.merging import merged
from wharfinger.operator.install.model import CONFIG
from wharfinger.operator.install.root import Root
from wharfinger.sample import sample, sections
from wharfinger.schema import TAG
from wharfinger.tomlfile import Place

CONTROL_GROUP: Final = "host.control_group"
CONTROL_GROUP_VARIABLE: Final = "WHARFINGER_HOST__CONTROL_GROUP"


def configured(root: Root) -> Any:
    """The configuration that is there; the defaults where it cannot be read."""
    try:
        return loaded(root, {}, {}).value
    except ConfigError:
        return _model()()


def raw(root: Root, environment: Mapping[str, str], flags: Mapping[str, str]) -> object:
    """All that was said, before its types are looked at."""
    with _staged(root.content(CONFIG) or b"") as path:
        tree = sources.from_file(path, [])
    sources.merge(tree, sources.from_environment(environment, []))
    sources.merge(tree, sources.from_flags(flags))
    return sources.plain(tree)


def held(table: object, *steps: str) -> object:
    """What a table holds below some steps; None where nothing is."""
    for step in steps:
        table = table.get(step) if isinstance(table, dict) else None
    return table


@contextmanager
def _staged(data: bytes) -> Iterator[Path]:
    """A configuration as a file of its own: a path into a root folder could lead out of it.

    Raises:
        ConfigError: as whoever reads it says, of the file at its place.
    """
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "wharfinger.toml"
        staged.write_bytes(data)
        try:
            yield staged
        except ConfigError as error:
            raise ConfigError(_renamed(each, str(staged)) for each in error.findings) from error


def _model() -> type[Section]:
    parts = [(name, model, model()) for name, model in sections().items()]
    made = msgspec.defstruct("Config", parts, bases=(Section,), frozen=True, kw_only=True)
    return cast("type[Section]", made)


def loaded(root: Root, environment: Mapping[str, str], flags: Mapping[str, str]) -> Loaded[Any]:
    """The configuration as it was said.

    Raises:
        ConfigError: with every finding.
    """
    named = {
        name: text
        for name, text in environment.items()
        if "__" in name and (name != CONTROL_GROUP_VARIABLE or text not in shipped.users())
    }
    with _staged(root.content(CONFIG) or b"") as path:
        return load(_model(), path=path, environment=named, flags=flags, amend=_without_new_group)


def new_group(flags: dict[str, str], environment: Mapping[str, str]) -> dict[Place, object]:
    """The setting of a group that is made with the daemons' users, taken out of what was said."""
    told = flags.get(CONTROL_GROUP, environment.get(CONTROL_GROUP_VARIABLE, ""))
    if told not in shipped.users():
        return {}
    flags.pop(CONTROL_GROUP, None)
    return {("host", "control_group"): told}


def settings(said: Loaded[Any]) -> Iterator[tuple[Place, object]]:
    """Those that were said on the command line or in the environment, by place."""
    for key, described, value in walk(type(said.value), said.value):
        is_said = said.origin(key).startswith(("flag", "environment"))
        # Of an array that was said as a whole, what differs from the defaults is enough.
        spare = "[" in key and described.name != TAG and value == described.default
        if is_said and value is not None and not spare:
            yield _place(key), _plain(value)


def _place(key: str) -> Place:
    steps = re.findall(r"\[(\d+)\]|([^.\[\]]+)", key)
    return tuple(int(number) if number else name for number, name in steps)


def _plain(value: object) -> object:
    """A value as TOML can write it."""
    return msgspec.to_builtins(value, enc_hook=str)


def checked(root: Root, wanted: Mapping[Place, object]) -> Any:
    """The configuration as it will be, read as the daemons will read it.

    Raises:
        ConfigError: with every finding.
        Rejected: it cannot be changed in place.
    """
    before = root.content(CONFIG)
    try:
        text = merged(sample() if before is None else before.decode(), wanted)
    except Rejected as error:
        raise Rejected(f"{CONFIG}: {error}; nothing was changed") from error
    with _staged(text.encode()) as path:
        return load(_model(), path=path, environment={}, amend=_without_new_group).value


def _without_new_group(tree: sources.Table) -> None:
    """Leaves a group out that is made with the daemons' users: before, no group of it is there."""
    host = tree.entries.get("host")
    if not isinstance(host, sources.Table):
        return
    group = host.entries.get("control_group")
    if isinstance(group, sources.Given) and group.value in shipped.users():
        del host.entries["control_group"]


def _renamed(finding: Finding, staged: str) -> Finding:
    where, source = (text.replace(staged, CONFIG) for text in (finding.where, finding.source))
    return replace(finding, where=where, source=source)
