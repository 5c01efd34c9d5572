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


ID = "c0ffee" + "0" * 58


@pytest.mark.parametrize("name", [KEY, "10.0.0.5:20017", "one", ID, "c0ff"])
def test_a_registered_one_is_found_by_any_of_its_names(name: str) -> None:
    items = dict(told().items)
    described = json.dumps({"id": ID, "name": "one", "host": "box"}).encode()
    for key, value in ((KEY, b"10.0.0.5:20017"), (f"/wharfinger/instances{KEY}", described)):
        items[key] = KeyValue(key, value, 1, 1, 1, 7)
    assert meant(name, Snapshot(7, items)) == ("box", KEY)
    for none in ("", "c0f", "on"):
        with pytest.raises(Rejected, match="no registrar tells of"):
            meant(none, Snapshot(7, items))


def test_one_that_had_no_key_cannot_be_named() -> None:
    with pytest.raises(Rejected, match="no registrar tells of"):
        meant("without a key", told({"name": "without a key"}, DRAINED))
