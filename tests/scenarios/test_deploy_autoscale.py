"""As many instances as are busy enough: up under load, down after it, calm when nobody tells."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.stack.releasesite import WHARF, ReleaseSite, ended
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(600)]

RULE = "replicas: 1, autoscale: {{min: 1, max: 3, cpu: 3%, cooldown: 6s}}, rollout:"
SCALED = WHARF.replace("replicas: 3, rollout:", RULE)


@asynccontextmanager
async def scaling(site: ReleaseSite) -> AsyncIterator[asyncio.StreamReader]:
    """`deploy autoscale production` runs meanwhile, until SIGTERM; gives what it says."""
    process = await site.start_deploy("autoscale", "production", "--every", "2")
    assert process.stderr is not None
    try:
        yield process.stderr
    finally:
        gone = process.returncode
        if gone is None:
            process.send_signal(signal.SIGTERM)
        ran = await ended(process)
    assert gone is None, ran.err
    assert (ran.code, "SIGTERM: interrupted" in ran.err) == (75, True), ran.err


async def until_running(site: ReleaseSite, count: int) -> None:
    async def there() -> bool:
        return len(await site.running("production")) == count

    await until(there, timeout_seconds=90, what=f"{count} instances run")


async def test_load_makes_more_of_it_and_none_makes_fewer(
    release_site: ReleaseSite, record_property: Callable[[str, object], None]
) -> None:
    site = release_site
    site.environment = {
        **site.environment,
        "WHARFINGER_DEPLOY__REGISTRAR_PORT": str(site.registrar.port),
        "WHARFINGER_DEPLOY__DISCOVERY_PORT": str(site.edge.port),
    }
    await site.release("1", wharf=SCALED)
    await site.deploy("up", "production")
    assert len(await site.running("production")) == 1
    told = (await site.deploy("autoscale", "production", "--dry-run", "--json")).result
    assert (told["from"], told["to"]) == (1, 1)

    async with scaling(site):
        async with site.load() as load:
            await until_running(site, 3)
            await load.more(100)
        await until_running(site, 1)
        record_property("answered", len(load.answered))
        record_property("lost", len(load.lost))
        assert not load.lost, load.reasons
    records = (await site.deploy("history", "production", "--json")).result["releases"]
    scaled = [each for each in records if each["verb"] == "scale"]
    assert scaled
    assert all("% of a core" in each["reason"] for each in scaled)

    # With nobody to tell, nothing is made smaller.
    await site.deploy("scale", "production", "2")
    await site.registrar.process.kill()
    async with scaling(site) as saying:
        assert "the registrar of" in (await saying.readline()).decode()
        await asyncio.sleep(12)
        assert len(await site.running("production")) == 2


async def test_without_a_rule_it_says_what_to_write(release_site: ReleaseSite) -> None:
    ran = await release_site.deploy("autoscale", "production", code=78)
    assert "environments.production.autoscale" in ran.err
    assert "autoscale: {min:" in ran.err
