"""Instances as a release sees them: in etcd, drained by order, or without their registrar."""

import pytest

from deploy.release.engines import instances as engineinstances
from deploy.release.engines.instances import Came, Instances
from tests.stack.discovery import DiscoveryStack
from tests.stack.registrar import RegistrarStack
from wharfinger.keys import Service
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real
SHOP = Service("shop", "prod")
LABELS = ("--label=wharfinger.drain=0", "--label=wharfinger.host=shop.test")


async def test_they_are_drained_by_order_and_let_in_again(
    registrar_stack: RegistrarStack, edge: DiscoveryStack
) -> None:
    stack = registrar_stack
    container = await stack.run_shop(*LABELS, name="one")
    await stack.until_keys(1)
    told: list[str] = []
    instances = Instances(stack.etcd, SHOP, by="ann", tell=told.append)
    (one,) = await instances.held()
    assert (one.container, one.name, one.host, one.image) == (container, "one", "box", "shop")
    assert await instances.served(one.revision) == ()
    (done,) = await instances.drain([one], timeout_seconds=30)
    assert (done.key, done.came) == (one.key, Came.DONE)
    assert await instances.held() == ()
    (again,) = await _until_drained(instances)
    assert again.came == Came.DONE
    (back,) = await instances.undrain(["one"], timeout_seconds=30)
    assert back.came == Came.DONE
    assert [each.key for each in await instances.held()] == [one.key]
    assert told == []


async def _until_drained(instances: Instances) -> tuple[engineinstances.Outcome, ...]:
    """Sees the drain to its end once more, as soon as the host's record tells of it."""
    found: tuple[engineinstances.Outcome, ...] = ()

    async def told() -> bool:
        nonlocal found
        found = await instances.drain_again(["one"], timeout_seconds=30)
        return bool(found)

    await until(told, timeout_seconds=30, what="the host's record tells of the drain")
    return found


async def until_served(edge: DiscoveryStack, *ports: int) -> None:
    async def served() -> bool:
        answers = [await edge.get("shop.test") for _ in range(8)]
        return {each.text.strip() for each in answers} == set(map(str, ports))

    await edge.until(served, f"{ports} are served")


@pytest.mark.parametrize("lapsed", [False, True])
async def test_without_their_registrar_they_are_taken_out_from_here(
    registrar_stack: RegistrarStack,
    edge: DiscoveryStack,
    monkeypatch: pytest.MonkeyPatch,
    lapsed: bool,
) -> None:
    stack = registrar_stack
    await stack.run_shop(*LABELS, name="one")
    await stack.run_shop(*LABELS, name="two")
    await stack.until_keys(2)
    monkeypatch.setattr(engineinstances, "TAKEN_SECONDS", 0.5)
    instances = Instances(stack.etcd, SHOP, by="ann", tell=lambda _text: None)
    one, two = sorted(await instances.held(), key=lambda each: each.name)
    await until_served(edge, one.key.endpoint.port, two.key.endpoint.port)
    await stack.process.kill()
    if lapsed:
        address = await stack.etcd.get(one.key.address)
        assert address is not None
        await stack.etcd.revoke(address.lease)
        await edge.until(lambda: edge.keeps(2), "both are kept")
    else:
        (outcome,) = await instances.drain([one], timeout_seconds=5)
        assert outcome.came == Came.UNTAKEN
        assert "registrar of box does not take it" in outcome.why
        assert (await stack.etcd.list("/wharfinger/orders/")).items == {}
    revision = await instances.removed([one])
    assert await instances.served(revision) == ()
    await until_served(edge, two.key.endpoint.port)
    assert await stack.etcd.get(one.key.address) is None
    assert await stack.etcd.get(one.key.metadata) is None


async def test_etcd_is_waited_for(
    etcd_server: EtcdServer, registrar_stack: RegistrarStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        etcd_server.process.thaw()

    instances = Instances(registrar_stack.etcd, SHOP, by="ann", tell=tell)
    etcd_server.process.freeze()
    assert await instances.held() == ()
    assert told[0].startswith("etcd is waited for: ")
