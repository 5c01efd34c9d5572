"""An edge that was cut off: what its Nginx learned of all others meanwhile is forgotten, once."""

import pytest

from tests.stack.discovery import DiscoveryStack

pytestmark = pytest.mark.real


@pytest.fixture(params=["push", "reload"])
def stack(request: pytest.FixtureRequest) -> DiscoveryStack:
    """One of either mode."""
    name = "push_stack" if request.param == "push" else "discovery_stack"
    found: DiscoveryStack = request.getfixturevalue(name)
    return found


async def shop(stack: DiscoveryStack) -> list[str]:
    """Discovery with an instance of this host and one of each of two others."""
    stack.write_config(nginx={"fail_timeout_seconds": 3600})
    await stack.start()
    addresses = [await stack.backends.start() for _ in range(3)]
    revision = 0
    for address, host in zip(addresses, ("edge-1", "box-2", "box-3"), strict=True):
        revision = await stack.put("shop_prod", address, http_host="shop.test", host=host)
    # A reload that is yet to come would make Nginx forget, too.
    await stack.until_applied(revision)
    await stack.until_served(*addresses)
    return addresses


async def until_told(stack: DiscoveryStack, kind: str) -> None:
    async def told() -> bool:
        return bool(await stack.events(kind))

    await stack.until(told, f"event: {kind}")


async def until_heard(stack: DiscoveryStack) -> None:
    await stack.etcd_server.start()
    await stack.until(stack.healthy, "etcd is heard again")


async def is_red(stack: DiscoveryStack) -> bool:
    return "etcd watch" in await stack.why_unhealthy()


async def test_at_its_end_all_are_asked_again_at_once(stack: DiscoveryStack) -> None:
    own, *others = await shop(stack)
    await stack.etcd_server.stop()
    for address in others:
        await stack.backends.stop(address)
    await stack.until_served(own)
    await until_told(stack, "hosts out of reach")
    for address in others:
        await stack.backends.start(address)
    # An hour would have to pass; and etcd is not there yet.
    await stack.until_served(own, *others)
    await until_told(stack, "failures forgotten")
    await until_heard(stack)
    [forgotten] = await stack.events("failures forgotten")
    mode = (await stack.ask_json("/status"))["mode"]
    assert f"by={mode}" in forgotten["line"]


async def test_a_silent_etcd_or_dead_hosts_alone_make_nobody_forget(stack: DiscoveryStack) -> None:
    own, *others = await shop(stack)
    await stack.etcd_server.stop()
    await stack.backends.stop(others[0])
    await stack.until(lambda: is_red(stack), "etcd is not heard")
    await stack.until_served(own, others[1])
    await stack.backends.start(others[0])
    await until_heard(stack)
    for address in others:
        await stack.backends.stop(address)
    await stack.until_served(own)
    for address in others:
        await stack.backends.start(address)
    # What comes after all that has been told.
    late = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", late, http_host="shop.test"))
    assert not await stack.events("hosts out of reach")
    assert not await stack.events("failures forgotten")
