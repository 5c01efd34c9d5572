"""Fields out of a line: JSON, logfmt, nginx, CRI, a delimiter, a pattern; pure."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from logshipper.lines.pattern import OPERATOR_INSTRUCTIONS, compile_pattern
from wharfinger.errors import Rejected

# What a store takes: OpenSearch refuses objects that are nested deeper than 20, and every name
# is a column for ever. A line that has more is no record, but somebody's data.
MAX_FIELDS: Final = 200
MAX_DEPTH: Final = 16
MAX_NAME_CHARACTERS: Final = 256
MESSAGE_KEYS: Final = ("message", "msg", "log", "text")

Parse = Callable[[str], dict[str, Any] | None]

# No two neighbours can take the same characters, and `*+` gives nothing back: one way to match.
_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
_PAIR: Final = re.compile(rf'[ \t]*+([^\s="]++)(?:=({_QUOTED}|[^\s"]*+(?=\s|$)))?', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_ACCESS: Final = re.compile(
    r"(?P<remote_addr>\S++) \S++ (?P<remote_user>\S++) \[(?P<time_local>[^\]]++)\] "
    rf"(?P<request>{_QUOTED}) (?P<status>\d{{3}}) (?P<body_bytes_sent>\d++|-)"
    rf"(?: (?P<http_referer>{_QUOTED}) (?P<http_user_agent>{_QUOTED}))?",
    re.ASCII,
)
_REQUEST: Final = re.compile(r"([A-Z]{1,20}) (\S++) (HTTP/\d(?:\.\d)?)", re.ASCII)
_FAULT: Final = re.compile(
    r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>[a-z]++)\] "
    r"(?P<pid>\d++)#(?P<tid>\d++): (?:\*(?P<connection>\d++) )?(?P<message>.*+)",
    re.ASCII | re.DOTALL,
)
_FAULT_FIELD: Final = re.compile(
    rf', (client|server|request|upstream|host|referrer): ({_QUOTED}|[^,"]*+)'
)
_CRI: Final = re.compile(
    r"(?P<time>\S++) (?P<cri_stream>stdout|stderr) (?P<cri_tag>[FP][^ ]*+) (?P<message>.*+)",
    re.DOTALL,
)
_NUMBERS: Final = ("status", "body_bytes_sent", "pid", "tid", "connection")


def compile_parse(
    how: str,
    *,
    delimiter: str = "",
    columns: Sequence[str] = (),
    instructions: int = OPERATOR_INSTRUCTIONS,
) -> Parse:
    """Makes what parses a line: it gives fields, or None for a line of another form.

    Args:
        how: json, logfmt, nginx, cri, delimiter, or a pattern with named groups.
        delimiter: what stands between columns.
        columns: their names; the last takes all that is left.
        instructions: how large a pattern's program may be.

    Raises:
        Rejected: it is none of them.
    """
    if how == "delimiter":
        return _delimited(delimiter, columns)
    if how in PARSERS:
        return PARSERS[how]
    if not re.search(r"\(\?P?<", how):
        known = ", ".join([*PARSERS, "delimiter"])
        raise Rejected(f"{how!r:.80} is none of {known}, and no pattern with named groups")
    pattern = compile_pattern(how, instructions=instructions)
    if not pattern.names:
        raise Rejected(f"{how!r:.80} has no named groups, such as (?P<user>[a-z]+)")
    return pattern.groups


def parse_json(text: str) -> dict[str, Any] | None:
    """One object; not an array, not an object with something behind it."""
    if text[:1] != "{" and text.lstrip()[:1] != "{":
        return None
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or len(fields) > MAX_FIELDS or not shallow(fields):
        return None
    return fields


def shallow(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether tables and lists are nested no deeper than that, and names are bounded."""
    if isinstance(value, dict):
        return depth > 0 and all(
            len(name) <= MAX_NAME_CHARACTERS
            and (not isinstance(each, dict | list) or shallow(each, depth - 1))
            for name, each in value.items()
        )
    if isinstance(value, list):
        return depth > 0 and all(
            shallow(each, depth - 1) for each in value if isinstance(each, dict | list)
        )
    return True


def parse_logfmt(text: str) -> dict[str, Any] | None:
    """`key=value key="a value" flag`; the first must be a pair: prose has `=` in it, too."""
    fields: dict[str, Any] = {}
    text = text.rstrip()
    position = 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None or match.end() == position or len(fields) >= MAX_FIELDS:
            return None
        name, value = match[1], match[2]
        if (not fields and value is None) or len(name) > MAX_NAME_CHARACTERS:
            return None
        fields[name] = True if value is None else unquoted(value)
        position = match.end()
    return fields or None


def unquoted(text: str) -> str:
    """The text inside quotes, its escapes undone; a text without quotes as it is."""
    if text[:1] != '"':
        return text
    inner = text[1:-1]
    return _ESCAPE.sub(_unescaped, inner) if "\\" in inner else inner


def parse_nginx(text: str) -> dict[str, Any] | None:
    """A line of the combined format (more may follow it), or of nginx's error log."""
    if match := _ACCESS.match(text):
        fields = {key: _plain(key, value) for key, value in match.groupdict().items()}
        if request := _REQUEST.fullmatch(str(fields["request"])):
            names = ("request_method", "request_uri", "server_protocol")
            fields |= dict(zip(names, request.groups(), strict=True))
        return {key: value for key, value in fields.items() if value not in {None, "-"}}
    if match := _FAULT.match(text):
        fields = {k: _plain(k, v) for k, v in match.groupdict().items() if v is not None}
        for key, value in _FAULT_FIELD.findall(match["message"]):
            fields.setdefault(key, unquoted(value))
        return fields
    return None


def parse_cri(text: str) -> dict[str, Any] | None:
    """What containerd and CRI-O write: time, stream, tag, text."""
    match = _CRI.match(text)
    return match.groupdict() if match else None


def _delimited(delimiter: str, columns: Sequence[str]) -> Parse:
    if not delimiter or not columns or not all(columns) or len(set(columns)) < len(columns):
        raise Rejected("a delimiter needs itself and the names of its columns, each once")
    if len(columns) > MAX_FIELDS:
        raise Rejected(f"{len(columns)} columns are too many (limit {MAX_FIELDS})")
    names = tuple(columns)

    def parse(text: str) -> dict[str, Any] | None:
        values = text.split(delimiter, len(names) - 1)
        return dict(zip(names, values, strict=True)) if len(values) == len(names) else None

    return parse


def _plain(key: str, value: str | None) -> str | int | None:
    if value is None:
        return None
    if key in _NUMBERS and value.isdigit() and len(value) <= 18:  # noqa: PLR2004 - of 64 bits
        return int(value)
    return unquoted(value)


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])


PARSERS: Final[dict[str, Parse]] = {
    "json": parse_json,
    "logfmt": parse_logfmt,
    "nginx": parse_nginx,
    "cri": parse_cri,
}
