"""html, js and urlquery."""

from typing import Final
from urllib.parse import quote_plus

from discovery.gotemplate.text import encoded, is_printable, is_stray_byte

_HTML: Final = str.maketrans(
    {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
_JS: Final = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026",
    "=": "\\u003D",
}  # fmt: skip


def html(text: str) -> str:
    """template.HTMLEscapeString."""
    return text.translate(_HTML)


def js(text: str) -> str:
    """template.JSEscapeString."""
    return text.translate({ord(c): _js(c) for c in set(text)})


def urlquery(text: str) -> str:
    """url.QueryEscape."""
    return quote_plus(encoded(text))


def _js(character: str) -> str:
    if character in _JS:
        return _JS[character]
    if character < " " or not (is_printable(character) or is_stray_byte(character)):
        if character == "\x7f":
            return character
        return f"\\u{ord(character):04X}"
    return character
