"""Guessing made slow: who has shown too many wrong tokens waits before the next is looked at."""

from collections import OrderedDict
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final

from logshipper.store.access.rates import KEPT, Rates

_GUESSES_PER_SECOND: Final = 1.0
_GUESSES_AT_ONCE: Final = 10.0
# Whoever has one address of a network of this size has all of them (RFC 6177).
_SITE_BITS: Final = 64


class Failures:
    """Wrong tokens by where they came from.

    A token that was right from the same place goes on being looked at: many senders share an
    address, and one of them with an old token must not shut out the others.

    Args:
        kept: places, and right tokens, that are remembered.
    """

    def __init__(self, *, kept: int = KEPT) -> None:
        self._rates = Rates(_GUESSES_PER_SECOND, _GUESSES_AT_ONCE, kept=kept)
        self._kept = kept
        self._right: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def wait_seconds(self, address: str, digests: Sequence[bytes], now: float) -> float:
        """How long this place has to wait before such a token is looked at; 0 if not at all."""
        place = _place(address)
        if any((place, digest) in self._right for digest in digests):
            return 0.0
        return self._rates.wait_seconds(place, now)

    def right(self, address: str, digest: bytes) -> None:
        """A token was right."""
        key = (_place(address), digest)
        self._right[key] = None
        self._right.move_to_end(key)
        while len(self._right) > self._kept:
            self._right.popitem(last=False)

    def wrong(self, address: str, digests: Sequence[bytes], now: float) -> None:
        """A token was wrong, even if it has been right before."""
        place = _place(address)
        for digest in digests:
            self._right.pop((place, digest), None)
        self._rates.use(place, 1.0, now)


def _place(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> _SITE_BITS << _SITE_BITS))
    return str(parsed)
