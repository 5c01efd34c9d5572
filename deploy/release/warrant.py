"""Leave to take a step, asked for at the last moment: only while the lock is certainly ours.

A process that was stopped, or a machine that slept, wakes in the middle of its work and learns by
the next question only that its lock has ended. One step further is one instance stopped that
somebody else's rollout has just started. So each step asks first; asking costs no message.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Check = Callable[[], None]


def _nobody_asks() -> None:
    """Outside of any lock: `build`, `push`, and whoever tries an engine alone."""


_CHECK: Final[ContextVar[Check]] = ContextVar("check", default=_nobody_asks)


def require() -> None:
    """Raises whatever the lock says, if the step must not be taken."""
    _CHECK.get()()


@contextmanager
def given(check: Check) -> Iterator[None]:
    """What is begun inside, tasks included, asks this one."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)
