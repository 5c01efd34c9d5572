"""What is written to etcd: the difference, in whole instances, and never to another host's key."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.model import Contested, Deregister, Instance, Register
from registrar.registry.records import conditions, difference, keys_of, operations, questions
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.kv import Delete, Get, KeyValue, Put, absent, unchanged
from wharfinger.metadata import Metadata, encode

LEASE = 7
KEY = InstanceKey(Service("shop", "prod"), Endpoint("10.0.0.7", 20_000))
INSTANCE = Instance(
    KEY,
    Metadata(
        id="a" * 64,
        name="shop-1",
        image="shop:1",
        host="box",
        weight=1,
        tags=("blue",),
        version="1",
        http_host="shop.example",
        http_path="/cart",
        started="2026-01-01T00:00:00.000+00:00",
    ),
)


def kv(key: str, value: bytes, *, lease: int = LEASE, revision: int = 5) -> KeyValue:
    return KeyValue(key, value, revision, revision, 1, lease)


def held(instance: Instance = INSTANCE, *, lease: int = LEASE) -> dict[str, KeyValue | None]:
    key = instance.key
    return {
        key.address: kv(key.address, key.endpoint.value.encode(), lease=lease),
        key.metadata: kv(key.metadata, encode(instance.metadata), lease=lease),
    }


def changes(desired: tuple[Instance, ...], there: Any, **more: Any) -> Any:
    return difference({each.key: each for each in desired}, there, lease=LEASE, host="box", **more)


def test_nothing_is_written_where_all_is_as_it_should_be() -> None:
    assert changes((INSTANCE,), held()) == ()
    assert changes((), {}) == ()
    assert changes((), {KEY.address: None, KEY.metadata: None}) == ()


def test_what_is_missing_is_put_and_what_is_left_over_is_deleted_first() -> None:
    other = InstanceKey(KEY.service, Endpoint("10.0.0.7", 20_001))
    there = held() | {other.address: kv(other.address, b"10.0.0.7:20001"), other.metadata: None}
    new = InstanceKey(KEY.service, Endpoint("10.0.0.7", 20_002))
    fresh = Instance(new, INSTANCE.metadata)
    assert changes((INSTANCE, fresh), there) == (Deregister(other, ""), Register(fresh))


@pytest.mark.parametrize("which", [KEY.address, KEY.metadata])
@pytest.mark.parametrize("damage", ["value", "lease", "deleted"])
def test_what_was_damaged_by_hand_is_put_right_alone(which: str, damage: str) -> None:
    there = held()
    match damage:
        case "value":
            there[which] = kv(which, b"nonsense; {", lease=0)
        case "lease":
            right = there[which]
            assert right is not None
            there[which] = kv(which, right.value, lease=0)
        case "deleted":
            there[which] = None
    (change,) = changes((INSTANCE,), there)
    assert change == Register(INSTANCE)
    (put,) = operations(change, there, LEASE)
    assert isinstance(put, Put)
    assert (put.key, put.lease) == (which, LEASE)


def test_another_hosts_key_is_left_alone() -> None:
    theirs = held() | {
        KEY.metadata: kv(KEY.metadata, b'{"host":"other","id":"b"}', lease=99),
        KEY.address: kv(KEY.address, b"10.0.0.7:20000", lease=99),
    }
    assert changes((INSTANCE,), theirs) == (Contested(INSTANCE, "other"),)
    assert changes((), theirs) == ()


def test_what_was_imported_is_taken_over_whatever_host_it_names() -> None:
    described = b'{"host":"3f2a9c81d0b4","name":"shop","imported":"registrator"}'
    imported = {
        KEY.metadata: kv(KEY.metadata, described, lease=99),
        KEY.address: kv(KEY.address, b"10.0.0.7:20000", lease=99),
    }
    assert changes((INSTANCE,), imported) == (Register(INSTANCE),)


def test_our_own_from_an_earlier_lease_is_taken_over() -> None:
    assert changes((INSTANCE,), held(lease=3)) == (Register(INSTANCE),)
    assert changes((), held(lease=3)) == (Deregister(KEY, "a" * 64),)


def test_instances_of_containers_that_nothing_is_known_of_stay() -> None:
    assert changes((), held(), spare=frozenset({"a" * 64})) == ()
    assert changes((), held(), spare=frozenset({"b" * 64})) == (Deregister(KEY, "a" * 64),)


def test_a_change_holds_only_for_what_it_was_planned_from() -> None:
    change = Register(INSTANCE)
    there = held()
    assert conditions(change, {}) == (absent(KEY.address), absent(KEY.metadata))
    known = (there[KEY.address], there[KEY.metadata])
    assert conditions(change, there) == tuple(unchanged(each) for each in known if each)
    assert questions(change) == (Get(KEY.address), Get(KEY.metadata))
    gone = Deregister(KEY, "")
    assert operations(gone, there, LEASE) == (Delete(KEY.address), Delete(KEY.metadata))
    assert conditions(gone, there) == conditions(change, there)


def test_keys_that_are_no_instances_are_none_of_ours() -> None:
    there = held() | {
        key: kv(key, b"x")
        for key in ("/wharfinger/hosts/box/registrar", "/myapp/database/url", "/shop_prod/x")
    }
    assert list(keys_of(there)) == [KEY]


@given(
    value=st.binary(max_size=60) | st.sampled_from([b"[" * 20_000, b'{"host":1}', b'{"host":""}'])
)
def test_no_metadata_in_etcd_breaks_the_plan(value: bytes) -> None:
    there = held() | {KEY.metadata: kv(KEY.metadata, value, lease=0)}
    assert changes((INSTANCE,), there) == (Register(INSTANCE),)
