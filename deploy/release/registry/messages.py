"""What is asked of a registry, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from multidict import CIMultiDictProxy

from wharfinger.errors import Unavailable
from wharfinger.text import printable, shortened

ATTEMPTS: Final = 4
MAX_BYTES: Final = 1 << 20
WHY_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked.

    Attributes:
        method: of HTTP.
        path: and what is behind its `?`, encoded.
        scope: what for, as token servers name it: `repository:team/shop:pull`.
        headers: further ones.
        body: what is sent.
        limit_bytes: no answer may be longer.
        attempts: how often it may be asked; once, where what was cut off would be added to.
    """

    method: str = "GET"
    path: str
    scope: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    limit_bytes: int = MAX_BYTES
    attempts: int = ATTEMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a registry said.

    Attributes:
        status: of HTTP.
        headers: of it.
        body: whole.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def why(self) -> str:
        """Its own words, for people (api.md, Errors)."""
        try:
            errors = msgspec.json.decode(self.body)["errors"]
            said = "; ".join(f"{each['code']}: {each.get('message', '')}" for each in errors)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
            said = self.body[: 2 * WHY_CHARACTERS].decode(errors="replace").strip()
        return printable(shortened(f"{self.status} {said}".strip(), WHY_CHARACTERS))


class Distrusted(Unavailable):
    """What answers is not who it should be: to try again is of no use."""
