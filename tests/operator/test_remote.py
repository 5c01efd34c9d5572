"""Whom a name means among what all hosts tell of."""

import json
from typing import Any

import pytest

from wharfinger.errors import Rejected
from wharfinger.kv import KeyValue, Snapshot
from wharfinger.operator.remote import meant

KEY = "/shop_prod/10.0.0.5-20017"
DRAINED = {"key": KEY, "endpoint": "10.0.0.5:20017", "service": "shop_prod", "name": "one"}


def told(*drains: Any, host: str = "box") -> Snapshot:
    key = f"/wharfinger/hosts/{host}/registrar"
    value = json.dumps({"drains": drains}).encode()
    return Snapshot(7, {key: KeyValue(key, value, 1, 1, 1, 7)})


@pytest.mark.parametrize("name", [KEY, "10.0.0.5:20017", "one"])
@pytest.mark.parametrize("beside", [{"name": "without a key"}, {"key": "no key", "name": "two"}])
def test_a_drained_one_is_found_whatever_is_told_beside_it(name: str, beside: Any) -> None:
    assert meant(name, told(beside, DRAINED)) == ("box", KEY)


def test_one_that_had_no_key_cannot_be_named() -> None:
    with pytest.raises(Rejected, match="no registrar tells of"):
        meant("without a key", told({"name": "without a key"}, DRAINED))
