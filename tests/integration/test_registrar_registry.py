"""What the registry finds out about its keys on a real etcd, and what it writes then."""

import pytest

from registrar.host.claim import Claim
from registrar.model import Instance
from registrar.registry.registry import READ_ALL_SECONDS, Registry
from wharfinger.errors import Conflict
from wharfinger.etcd import Etcd
from wharfinger.events import Events
from wharfinger.keys import Endpoint, InstanceKey, Service, host_key
from wharfinger.metadata import Metadata, encode

pytestmark = pytest.mark.real

RECORD = host_key("box", "registrar")
INSTANCES = {
    key: Instance(key, Metadata(id=f"{key.endpoint.port}", host="box"))
    for key in (
        InstanceKey(Service("shop", env), Endpoint("10.0.0.7", port))
        for env, port in (("prod", 20_000), ("prod", 20_001), ("qa", 20_002))
    )
}
FIRST, SECOND, THIRD = INSTANCES


class Keeper:
    """A registry with all of its instances in etcd, and a clock of its own."""

    def __init__(self, etcd: Etcd, lease: int) -> None:
        self.etcd = etcd
        self.lease = lease
        self.now = 0.0
        claim = Claim(etcd, host="box", key=RECORD, saved=None)
        self.registry = Registry(etcd, "box", Events(), claim, clock=lambda: self.now)

    async def keep(self) -> None:
        """One round of the publisher."""
        await self.registry.audit(INSTANCES, self.lease, RECORD)
        await self.registry.declare(RECORD, b"{}", self.lease)
        await self.registry.converge(INSTANCES, self.lease)

    async def right(self) -> bool:
        items = (await self.etcd.list("/")).items
        expected = {key.address: key.endpoint.value.encode() for key in INSTANCES}
        expected |= {key.metadata: encode(each.metadata) for key, each in INSTANCES.items()}
        expected |= {RECORD: b"{}"}
        return {kv.key: kv.value for kv in items.values()} == expected and {
            kv.lease for kv in items.values()
        } == {self.lease}


@pytest.fixture
async def keeper(etcd: Etcd) -> Keeper:
    keeper = Keeper(etcd, (await etcd.grant(60)).id)
    await keeper.keep()
    assert await keeper.right()
    return keeper


async def test_a_round_that_finds_all_right_puts_nothing(keeper: Keeper) -> None:
    before = (await keeper.etcd.list("/")).revision
    for _ in range(3):
        await keeper.keep()
    assert (await keeper.etcd.list("/")).revision == before


async def test_what_is_withheld_is_not_put_and_goes_all_the_same(keeper: Keeper) -> None:
    unknown = frozenset({FIRST.address.rpartition("-")[2], THIRD.address.rpartition("-")[2]})
    assert {each.metadata.id for each in INSTANCES.values()} > unknown
    # The lease was lost, and there is another; one of the two is desired no more.
    keeper.lease = (await keeper.etcd.grant(60)).id
    await keeper.etcd.delete(FIRST.address)
    await keeper.etcd.delete(FIRST.metadata)
    desired = {key: each for key, each in INSTANCES.items() if key != THIRD}
    await keeper.etcd.delete(RECORD)
    await keeper.registry.audit(desired, keeper.lease, RECORD)
    await keeper.registry.declare(RECORD, b"{}", keeper.lease)
    converge = keeper.registry.converge
    assert await converge(desired, keeper.lease, withheld=unknown) == 1
    assert (await keeper.etcd.list("/shop_")).items.keys() == {SECOND.address}
    assert await converge(desired, keeper.lease, withheld=unknown) == 1
    assert await converge(desired, keeper.lease) == 0
    held = (await keeper.etcd.list("/shop_")).items
    assert held.keys() == {FIRST.address, SECOND.address}
    assert {kv.lease for kv in held.values()} == {keeper.lease}


async def test_a_service_that_is_withheld_is_not_allowed_by_that(keeper: Keeper) -> None:
    await keeper.etcd.delete(THIRD.address)
    await keeper.registry.audit(INSTANCES, keeper.lease, RECORD)
    keeper.registry.denials.note("shop_qa", "permission denied", keeper.now)
    withheld = frozenset({INSTANCES[THIRD].metadata.id})
    assert await keeper.registry.converge(INSTANCES, keeper.lease, withheld=withheld) == 1
    assert keeper.registry.denials.reasons == {"shop_qa": "permission denied"}
    keeper.now += 60
    await keeper.keep()
    assert not keeper.registry.denials.reasons


@pytest.mark.parametrize("key", [FIRST.address, THIRD.metadata, RECORD])
@pytest.mark.parametrize("damage", ["deleted", "overwritten", "taken off the lease"])
async def test_what_was_damaged_by_hand_is_right_in_the_next_round(
    keeper: Keeper, key: str, damage: str
) -> None:
    held = await keeper.etcd.get(key)
    assert held is not None
    match damage:
        case "deleted":
            await keeper.etcd.delete(key)
        case "overwritten":
            await keeper.etcd.put(key, b"nonsense; {")
        case _:
            await keeper.etcd.put(key, held.value)
    await keeper.keep()
    assert await keeper.right()


async def test_a_value_that_was_put_on_our_own_lease_is_found_within_a_minute(
    keeper: Keeper,
) -> None:
    await keeper.etcd.put(FIRST.address, b"nonsense; {", lease=keeper.lease)
    keeper.now = READ_ALL_SECONDS
    await keeper.keep()
    assert await keeper.right()


async def test_a_key_that_another_host_gives_up_is_taken_in_the_next_round(
    keeper: Keeper,
) -> None:
    await keeper.etcd.put(SECOND.metadata, b'{"host":"other"}')
    await keeper.etcd.put(SECOND.address, b"theirs")
    await keeper.keep()
    assert keeper.registry.ledger.contested == {SECOND.address: "other"}
    await keeper.etcd.delete(SECOND.metadata)
    await keeper.etcd.delete(SECOND.address)
    await keeper.keep()
    assert keeper.registry.ledger.contested == {}
    assert await keeper.right()


async def test_with_its_lease_lost_everything_is_put_again_without_being_read(
    keeper: Keeper,
) -> None:
    await keeper.etcd.revoke(keeper.lease)
    keeper.lease = (await keeper.etcd.grant(60)).id
    keeper.registry.forget_all_but(keeper.lease)
    await keeper.registry.declare(RECORD, b"{}", keeper.lease)
    await keeper.registry.converge(INSTANCES, keeper.lease)
    assert await keeper.right()


async def test_what_hangs_on_a_lease_that_was_thought_lost_and_lives_is_moved(
    keeper: Keeper,
) -> None:
    keeper.lease = (await keeper.etcd.grant(60)).id
    keeper.registry.forget_all_but(keeper.lease)
    with pytest.raises(Conflict):
        await keeper.registry.declare(RECORD, b"{}", keeper.lease)
    await keeper.keep()
    assert await keeper.right()


async def test_without_its_record_nothing_is_written_and_with_it_all_is(keeper: Keeper) -> None:
    await keeper.etcd.delete(RECORD)
    await keeper.etcd.delete(FIRST.address)
    await keeper.registry.audit(INSTANCES, keeper.lease)
    with pytest.raises(Conflict):
        await keeper.registry.converge(INSTANCES, keeper.lease)
    assert await keeper.etcd.get(FIRST.address) is None
    await keeper.keep()
    assert await keeper.right()
