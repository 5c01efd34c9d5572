"""Parses a template into trees, with the errors of Go's text/template/parse."""

from collections.abc import Callable, Container
from typing import Final, TypeAlias

from discovery.gotemplate import nodes
from discovery.gotemplate.lexer import Lexer
from discovery.gotemplate.pipelines import Pipelines
from discovery.gotemplate.reader import Source
from discovery.gotemplate.text import quoted
from discovery.gotemplate.tokens import Kind, Token

_Control: TypeAlias = nodes.If | nodes.With | nodes.Range
_Make: TypeAlias = Callable[[int, nodes.Pipeline, nodes.Body, nodes.Body | None], _Control]
_CONTROLS: Final[dict[Kind, _Make]] = {
    Kind.IF: nodes.If,
    Kind.RANGE: nodes.Range,
    Kind.WITH: nodes.With,
}


def parse(
    name: str, text: str, functions: Container[str], delimiters: tuple[str, str]
) -> dict[str, nodes.Body]:
    """All templates that the text defines; the text itself is the one called `name`.

    Raises:
        TemplateSyntaxError: it is no template.
    """
    source = Source(name, Lexer(text, delimiters), functions, delimiters)
    tree = _Tree(source)
    try:
        tree.parse(name)
    except RecursionError:
        tree.fail("max expression depth exceeded")
    return source.trees


class _Tree(Pipelines):
    """Parses one template; a definition inside of it gets a tree of its own."""

    def parse(self, name: str) -> None:
        """Parses the whole text."""
        body = nodes.Body(self._peek().position)
        while self._peek().kind is not Kind.EOF:
            if self._peek().kind is Kind.LEFT_DELIMITER:
                delimiter = self._next()
                token = self._next_word()
                if token.kind is Kind.DEFINE:
                    _Tree(self._source).parse_definition()
                    continue
                self._back += [token, delimiter]
            node = self._statement()
            if isinstance(node, nodes.End | nodes.Else):
                self.fail(f"unexpected {node}")
            body.statements.append(node)
        self._add(name, body)

    def parse_definition(self) -> None:
        """Parses what follows the word `define`."""
        name = self._template_name(self._next_word(), "define clause")
        self._expect(Kind.RIGHT_DELIMITER, "define clause")
        self.parse_named(name, "define clause", self)

    def parse_named(self, name: str, context: str, parent: "_Tree") -> None:
        """Parses until `end`, the body of a definition or a block."""
        body, end = self._body()
        if not isinstance(end, nodes.End):
            parent.fail(f"unexpected {end} in {context}")
        self._add(name, body)

    def _add(self, name: str, body: nodes.Body) -> None:
        if not self._source.add(name, body):
            self.fail(f"template: multiple definition of template {quoted(name)}")

    def _body(self) -> tuple[nodes.Body, nodes.End | nodes.Else]:
        body = nodes.Body(self._peek_word().position)
        while True:
            if self._peek_word().kind is Kind.EOF:
                self.fail("unexpected EOF")
            node = self._statement()
            if isinstance(node, nodes.End | nodes.Else):
                return body, node
            body.statements.append(node)

    def _statement(self) -> nodes.Statement | nodes.End | nodes.Else:
        token = self._next_word()
        if token.kind is Kind.TEXT:
            return nodes.Text(token.position, token.value)
        if token.kind is not Kind.LEFT_DELIMITER:
            self._unexpected(token, "input")
        self._action_line = token.line
        node = self._action()
        self._action_line = 0
        return node

    def _action(self) -> nodes.Statement | nodes.End | nodes.Else:
        token = self._next_word()
        if token.kind in _CONTROLS:
            return self._control(token.kind)
        match token.kind:
            case Kind.BLOCK | Kind.TEMPLATE:
                return self._block() if token.kind is Kind.BLOCK else self._call()
            case Kind.BREAK | Kind.CONTINUE:
                return self._leave(token)
            case Kind.ELSE:
                return self._else()
            case Kind.END:
                position = self._expect(Kind.RIGHT_DELIMITER, "end").position
                return nodes.End(position, self._source.delimiters)
        self._back.append(token)
        # Variables stay until the end of what encloses the action.
        return nodes.Action(token.position, self._pipeline("command", Kind.RIGHT_DELIMITER))

    def _leave(self, token: Token) -> nodes.Break | nodes.Continue:
        shown = f"{{{{{token.value}}}}}"
        after = self._next_word()
        if after.kind is not Kind.RIGHT_DELIMITER:
            self._unexpected(after, shown)
        if not self._ranges:
            self.fail(f"{shown} outside {{{{range}}}}")
        if token.kind is Kind.BREAK:
            return nodes.Break(token.position)
        return nodes.Continue(token.position)

    def _else(self) -> nodes.Else:
        token = self._peek_word()
        # `else if` and `else with` are the beginning of a statement that the same `end` ends.
        if token.kind not in {Kind.IF, Kind.WITH}:
            token = self._expect(Kind.RIGHT_DELIMITER, "else")
        return nodes.Else(token.position, self._source.delimiters)

    def _control(self, kind: Kind) -> _Control:
        known = len(self._variables)
        pipeline = self._pipeline(kind.value, Kind.RIGHT_DELIMITER)
        self._ranges += kind is Kind.RANGE
        body, end = self._body()
        self._ranges -= kind is Kind.RANGE
        otherwise = self._otherwise(kind, end) if isinstance(end, nodes.Else) else None
        del self._variables[known:]
        return _CONTROLS[kind](pipeline.position, pipeline, body, otherwise)

    def _otherwise(self, kind: Kind, begin: nodes.Else) -> nodes.Body:
        if kind is not Kind.RANGE and self._peek().kind is kind:
            self._next()
            return nodes.Body(begin.position, [self._control(kind)])
        otherwise, end = self._body()
        if not isinstance(end, nodes.End):
            self.fail(f"expected end; found {end}")
        return otherwise

    def _block(self) -> nodes.Call:
        token = self._next_word()
        name = self._template_name(token, "block clause")
        pipeline = self._pipeline("block clause", Kind.RIGHT_DELIMITER)
        _Tree(self._source).parse_named(name, "block clause", self)
        return nodes.Call(token.position, name, pipeline, self._source.delimiters)

    def _call(self) -> nodes.Call:
        token = self._next_word()
        name = self._template_name(token, "template clause")
        pipeline = None
        after = self._next_word()
        if after.kind is not Kind.RIGHT_DELIMITER:
            self._back.append(after)
            pipeline = self._pipeline("template clause", Kind.RIGHT_DELIMITER)
        return nodes.Call(token.position, name, pipeline, self._source.delimiters)

    def _template_name(self, token: Token, context: str) -> str:
        if token.kind not in {Kind.STRING, Kind.RAW_STRING}:
            self._unexpected(token, context)
        return self._unquoted(token)
