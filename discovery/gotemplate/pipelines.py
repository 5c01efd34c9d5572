"""Parses what stands between delimiters: pipelines, commands and operands."""

from typing import Final

from discovery.gotemplate import literals, nodes
from discovery.gotemplate.reader import Reader
from discovery.gotemplate.text import quoted, unquoted
from discovery.gotemplate.tokens import Kind, Token

_OPERANDS: Final = frozenset(
    {
        Kind.BOOL, Kind.CHAR_CONSTANT, Kind.COMPLEX, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER,
        Kind.NUMBER, Kind.NIL, Kind.RAW_STRING, Kind.STRING, Kind.VARIABLE, Kind.LEFT_PAREN,
    }
)  # fmt: skip
_CONSTANTS: Final = (nodes.Bool, nodes.Dot, nodes.Nil, nodes.Number, nodes.String)
_LITERALS: Final = {
    Kind.CHAR_CONSTANT: literals.character,
    Kind.COMPLEX: literals.complex_number,
    Kind.NUMBER: literals.number,
}


class Pipelines(Reader):
    """Parses pipelines."""

    def _pipeline(self, context: str, end: Kind) -> nodes.Pipeline:
        position = self._peek_word().position
        variables, assigns = self._declarations(context)
        commands: list[nodes.Command] = []
        while True:
            token = self._next_word()
            if token.kind is end:
                break
            if token.kind not in _OPERANDS:
                self._unexpected(token, context)
            self._back.append(token)
            commands.append(self._command())
        if not commands:
            self.fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], _CONSTANTS):
                self.fail(f"non executable command in pipeline stage {stage}")
        return nodes.Pipeline(position, tuple(commands), tuple(variables), assigns)

    def _declarations(self, context: str) -> tuple[list[nodes.Variable], bool]:
        variables: list[nodes.Variable] = []
        while (name := self._peek_word()).kind is Kind.VARIABLE:
            self._next()
            after = self._peek()
            token = self._peek_word()
            if token.kind in {Kind.ASSIGN, Kind.DECLARE}:
                self._next_word()
                self._declare(name, variables)
                return variables, token.kind is Kind.ASSIGN
            if token.kind is Kind.CHAR and token.value == ",":
                self._next_word()
                self._declare(name, variables)
                if context != "range" or len(variables) > 1:
                    self.fail(f"too many declarations in {context}")
                goes_on = {Kind.VARIABLE, Kind.RIGHT_DELIMITER, Kind.RIGHT_PAREN}
                if self._peek_word().kind not in goes_on:
                    self.fail("range can only initialize variables")
                continue
            if after.kind is Kind.SPACE:
                self._back.append(after)
            self._back.append(name)
            break
        return variables, False

    def _declare(self, name: Token, variables: list[nodes.Variable]) -> None:
        variables.append(nodes.Variable(name.position, name.value))
        self._variables.append(name.value)

    def _command(self) -> nodes.Command:
        position = self._peek_word().position
        operands: list[nodes.Operand] = []
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self._next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in {Kind.RIGHT_DELIMITER, Kind.RIGHT_PAREN}:
                self._back.append(token)
            elif token.kind is not Kind.PIPE:
                self._unexpected(token, "operand")
            break
        if not operands:
            self.fail("empty command")
        return nodes.Command(position, tuple(operands))

    def _operand(self) -> nodes.Operand | None:
        term = self._term()
        if term is None or self._peek().kind is not Kind.FIELD:
            return term
        position = self._peek().position
        names: list[str] = []
        while self._peek().kind is Kind.FIELD:
            names.append(self._next().value[1:])
        match term:
            case nodes.Field():
                return nodes.Field(position, (*term.names, *names))
            case nodes.Variable():
                return nodes.Variable(position, term.name, (*term.fields, *names))
            case nodes.Bool() | nodes.String() | nodes.Number() | nodes.Nil() | nodes.Dot():
                self.fail(f"unexpected . after term {quoted(str(term))}")
        return nodes.Chain(position, term, tuple(names))

    def _term(self) -> nodes.Operand | None:
        token = self._next_word()
        if token.kind is Kind.LEFT_PAREN:
            return self._pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
        if token.kind in _LITERALS:
            return self._number(token)
        term = self._word(token)
        if term is None:
            self._back.append(token)
        return term

    def _word(self, token: Token) -> nodes.Operand | None:
        position, value = token.position, token.value
        term: nodes.Operand | None = None
        match token.kind:
            case Kind.IDENTIFIER | Kind.VARIABLE:
                term = self._named(token)
            case Kind.DOT:
                term = nodes.Dot(position)
            case Kind.NIL:
                term = nodes.Nil(position)
            case Kind.FIELD:
                term = nodes.Field(position, (value[1:],))
            case Kind.BOOL:
                term = nodes.Bool(position, value == "true")
            case Kind.STRING | Kind.RAW_STRING:
                term = nodes.String(position, value, self._unquoted(token))
        return term

    def _named(self, token: Token) -> nodes.Identifier | nodes.Variable:
        if token.kind is Kind.IDENTIFIER:
            if token.value not in self._source.functions:
                self.fail(f"function {quoted(token.value)} not defined")
            return nodes.Identifier(token.position, token.value)
        if token.value not in self._variables:
            self.fail(f"undefined variable {quoted(token.value)}")
        return nodes.Variable(token.position, token.value)

    def _number(self, token: Token) -> nodes.Number:
        try:
            return _LITERALS[token.kind](token.position, token.value)
        except literals.BadLiteral as error:
            self.fail(str(error))

    def _unquoted(self, token: Token) -> str:
        text = unquoted(token.value)
        if text is None:
            self.fail("invalid syntax")
        return text
