"""What was rendered must be what the resource says it is: JSON, YAML, TOML or XML."""

import json
import tomllib
from collections.abc import Callable, Mapping
from typing import Final
from xml.parsers import expat

import yaml

from wharfinger.errors import Rejected

_PARSER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def require(name: str, content: bytes) -> None:
    """Checks the content.

    Args:
        name: `json`, `yaml`, `toml` or `xml`; empty asks for nothing.
        content: what was rendered.

    Raises:
        Rejected: it is something else; the message says where.
    """
    if not name:
        return
    try:
        _READERS[name](content)
    # XML names its encoding, and may name one that there is not: a LookupError.
    except (ValueError, LookupError, RecursionError, expat.ExpatError) as error:
        raise Rejected(f"is no {name.upper()}: {error}") from None


def _json(content: bytes) -> None:
    json.loads(content)


def _toml(content: bytes) -> None:
    tomllib.loads(content.decode())


def _xml(content: bytes) -> None:
    # Declared entities can grow without end (billion laughs); none of them is looked up here.
    parser = expat.ParserCreate()
    parser.Parse(content, True)  # noqa: FBT003 - it takes no keyword


def _yaml(content: bytes) -> None:
    try:
        for _ in yaml.parse(content, Loader=_PARSER):
            pass  # events only: aliases are not expanded
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


_READERS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "json": _json,
    "toml": _toml,
    "xml": _xml,
    "yaml": _yaml,
}
