"""What parsers of one text share: its tokens, with those given back, and its errors."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import NoReturn

from discovery.gotemplate import nodes
from discovery.gotemplate.errors import TemplateSyntaxError
from discovery.gotemplate.lexer import Lexer
from discovery.gotemplate.tokens import Kind, Token


@dataclass(slots=True)
class Source:
    """What the trees of one text share.

    Attributes:
        name: of the text, for errors.
        lexer: gives its tokens.
        functions: the names that are known.
        delimiters: left and right.
        trees: what was parsed, by the templates' names.
    """

    name: str
    lexer: Lexer
    functions: Container[str]
    delimiters: tuple[str, str]
    trees: dict[str, nodes.Body] = field(default_factory=dict)

    def add(self, name: str, tree: nodes.Body) -> bool:
        """Takes in a tree; False when there is another of this name that is not empty."""
        if name not in self.trees or _is_empty(self.trees[name]):
            self.trees[name] = tree
            return True
        return _is_empty(tree)


def _is_empty(body: nodes.Body) -> bool:
    return all(isinstance(one, nodes.Text) and not one.text.strip() for one in body.statements)


class Reader:
    """Reads tokens.

    Args:
        source: of the tokens.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        # As Go's: the last token read, and those that were given back, the next one last.
        self._last = Token(Kind.EOF, 0, "", 0)
        self._back: list[Token] = []
        self._variables = ["$"]
        self._ranges = 0
        self._action_line = 0

    def _next(self) -> Token:
        if self._back:
            return self._back.pop()
        self._last = self._source.lexer.next()
        return self._last

    def _peek(self) -> Token:
        if not self._back:
            self._last = self._source.lexer.next()
            self._back.append(self._last)
        return self._back[-1]

    def _next_word(self) -> Token:
        while (token := self._next()).kind is Kind.SPACE:
            pass
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._back.append(token)
        return token

    def _expect(self, kind: Kind, context: str) -> Token:
        token = self._next_word()
        if token.kind is not kind:
            self._unexpected(token, context)
        return token

    def fail(self, why: str) -> NoReturn:
        """Gives up.

        Raises:
            TemplateSyntaxError: always.
        """
        line = self._last.line
        raise TemplateSyntaxError(f"template: {self._source.name}:{line}: {why}")

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind is not Kind.ERROR:
            self.fail(f"unexpected {token} in {context}")
        extra = ""
        if self._action_line not in {0, token.line}:
            extra = f" in action started at {self._source.name}:{self._action_line}"
            if token.value.endswith(" action"):
                extra = extra.removeprefix(" in action")
        self.fail(f"{token}{extra}")
