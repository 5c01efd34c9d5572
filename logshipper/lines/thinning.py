"""How many lines of a container are shipped: a share of them, or so many a second; pure.

Both decide by what is in the log, its ids and Docker's times: a life that reads the same lines
again drops the same ones, and a backlog that is read at once is not too much for its limit.
"""

import zlib
from dataclasses import dataclass
from typing import Final

SECOND_NS: Final = 10**9
_SCALE: Final = 2**32


def sampled(identity: str, share: float) -> bool:
    """Whether a line belongs to the share that is shipped.

    Args:
        identity: of the line; each has its fate for ever.
        share: of all lines, from 0 to 1.
    """
    return zlib.crc32(identity.encode()) < share * _SCALE


@dataclass(slots=True)
class Bucket:
    """Tokens, one for each line; they come at a steady rate and some can be saved.

    Attributes:
        per_second: how many come.
        burst: how many can be saved; it begins full.
    """

    per_second: float
    burst: float
    _tokens: float = -1.0
    _at_ns: int = 0

    def take(self, now_ns: int) -> bool:
        """Takes one, if there is one.

        Args:
            now_ns: the line's time; one before the last (a clock was set) brings no tokens.
        """
        if self._tokens < 0:
            self._tokens = self.burst
        elif now_ns > self._at_ns:
            gained = (now_ns - self._at_ns) / SECOND_NS * self.per_second
            self._tokens = min(self.burst, self._tokens + gained)
        # Set back, time counts from there: else it would stand still until the old one is reached.
        self._at_ns = now_ns
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
