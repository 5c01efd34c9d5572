"""YAML that is the same bytes for what is the same, and that no reader takes for something else."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

# What YAML 1.1 and 1.2 both take for text without quotes; `12:30` or `0o17` is a number in one.
_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./@=-]*(:[A-Za-z0-9_./@=-]+)*", re.ASCII)
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the same list twice is no alias
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        style = None
    else:
        style = "'" if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(content: Mapping[str, Any], remarks: Iterable[str] = ()) -> str:
    """A document, its keys in their order.

    Args:
        content: mappings, lists, texts, numbers and booleans.
        remarks: lines before it, without `#`.
    """
    head = "".join(f"# {line}".rstrip() + "\n" for line in remarks)
    body = yaml.dump(
        dict(content),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=2**20,
        default_flow_style=False,
    )
    return head + body


def literal(text: str) -> str:
    """Text of which an engine replaces nothing: each dollar doubled (Compose, libcompose)."""
    return text.replace("$", "$$")
