"""What is compared anew is all that differs, whatever has happened since all was right."""

from typing import Final, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from registrar.model import Change, Deregister, Instance, Register
from registrar.registry.holdings import Holdings, Wish
from registrar.registry.records import both, difference, operations
from wharfinger.keys import Endpoint, InstanceKey, Service
from wharfinger.kv import KeyValue, Put
from wharfinger.metadata import Metadata, encode

T = TypeVar("T")

HOST: Final = "box"
LEASES: Final = (7, 8)
KEYS: Final = tuple(
    InstanceKey(Service("shop", "prod"), Endpoint("10.0.0.7", n)) for n in (1, 2, 3)
)
IDS: Final = ("a" * 64, "b" * 64)
HOSTS: Final = (HOST, "other")


def kv(key: str, value: bytes, lease: int) -> KeyValue:
    return KeyValue(key, value, create_revision=1, mod_revision=1, version=1, lease=lease)


def carry_out(held: Holdings, change: Change, lease: int) -> None:
    match change:
        case Register():
            for step in operations(change, held.keys, lease):
                assert isinstance(step, Put)
                held.note(step.key, kv(step.key, step.value, lease))
        case Deregister(key):
            for name in both(key):
                held.drop(name)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_after_any_changes_it_is_the_difference_of_all(  # noqa: C901 - a line for each
    data: st.DataObject,
) -> None:
    def any_of(several: tuple[T, ...]) -> T:
        return data.draw(st.sampled_from(several))

    def yes() -> bool:
        return data.draw(st.booleans())

    held, desired, lease, spare = Holdings(), dict[InstanceKey, Instance](), 7, frozenset[str]()
    for _ in range(data.draw(st.integers(2, 10))):
        if yes():  # the plan
            key = any_of(KEYS)
            desired = {each: instance for each, instance in desired.items() if each != key}
            if yes():
                desired[key] = Instance(key, Metadata(id=any_of(IDS), host=HOST))
        if yes():  # somebody else's hand
            key = any_of(KEYS)
            name = any_of(both(key))
            metadata = encode(Metadata(id=any_of(IDS), host=any_of(HOSTS)))
            value = metadata if name == key.metadata else key.endpoint.value.encode()
            held.note(name, kv(name, value, any_of((0, *LEASES))) if yes() else None)
        match any_of(("", "", "", "", "lease", "spare", "forgotten")):
            case "lease":
                lease = any_of(LEASES)
            case "spare":
                spare ^= {any_of(IDS)}
            case "forgotten":
                held.keep(lambda each: each.lease == lease)  # noqa: B023 - called at once
        wish = Wish(desired, lease, spare)
        wanted, there = held.to_compare(wish)
        changes = difference(wanted, there, lease=lease, host=HOST, spare=spare)
        whole = difference(desired, held.keys, lease=lease, host=HOST, spare=spare)
        assert sorted(map(repr, changes)) == sorted(map(repr, whole))
        assert held.instances == tuple(held.holders)
        for change in changes:
            if yes():  # else etcd's users do not let us
                carry_out(held, change, lease)
        if yes():  # else something failed before the end
            held.met(wish, changes)


def test_when_nothing_has_happened_nothing_is_compared() -> None:
    held = Holdings()
    wish = Wish(
        {key: Instance(key, Metadata(id=IDS[0], host=HOST)) for key in KEYS}, 7, frozenset()
    )
    wanted, there = held.to_compare(wish)
    assert len(wanted) == len(KEYS)
    changes = difference(wanted, there, lease=7, host=HOST)
    for change in changes:
        carry_out(held, change, 7)
    held.met(wish, changes)
    assert len(held.to_compare(wish)[0]) == len(KEYS)  # what was written, once more
    held.met(wish, ())
    assert held.to_compare(wish) == ({}, {})
    held.met(wish, ())
    held.note(KEYS[1].address, None)
    assert list(held.to_compare(wish)[0]) == [KEYS[1]]
