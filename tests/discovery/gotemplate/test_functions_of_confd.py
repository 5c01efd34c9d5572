"""What confd itself, built with Go 1.27, made of a call of each of its functions.

The host's own (lookups, getenv, datetime, fileExists) are in test_host.py.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from discovery.confd.store import Store
from discovery.gotemplate.confd.functions import confd_functions
from discovery.gotemplate.errors import TemplateError
from tests.discovery.gotemplate.conftest import Confd
from tests.stack.machine import FakeMachine

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "confd.json").read_text())
CASES: list[list[str]] = TABLE["cases"]
HOSTS = {"lookupIP", "lookupIPV4", "lookupIPV6", "lookupSRV", "getenv", "datetime", "fileExists"}
FORKS = {"hostname", "lookupIfaceIPV4", "lookupIfaceIPV6"}


def test_each_function_has_its_cases() -> None:
    counted = Counter(function for function, *_ in CASES)
    known = confd_functions(FakeMachine(), lambda: Store({})).keys()
    assert counted.keys() == known - HOSTS - FORKS
    assert min(counted.values()) >= 6
    assert len(CASES) >= 250


@pytest.mark.parametrize(("function", "text", "made", "error"), CASES)
def test_the_same_comes_out(function: str, text: str, made: str, error: str, confd: Confd) -> None:
    if error:
        with pytest.raises(TemplateError) as caught:
            confd(text, keys=TABLE["keys"])
        assert str(caught.value) == error
    else:
        assert confd(text, keys=TABLE["keys"]) == made
