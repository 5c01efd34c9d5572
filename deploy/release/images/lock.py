"""layers.lock: exactly which layers an application is built on."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wharfinger.errors import ConfigError, Finding

FILE: Final = "layers.lock"
UPDATE: Final = "`deploy build --update-lock`"
_HEAD: Final = """\
# What this application is built on. Written by `deploy build --update-lock`: look at the
# difference, and commit it. `deploy build` refuses any other layer.
"""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-zA-Z0-9][\w./:@+-]{0,254}", re.ASCII)
_FIELDS: Final = frozenset(["image", "id", "diff_ids", "recipe", "packages"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """An image that others build on.

    Attributes:
        name: as wharf.yaml calls it.
        image: its reference, by digest where it came from a registry.
        id: `sha256:...` of its configuration.
        diff_ids: of its layers, from the lowest.
        recipe: digest of what it was built by; empty where it does not say so.
        packages: `NAME=VERSION` of what is installed in it; empty where it does not say so.
    """

    name: str
    image: str
    id: str
    diff_ids: tuple[str, ...]
    recipe: str = ""
    packages: tuple[str, ...] = ()


def read(text: str, file: str = FILE) -> dict[str, Locked]:
    """What a lock file says, by the layers' names.

    Raises:
        ConfigError: it is none; with every fault.
    """
    try:
        top = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Finding(file, f"no TOML: {error}", f"write it by {UPDATE}")]) from error
    findings = [
        Finding(file, f"the key {key!r:.80} is not known", "take it out")
        for key in top
        if key != "layers"
    ]
    layers = top.get("layers", {})
    found: dict[str, Locked] = {}
    for name, fields in layers.items() if isinstance(layers, dict) else ():
        problem = _problem(name, fields)
        if problem:
            findings.append(Finding(f"{file}: {name!r:.80}", problem, f"write it by {UPDATE}"))
            continue
        found[name] = Locked(
            name=name,
            image=fields["image"],
            id=fields["id"],
            diff_ids=tuple(fields["diff_ids"]),
            recipe=fields.get("recipe", ""),
            packages=tuple(fields.get("packages", ())),
        )
    if not isinstance(layers, dict):
        findings.append(Finding(f"{file}: layers", "is no table", f"write it by {UPDATE}"))
    if findings:
        raise ConfigError(findings)
    return found


def written(layers: Iterable[Locked]) -> str:
    """The file that says so; the same bytes for the same layers."""
    parts = [_HEAD]
    for layer in sorted(layers, key=lambda each: each.name):
        lines = [
            f"[layers.{_quoted(layer.name)}]",
            f"image = {_quoted(layer.image)}",
            f"id = {_quoted(layer.id)}",
            *_listed("diff_ids", layer.diff_ids),
        ]
        if layer.recipe:
            lines.append(f"recipe = {_quoted(layer.recipe)}")
        if layer.packages:
            lines += _listed("packages", layer.packages)
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def difference(locked: Locked, found: Locked) -> tuple[Finding, ...]:
    """Why a layer is not the one that was locked; nothing when it is.

    What counts is its layers' content: the image's id also has labels and the hour of an engine.
    """
    if locked.diff_ids == found.diff_ids:
        return ()
    old, new = set(locked.packages), set(found.packages)
    told = [f"+{each}" for each in sorted(new - old)] + [f"-{each}" for each in sorted(old - new)]
    if told:
        why = f"other packages: {' '.join(told[:12])}" + (" ..." if len(told) > 12 else "")  # noqa: PLR2004
    elif locked.recipe != found.recipe:
        why = "another recipe"
    else:
        why = "the same recipe and packages, but other files"
    return (
        Finding(
            f"{FILE}: {locked.name}",
            f"{found.image} is not what was locked ({why})",
            f"take the locked one ({locked.image}), or accept the other by {UPDATE}",
        ),
    )


def _problem(name: str, fields: Any) -> str:
    if not isinstance(fields, Mapping):
        return "is no table"
    if unknown := sorted(set(fields) - _FIELDS):
        return f"the key {unknown[0]!r:.80} is not known"
    if not _NAME.fullmatch(name):
        return "is no name of an image"
    if not (isinstance(fields.get("image"), str) and _NAME.fullmatch(fields["image"])):
        return "image is no reference"
    diff_ids = fields.get("diff_ids")
    digests = [fields.get("id"), *(diff_ids if isinstance(diff_ids, list) else [None])]
    if not all(isinstance(each, str) and _DIGEST.fullmatch(each) for each in digests):
        return "id and diff_ids are digests (sha256:...)"
    packages = fields.get("packages", [])
    texts = [fields.get("recipe", ""), *(packages if isinstance(packages, list) else [None])]
    return "" if all(isinstance(each, str) for each in texts) else "packages are texts in a list"


def _quoted(text: str) -> str:
    # JSON's strings are TOML's, but for a character that JSON leaves as it is: DEL.
    return json.dumps(text).replace("\x7f", "\\u007f")


def _listed(name: str, values: Iterable[str]) -> list[str]:
    return [f"{name} = [", *(f"  {_quoted(value)}," for value in values), "]"]
