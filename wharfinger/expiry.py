"""How near the end of a certificate is: told in time to get another, red in time to be mended."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

# Time enough to get another one by hand; what renews by itself does so earlier.
SOON: Final = timedelta(days=14)
# Later than that somebody has to be woken.
NEAR: Final = timedelta(days=3)
# Of certificates that live for a day or less, these parts: theirs are renewed at two thirds.
_SOON_PART: Final = 4
_NEAR_PART: Final = 10

Standing = Literal["good", "soon", "near", "ended"]


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate is good (RFC 5280, section 4.1.2.5)."""

    begins: datetime
    ends: datetime

    def standing(self, now: datetime) -> Standing:
        """`soon` is to be told, `near` and `ended` are red."""
        left, life = self.ends - now, self.ends - self.begins
        if left <= timedelta(0):
            return "ended"
        if left < min(NEAR, life / _NEAR_PART):
            return "near"
        return "soon" if left < min(SOON, life / _SOON_PART) else "good"

    def remark(self, now: datetime) -> str:
        """What to say of it; nothing while it is good for long."""
        at = f"{self.ends:%Y-%m-%dT%H:%M:%SZ}"
        match self.standing(now):
            case "good":
                return ""
            case "ended":
                return f"ended at {at}"
            case _:
                return f"ends at {at}"
