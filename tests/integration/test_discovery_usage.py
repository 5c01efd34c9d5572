"""How many requests a service has had, counted by a real Nginx that is pushed to."""

from typing import Any

import pytest

from tests.integration.test_discovery_push import answers, shop
from tests.stack.discovery import DiscoveryStack
from tests.stack.nginx import workers

pytestmark = pytest.mark.real


async def used(stack: DiscoveryStack, service: str = "shop_prod") -> dict[str, Any]:
    told: dict[str, Any] = await stack.ask_json(f"/usage?service={service}")
    return told


async def test_each_request_counts_once_whoever_answers(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    [first] = await shop(stack)
    before = (await used(stack))["requests"]
    assert set(await answers(stack, 20)) == {first}
    assert (await used(stack))["requests"] == before + 20
    assert (await used(stack, "other_prod"))["requests"] == 0

    # A peer that is dead is tried and another answers: one request, not two.
    dead = await stack.backends.start()
    await stack.until_applied(await stack.put("shop_prod", dead, http_host="shop.test"))
    await stack.backends.stop(dead)
    before = (await used(stack))["requests"]
    assert set(await answers(stack, 10)) == {first}
    assert (await used(stack))["requests"] == before + 10


async def test_the_count_outlives_a_reload_and_not_its_service(push_stack: DiscoveryStack) -> None:
    stack = push_stack
    await shop(stack)
    await answers(stack, 5)
    counted = (await used(stack))["requests"]
    old = await workers(stack.nginx)
    await stack.nginx.reload()

    async def replaced() -> bool:
        return not await workers(stack.nginx) & old

    await stack.until(replaced, "the workers are new")
    assert (await used(stack))["requests"] == counted


async def test_what_is_no_service_is_refused(push_stack: DiscoveryStack) -> None:
    await push_stack.start()
    for name in ("", "shop", "a_b%0d%0aX:1", "../x_prod", "x" * 300 + "_prod"):
        told = await push_stack.ask_json(f"/usage?service={name}")
        assert "service" in told["error"]


async def test_without_lua_nobody_counts_and_it_is_said(discovery_stack: DiscoveryStack) -> None:
    await shop_by_reload(discovery_stack)
    told = await used(discovery_stack)
    assert told["requests"] is None
    assert "only a Nginx that is pushed to" in told["why"]


async def shop_by_reload(stack: DiscoveryStack) -> None:
    await stack.start()
    address = await stack.backends.start()
    await stack.put("shop_prod", address, http_host="shop.test")
    await stack.until_served(address)
