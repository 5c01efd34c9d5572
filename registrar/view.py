"""What is observed, through a glass that remembers which of it was looked at."""

from collections.abc import Callable, Hashable
from typing import Any, Final

from registrar.checks.model import Outcome, Target
from registrar.model import Holder, Listener, Observed
from wharfinger.keys import InstanceKey

Question = Callable[[Any], Any]
Read = tuple[int, Hashable, Any]
"""Which question was asked, of what, and the answer."""

_PORT: Final = 0
_LISTENERS: Final = 1
_OWNER: Final = 2
_IN_ENVIRONMENT: Final = 3
_DRAINED: Final = 4
_REGISTERED: Final = 5
_OUTCOME: Final = 6


def questions(observed: Observed) -> tuple[Question, ...]:
    """All that a view can be asked of what is observed, by number."""
    return (
        observed.ports.get,
        observed.listeners.get,
        observed.owners.get,
        observed.in_environment.__contains__,
        observed.drained.get,
        observed.registered.get,
        observed.outcomes.get,
    )


def unchanged(reads: tuple[Read, ...], asked: tuple[Question, ...]) -> bool:
    """Whether all that was read is still the same."""
    for question, about, answer in reads:
        now = asked[question](about)
        if now is not answer and now != answer:
            return False
    return True


class View:
    """Answers questions, and keeps each with its answer.

    Args:
        observed: what is.

    Attributes:
        host: name of this host.
        ip: address that others reach this host at.
        reads: all that was asked, in order.
    """

    def __init__(self, observed: Observed) -> None:
        self.host = observed.host
        self.ip = observed.ip
        self.reads: list[Read] = []
        self._asked = questions(observed)

    def port(self, container_id: str) -> int | None:
        """The port that a container was assigned."""
        answer: int | None = self._ask(_PORT, container_id)
        return answer

    def listeners(self, port: int) -> tuple[Listener, ...]:
        """Who listens on a port."""
        answer: tuple[Listener, ...] = self._ask(_LISTENERS, port) or ()
        return answer

    def owner(self, container_id: str, inode: int) -> bool | None:
        """Whether a socket is a container's own; None where nobody has looked yet."""
        answer: bool | None = self._ask(_OWNER, (container_id, inode))
        return answer

    def in_environment(self, container_id: str) -> bool:
        """Whether a container has its port in its environment."""
        answer: bool = self._ask(_IN_ENVIRONMENT, container_id)
        return answer

    def drained(self, container_id: str) -> str | None:
        """Why a container is to be out though it may serve."""
        answer: str | None = self._ask(_DRAINED, container_id)
        return answer

    def registered(self, key: InstanceKey) -> Holder | None:
        """Whose an instance was until now."""
        answer: Holder | None = self._ask(_REGISTERED, key)
        return answer

    def outcome(self, target: Target) -> Outcome | None:
        """Where a check stands."""
        answer: Outcome | None = self._ask(_OUTCOME, target)
        return answer

    def _ask(self, question: int, about: Hashable) -> Any:
        answer = self._asked[question](about)
        self.reads.append((question, about, answer))
        return answer
