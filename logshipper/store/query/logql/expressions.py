"""Expressions run on labels and lines one by one, in a process that can be stopped."""

import re
from types import TracebackType
from typing import Final, Self

from logshipper.store.query.regexes import Matcher

_REMEMBERED: Final = 10_000


class Expressions:
    """Runs expressions, each in a process of its own; blocking, for a reader's thread."""

    def __init__(self) -> None:
        self._matchers: dict[str, Matcher] = {}
        self._known: dict[tuple[str, str], bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def finds(self, pattern: str, text: str) -> bool:
        """Whether an expression is found in a text.

        Raises:
            BadQuery: it takes too long.
        """
        key = (pattern, text)
        found = self._known.get(key)
        if found is None:
            matcher = self._matchers.get(pattern)
            if matcher is None:
                matcher = self._matchers[pattern] = Matcher(pattern, re.DOTALL)
            found = bool(matcher.matching([text]))
            # Labels have few values; lines are not worth remembering once there are many.
            if len(self._known) < _REMEMBERED:
                self._known[key] = found
        return found

    def close(self) -> None:
        """Ends the processes."""
        for matcher in self._matchers.values():
            matcher.close()
        self._matchers.clear()
