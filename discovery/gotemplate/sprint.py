"""fmt.Sprint and Sprintln, and how an action of a template writes a value."""

from collections.abc import Sequence

from discovery.gotemplate.limits import Budget
from discovery.gotemplate.printing import Printer
from discovery.gotemplate.values import Struct, Value


def printed(budget: Budget, values: Sequence[Value]) -> str:
    """fmt.Sprint: blanks between two that are both no strings.

    Raises:
        LimitExceeded: it is too much.
    """
    if len(values) == 1 and type(values[0]) is str:
        return values[0]
    printer = Printer(budget)
    before_is_string = False
    for number, value in enumerate(values):
        is_string = type(value) is str
        if number and not is_string and not before_is_string:
            printer.write(" ")
        printer.print(value)
        before_is_string = is_string
    return printer.text


def printed_as_string(budget: Budget, value: Value) -> str:
    """fmt.Sprintf with `%s`.

    Raises:
        LimitExceeded: it is too much.
    """
    printer = Printer(budget)
    printer.print(value, "s")
    return printer.text


def printed_line(budget: Budget, values: Sequence[Value]) -> str:
    """fmt.Sprintln: blanks between all.

    Raises:
        LimitExceeded: it is too much.
    """
    printer = Printer(budget)
    for number, value in enumerate(values):
        if number:
            printer.write(" ")
        printer.print(value)
    printer.write("\n")
    return printer.text


def shown(budget: Budget, value: Value) -> str:
    """How an action writes a value.

    Raises:
        LimitExceeded: it is too much.
    """
    match value:
        case str():
            return value
        case None:
            return "<no value>"
        case Struct() if value.type.pointer:
            return printed(budget, (value,)).removeprefix("&")
    return printed(budget, (value,))
