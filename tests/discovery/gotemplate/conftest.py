"""Templates over a small store, on a machine that always answers the same."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import pytest

from discovery.confd.store import Store
from discovery.gotemplate.confd.functions import confd_functions
from discovery.gotemplate.limits import Limits
from discovery.gotemplate.template import Template
from tests.stack.machine import FakeMachine

Confd: TypeAlias = Callable[..., str]

DATA = {
    "a": {"b": [1.0, 2.5, None, "s", True]},
    "n": None,
    "f": 1e6,
    "s": "é",
    "l": ["x", "yy"],
}
KEYS = {
    "/a": "1",
    "/a/b": "x",
    "/a/c/d": "yy",
    "/z": "éü",
    "/n/10.0.0.1-80": "10.0.0.1:80",
    "/n/10.0.0.2-80": "10.0.0.2:80",
    "/order/1": "c",
    "/order/2": "a",
    "/order/3": "b",
    "/j": '{"a":{"b":[1,2.5,null,"s",true]},"n":null,"f":1e6}',
    "/ja": '["x",1,null,{"k":"v"}]',
    "/empty": "",
    "/top": "t",
}


@pytest.fixture(scope="session")
def confd() -> Confd:
    """Renders a text as confd does."""

    def render(
        text: str,
        data: object = None,
        *,
        keys: Mapping[str, str] = KEYS,
        delimiters: tuple[str, str] = ("", ""),
        limits: Limits | None = None,
    ) -> str:
        functions = confd_functions(FakeMachine(), lambda: Store(keys))
        template = Template.parse("t", text, functions, delimiters=delimiters)
        return template.render(data, limits=limits or Limits())

    return render
