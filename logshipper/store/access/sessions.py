"""Sessions of browsers: a cookie that stands for a token, and says nothing of it."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from logshipper.store.access.tokens import Token

KEY_BYTES: Final = 32
_MARK_BYTES: Final = 16
_MAC_BYTES: Final = 32
_TIME_BYTES: Final = 8
_COOKIE_BYTES: Final = _TIME_BYTES + _MARK_BYTES + _MAC_BYTES


@dataclass(frozen=True, slots=True)
class Sessions:
    """Makes cookies and understands them; nothing is kept of them.

    A cookie holds until when it is good and a mark of its token, both signed. So it ends with
    its token, and whoever reads the cookie can neither guess the token nor make another cookie.

    Attributes:
        key: signs them.
    """

    key: bytes

    @property
    def cookie(self) -> str:
        """What the cookie is called: cookies know no ports, and two stores may share a host."""
        return f"logstore_{self._mac(b'name')[:4].hex()}"

    def begin(self, token: Token, ends_at: float) -> str:
        """A cookie for whoever has shown the token.

        Args:
            token: which.
            ends_at: seconds since the epoch.
        """
        body = int(ends_at).to_bytes(_TIME_BYTES, "big") + self._mark(token)
        return base64.urlsafe_b64encode(body + self._mac(body)).decode().rstrip("=")

    def token(self, cookie: str, known: Sequence[Token], now: float) -> Token | None:
        """The token that a cookie stands for; None if it is none of ours, or over.

        Args:
            cookie: its value.
            known: the tokens that are good now.
            now: seconds since the epoch.
        """
        try:
            whole = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
        except (binascii.Error, ValueError):
            return None
        body, mac = whole[:-_MAC_BYTES], whole[-_MAC_BYTES:]
        if len(whole) != _COOKIE_BYTES or not hmac.compare_digest(mac, self._mac(body)):
            return None
        if int.from_bytes(body[:_TIME_BYTES], "big") <= now:
            return None
        mark = body[_TIME_BYTES:]
        return next((t for t in known if hmac.compare_digest(mark, self._mark(t))), None)

    def _mark(self, token: Token) -> bytes:
        return self._mac(b"token" + token.digest)[:_MARK_BYTES]

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self.key, data, sha256().name)
