"""Services whose keys etcd's users do not let this host touch: the rest must not wait for them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from wharfinger.keys import INSTANCES

# Asked again, since a role may be granted at any time; each asking costs a refused transaction.
RETRY_SECONDS: Final = 15.0


@dataclass(slots=True)
class Denials:
    """What was refused, and when to try again.

    Attributes:
        reasons: by the service's name, in etcd's words.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    _until: dict[str, float] = field(default_factory=dict)

    def note(self, service: str, why: str, now: float) -> bool:
        """Notes a refusal; says whether it is news."""
        new = service not in self.reasons
        self.reasons[service] = why
        self._until[service] = now + RETRY_SECONDS
        return new

    def bars(self, key: str, now: float) -> bool:
        """Whether a key is not to be touched yet."""
        return bool(self._until) and now < self._until.get(service_of(key), now)

    def keep(self, services: Iterable[str]) -> set[str]:
        """Forgets all but these, which are still asked for in vain; gives what it forgot."""
        over = self.reasons.keys() - set(services)
        for service in over:
            del self.reasons[service], self._until[service]
        return over

    def describe(self) -> str:
        """In a line for the operator; empty where nothing is refused."""
        if not self.reasons:
            return ""
        return "not registered: " + "; ".join(
            f"{service}: {why}" for service, why in sorted(self.reasons.items())
        )


def service_of(key: str) -> str:
    """The name in an instance's or a metadata key, in their grammar; empty for a host's own key."""
    rest = key.removeprefix(INSTANCES)
    if rest == key:
        rest = key.removeprefix("/")
    name = rest.partition("/")[0]
    return "" if name == "wharfinger" else name
