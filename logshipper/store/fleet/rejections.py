"""What in etcd cannot be read, each with its reason, within bounds; pure."""

from collections.abc import Container
from typing import Final

from wharfinger.keys import INSTANCES
from wharfinger.text import printable, shortened

OWN: Final = "/wharfinger/"
MAX_TOLD: Final = 100
MAX_KEPT: Final = 2_000
_TEXT_LENGTH: Final = 200


class Rejections:
    """Keys that are left out, and why.

    Attributes:
        changed: whether there is news; its reader takes that back.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self.changed = False

    def note(self, key: str, why: str) -> None:
        """Notes why a key is left out; an empty reason: it is not."""
        if why and (key in self._reasons or len(self._reasons) < MAX_KEPT):
            self.changed |= self._reasons.get(key) != why
            self._reasons[key] = why
        elif not why and self._reasons.pop(key, None) is not None:
            self.changed = True

    def note_odd(self, key: str, why: str) -> None:
        """Notes a key that is no instance's, though it may stand among some.

        It may be the user's own: whether it is shows when it is told of.
        """
        if key.startswith(INSTANCES) or _service_part(key):
            self.note(key, why)

    def told(self, services: Container[str]) -> list[dict[str, str]]:
        """Those that are nobody's own.

        Args:
            services: names of those that have instances.
        """
        found = (
            {"key": _text(key), "reason": _text(why)}
            for key, why in sorted(self._reasons.items())
            if key.startswith(OWN) or _service_part(key) in services
        )
        return [each for each, _ in zip(found, range(MAX_TOLD), strict=False)]


def _service_part(key: str) -> str:
    """The service below whose prefix a key stands; empty for a key of another shape."""
    name, slash, _ = key.removeprefix("/").partition("/")
    return name if slash and "_" in name else ""


def _text(said: str) -> str:
    return printable(shortened(said, _TEXT_LENGTH))
