"""What a command tells while it works: for people in a terminal, for logs, for machines."""

from typing import Protocol


class Progress(Protocol):
    """Who is told."""

    def step(self, text: str) -> None:
        """Something is done, or begins; one sentence without a full stop."""

    def waiting(self, what: str, done: int, of: int) -> None:
        """Told again and again while something is waited for."""

    def output(self, line: str) -> None:
        """A line of a program that runs."""
