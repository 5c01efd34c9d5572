"""Reads a query's tokens from left to right, one ahead."""

from collections.abc import Callable
from typing import Final, TypeVar

from logshipper.store.model import BadQuery
from logshipper.store.query.logql import lexer
from logshipper.store.query.logql.lexer import Token

_DEPTH: Final = 32

T = TypeVar("T")


class Cursor:
    """A place among tokens.

    Args:
        tokens: all of them; the last one is an `end`.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self._depth = 0

    @property
    def now(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.at]

    def peek(self, ahead: int) -> Token:
        """The token so many after that."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def comes(self, *texts: str) -> bool:
        """Whether one of these signs or words comes next."""
        return self.now.kind in {"sign", "word"} and self.now.text in texts

    def next(self) -> Token:
        """Takes the token that comes next."""
        token = self.now
        self.at += token.kind != "end"
        return token

    def take(self, *texts: str) -> bool:
        """Takes one of these if it comes next."""
        found = self.comes(*texts)
        self.at += found
        return found

    def need(self, text: str) -> None:
        """Takes this sign or word.

        Raises:
            BadQuery: another comes.
        """
        if not self.take(text):
            raise self.unexpected(text)

    def kind(self, kind: lexer.Kind, what: str) -> Token:
        """Takes a token of this kind.

        Raises:
            BadQuery: another comes; the error says what was wanted.
        """
        if self.now.kind != kind:
            raise self.unexpected(what)
        return self.next()

    def listed(self, one: Callable[[], T]) -> tuple[T, ...]:
        """One or more, commas between them."""
        found = [one()]
        while self.take(","):
            found.append(one())
        return tuple(found)

    def enclosed(self, inside: Callable[[], T]) -> T:
        """What stands in parentheses.

        Raises:
            BadQuery: there are none, or too many in each other.
        """
        self._depth += 1
        if self._depth > _DEPTH:
            raise BadQuery("the query has too many parentheses in each other", "simplify it")
        self.need("(")
        found = inside()
        self.need(")")
        self._depth -= 1
        return found

    def unexpected(self, wanted: str) -> BadQuery:
        """The refusal of what comes next."""
        found = repr(self.now.text[:32]) if self.now.kind != "end" else "the end"
        return BadQuery(f"{found} at character {self.now.at + 1}", f"{wanted} was expected there")

    def unsupported(self, what: str) -> BadQuery:
        """The refusal of what LogQL has, and we have not."""
        return BadQuery(
            f"{what} at character {self.now.at + 1} is not supported by this store",
            "logshipper/store/README.md lists what is, under Grafana",
        )
