"""`key=value` pairs on one line, as Heroku's logfmt has them."""

import re
from collections.abc import Mapping
from typing import Final

from wharfinger.text import printable

_BARE: Final = re.compile(r'[^ "=\\]+')


def logfmt(fields: Mapping[str, object]) -> str:
    """`key=value` pairs on one line; a value with blanks, quotes or control codes is quoted."""
    return " ".join(f"{_key(key)}={_value(value)}" for key, value in fields.items())


def _key(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", key)


def _value(value: object) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.6g}"
        case str():
            text = value
        case bytes():
            text = value.decode(errors="backslashreplace")
        case list() | tuple() | set() | frozenset():
            text = ",".join(str(item) for item in value)
        case _:
            text = str(value)
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'
