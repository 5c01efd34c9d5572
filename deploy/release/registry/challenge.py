"""What a registry asks for before it answers: the WWW-Authenticate header (RFC 9110, 11.6.1)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_MAX_LENGTH: Final = 8_192
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_SCHEME: Final = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|$|,)")
_PARAMETER: Final = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to show who one is.

    Attributes:
        scheme: in small letters: `basic`, `bearer`.
        parameters: by their names in small letters: `realm`, `service`, `scope`.
    """

    scheme: str
    parameters: Mapping[str, str]


def challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """All that are offered; what cannot be read ends the header that it is in."""
    return tuple(each for header in headers for each in _read(header[:_MAX_LENGTH]))


def _read(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = 0
    while scheme := _SCHEME.match(header, at):
        at = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        found.append(Challenge(scheme[1].lower(), parameters))
    return found
