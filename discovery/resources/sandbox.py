"""Jinja2 in a sandbox that has an end: no template of it can hang, or eat the memory."""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from typing import Any, Final, cast

from jinja2 import FileSystemLoader, StrictUndefined, Template, nodes
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer

from discovery.gotemplate.limits import Budget, Limits
from discovery.model import Instance, Route, Service
from discovery.resources import measures

_LIMITS: Final = Limits()
_BUDGET: ContextVar[Budget] = ContextVar("budget")
# HTML's, with regular expressions that take their time; and a generator of text without end.
_LEFT_OUT: Final = ("urlize", "xmlattr", "pprint")
# Of bytes and numbers none has a use in a template, and each can make as much as it is told.
_UNSAFE: Final = frozenset({"encode", "translate", "maketrans", "to_bytes", "from_bytes"})
_OURS: Final = {
    model: frozenset(name for name in vars(model) if not name.startswith("_"))
    for model in (Instance, Route, Service)
}
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le,
    "gt": operator.gt, "gteq": operator.ge,
    "in": lambda left, right: left in right, "notin": lambda left, right: left not in right,
}  # fmt: skip


@contextmanager
def budgeted(budget: Budget) -> Iterator[None]:
    """What is rendered within takes of this budget."""
    token = _BUDGET.set(budget)
    try:
        yield
    finally:
        _BUDGET.reset(token)


def _budget() -> Budget:
    """The render's; what is worked out while a template is compiled has one of its own."""
    return _BUDGET.get(None) or Budget(_LIMITS)


# Made once: hundreds of templates have an environment each.
_FILTERS: Final = {
    name: measures.filtered(name, filter_, _budget)
    for name, filter_ in FILTERS.items()
    if name not in _LEFT_OUT
}
_TESTS: Final = {
    name: measures.tested(cast("Callable[..., Any]", test), _budget) for name, test in TESTS.items()
}


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates from one folder: everything that can repeat or grow is counted.

    Whatever a template does that is too much raises LimitExceeded.

    Attributes:
        names: that its templates speak of, those that were included so far, too.
    """

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, loader: FileSystemLoader) -> None:
        super().__init__(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            finalize=_written,
        )
        self.names: set[str] = set()
        del self.globals["lipsum"]
        self.filters = {**_FILTERS, "_each": _each, "_joined": _joined, "_sliced": _sliced,
                        "_compared": _compared, "_keyed": _keyed}  # fmt: skip
        self.tests = {**_TESTS}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may have it."""
        return attr not in _UNSAFE and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The result of an operator that can make much of little."""
        measures.operated(_budget(), operator, left, right)
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An attribute: nearly all that is asked for are fields of ours, which hide nothing."""
        if attribute in _OURS.get(type(obj), ()):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An element."""
        return super().getitem(obj, _keyed(argument))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """The result of a call."""
        budget = _budget()
        budget.spend(5)
        if isinstance(obj, LoopContext):
            return obj(_each(args[0], 0), *args[1:])
        args = measures.called(budget, obj, args, kwargs)
        return measures.made(budget, super().call(context, obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format`, held to its widths."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text, mapped = value.__self__, value.__name__ == "format_map"

        def run(*args: Any, **kwargs: Any) -> str:
            if mapped:
                (kwargs,), args = args, ()
            return _Formatter(self).vformat(text, args, kwargs)

        return run

    def _load_template(self, *args: Any, **kwargs: Any) -> Template:
        _budget().spend(100)  # a template that includes itself, twice
        return super()._load_template(*args, **kwargs)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        self.names.update(name.name for name in source.find_all(nodes.Name))
        return super()._generate(_Counted().visit(source), *args, **kwargs)


class _Formatter(SandboxedFormatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        budget = _budget()
        measures.narrow(format_spec)
        measures.hold(budget, value)
        made: str = super().format_field(value, format_spec)
        budget.hold(len(made))
        return made


class _Counted(NodeTransformer):
    """Leads what the environment is not asked about through filters of ours."""

    # The names are Jinja's.
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        texts = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        values = cast("nodes.Expr", node.iter)
        node.iter = _filtered(values, "_each", nodes.Const(texts))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined")

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        return _filtered(node.node, "_sliced", *(one or nodes.Const(None) for one in bounds))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        pairs: list[nodes.Expr] = []
        left = node.expr
        for each in node.ops:  # `1 < x < 3` is two
            pairs.append(_filtered(left, "_compared", nodes.Const(each.op), each.expr))
            left = each.expr
        return reduce(nodes.And, pairs)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        for pair in node.items:
            pair.key = _filtered(pair.key, "_keyed")
        return node


def _filtered(node: nodes.Expr, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno)


class _Each:
    """What a loop goes through, each step counted.

    Args:
        values: of the loop.
        texts: characters of the loop's own text.
    """

    def __init__(self, values: Iterable[Any], texts: int) -> None:
        self._values = values
        self._texts = texts

    def __len__(self) -> int:
        return len(self._values)  # type: ignore[arg-type] # a loop asks, and takes a TypeError

    def __iter__(self) -> Iterator[Any]:
        budget = _budget()
        for value in self._values:
            budget.hold(self._texts)
            yield value


def _each(values: Iterable[Any], texts: int) -> Iterable[Any]:
    return _Each(values, texts)


def _joined(values: Sequence[Any]) -> str:
    budget = _budget()
    for value in values:
        measures.hold(budget, value)
    return "".join(map(str, values))


def _sliced(value: Any, start: Any, stop: Any, step: Any) -> Any:
    measures.hold_copy(_budget(), value)
    return value[start:stop:step]


def _compared(left: Any, comparison: str, right: Any) -> bool:
    measures.compared(_budget(), left, right)
    return _COMPARISONS[comparison](left, right)


def _keyed(key: Any) -> Any:
    if isinstance(key, tuple):
        measures.walk(_budget(), key)
    return key


def _written(value: Any) -> Any:
    if type(value) is str:
        _budget().write(len(value))
    elif type(value) is not int:
        budget = _budget()
        budget.write(measures.hold(budget, value))
    return value
