"""Releases on Compose that are done again, or begun where people have been at the containers."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from deploy.release.engine import RolloutFailed
from tests.stack import rolling as stack
from tests.stack.commands import steps
from tests.stack.releasesite import ReleaseSite
from tests.stack.rolling import Rolling
from tests.stack.told import Told
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.process import free_port, until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

# While somebody listens on a port of the host, no further instance starts.
PICKY = """\
CMD ["sh", "-c", "if grep -q ':{port:04X} 00000000:0000 0A' /proc/net/tcp; then exit 5; fi; shop"]
"""


@contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


async def up_ids(rolling: Rolling) -> set[str]:
    """Of those that serve."""
    return {each.id for each in await rolling.engine().running() if each.state == "up"}


async def test_what_serves_outlives_any_number_of_vain_tries(
    rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setitem(stack.SOURCES, "picky", PICKY.format(port=port))
    await rolling.up("picky", 2)
    before = await up_ids(rolling)
    assert len(before) == 2
    async with rolling.load() as load:
        await load.more(20)
        with listening(port):
            for _ in range(2):
                with pytest.raises(RolloutFailed, match="exit code 5") as failed:
                    await rolling.up("picky", 3)
                assert failed.value.restored
                assert await up_ids(rolling) == before
            deployer = await rolling.deployer("picky", 3)
            await deployer.start()
            while "new instance starts" not in deployer.log_tail(50):
                assert deployer.running, deployer.log_tail(50)
            await deployer.kill()
            with pytest.raises(RolloutFailed) as failed:
                await rolling.up("picky", 3)
            assert failed.value.restored
            assert await up_ids(rolling) == before
        await load.more(20)
    assert await rolling.running() == {"picky": 2}
    assert not load.lost, load.reasons


async def test_what_was_started_by_hand_is_what_it_goes_back_to(rolling: Rolling) -> None:
    labels = {
        "com.docker.compose.project": "shop-prod",
        "com.docker.compose.service": "shop",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.container-number": "1",
        "wharfinger.host": stack.SITE,
    }
    words = [f"--label={key}={value}" for key, value in labels.items()]
    by_hand = await rolling.registrar.run_shop(*words, name="by-hand")
    await rolling.registrar.until_keys(1)
    with pytest.raises(RolloutFailed) as failed:
        await rolling.up("exits", 1)
    assert failed.value.restored, str(failed.value)
    assert await up_ids(rolling) == {by_hand}


async def test_what_nobody_serves_afterwards_is_not_called_restored(rolling: Rolling) -> None:
    with pytest.raises(RolloutFailed) as failed:
        await rolling.up("exits")
    assert not failed.value.restored
    await rolling.up("v1")
    for each in await rolling.engine().running():
        await rolling.docker.run("stop", "--time=1", each.id)
    with pytest.raises(RolloutFailed) as failed:
        await rolling.up("exits")
    assert not failed.value.restored


async def test_people_at_the_containers_do_not_stop_a_release(rolling: Rolling) -> None:
    await rolling.up("v1", 4)
    names = [each.name for each in await rolling.engine().running()]
    await rolling.docker.run("pause", names[0])
    await rolling.docker.run("stop", "--time=1", names[1])
    await rolling.registrar.until_keys(2)
    states = {each.name: each.state for each in await rolling.engine().running()}
    assert [states[name] for name in names] == ["unhealthy", "exited", "up", "up"]
    target = await rolling.target("v2", 4)
    async with rolling.load() as load:
        await load.more(20)
        rolling.told = told = Told()
        work = asyncio.create_task(rolling.engine().up(target, told))

        async def begun() -> bool:
            return any("new instance starts" in each for each in told.steps) or work.done()

        await until(begun, timeout_seconds=60, what="a new instance starts")
        await rolling.docker.run("rm", "--force", names[0])
        await work
        await load.more(20)
    assert await rolling.running() == {"v2": 4}
    assert not load.lost, load.reasons


async def test_an_engine_that_was_killed_meanwhile_is_gone_on_with(rolling: Rolling) -> None:
    await rolling.up("v1", 3)
    target = await rolling.target("v2", 3)
    rolling.told = told = Told()
    work = asyncio.create_task(rolling.engine().up(target, told))

    async def half() -> bool:
        return any("stopped" in each for each in told.steps) or work.done()

    await until(half, timeout_seconds=60, what="the first is stopped")
    await rolling.docker.kill()
    with pytest.raises((Unavailable, RolloutFailed)):
        await work
    await rolling.docker.start()
    await rolling.up("v2", 3)
    assert any("goes on where" in each for each in rolling.told.steps)
    assert await rolling.running() == {"v2": 3}
    assert {each.state for each in await rolling.engine().running()} == {"up"}


async def test_on_a_host_that_was_drained_it_says_so_and_leaves_what_runs(rolling: Rolling) -> None:
    await rolling.up("v1")
    before = {each.id for each in await rolling.engine().running()}
    control = rolling.registrar.runtime_dir / "registrar.sock"
    await steps(control, "/v1/drain", {"host": "box"})
    with pytest.raises(RolloutFailed, match="nobody serves there: box") as failed:
        await rolling.up("v2")
    assert not failed.value.restored
    assert any("cannot be let in again: " in each for each in rolling.told.steps)
    assert {each.id for each in await rolling.engine().running()} == before
    await steps(control, "/v1/undrain", {"host": "box"})
    await rolling.up("v2")
    assert await rolling.running() == {"v2": 2}


async def test_what_another_machine_has_released_since_is_what_it_goes_back_to(
    rolling: Rolling,
) -> None:
    await rolling.up("v1")
    deployer = await rolling.deployer("v2")
    await deployer.start()

    async def begun() -> bool:
        return "new instance starts" in deployer.log_tail(50) or not deployer.running

    await until(begun, timeout_seconds=60, what="a new instance starts")
    await deployer.kill()
    await rolling.engine(state="elsewhere").up(await rolling.target("v2"), Told())
    assert await rolling.running() == {"v2": 2}
    bad = replace(await rolling.target("exits"), settled=True)
    with pytest.raises(RolloutFailed) as failed:
        await rolling.engine().up(bad, Told())
    assert failed.value.restored
    assert await rolling.running() == {"v2": 2}


async def test_the_way_back_from_half_way_never_leads_there_again(
    rolling: Rolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setitem(stack.SOURCES, "picky", PICKY.format(port=port))
    await rolling.up("picky", 3)
    deployer = await rolling.deployer("v2", 3)
    await deployer.start()

    async def half() -> bool:
        return (await rolling.running()).get("picky") == 2 or not deployer.running

    await until(half, timeout_seconds=60, what="the first is gone")
    await deployer.kill()
    with listening(port), pytest.raises(RolloutFailed) as failed:
        await rolling.up("picky", 3)
    assert not failed.value.restored
    assert (await rolling.running())["picky"] == 2
    await rolling.up("picky", 3)
    assert await rolling.running() == {"picky": 3}


# As long as keys take them, with all that they may hold.
APP = "Shop.web_2-" + "x" * 117
ENVIRONMENTS = ("prod", "Prod.eu-1." + "y" * 118)
VALUES = {
    "DOLLARS": "$HOME ${HOME} $$ $",
    "QUOTES": "'\"`\\",
    "LINES": "one\n two\n",
    "WORDS": " no: #yes, - *a &b !c ",
    "FOREIGN": "Gr\u00fc\u00dfe \U0001f6a2 \u2028",
    "EMPTY": "",
}
# JSON tells what is beyond 16 bits in two halves, which YAML takes for two characters.
VARIABLES = json.dumps(VALUES).replace("\\ud83d\\udea2", "\\U0001f6a2")
VARIABLES = VARIABLES.replace("{", "{{").replace("}", "}}")
WHARF = f"""\
app: {APP}
image: {{registry}}/shop
build: {{{{layer: "shop:latest", context: .}}}}
health: {{{{every: 500ms, timeout: 500ms, healthy: 1, start: 10s}}}}
drain: 1s
variables: {VARIABLES}
environments:
  {ENVIRONMENTS[0]}: {{{{engine: compose, replicas: 1, rollout: {{{{monitor: 100ms}}}}}}}}
  {ENVIRONMENTS[1]}: {{{{engine: compose, replicas: 2, rollout: {{{{monitor: 100ms}}}}}}}}
"""


async def test_names_and_values_reach_containers_as_they_are(release_site: ReleaseSite) -> None:
    site = release_site
    digests = [await site.release(each, wharf=WHARF) for each in "12"]
    # A working copy may have one for other programs.
    (site.folder / ".env").write_text("COMPOSE_PROJECT_NAME=other\nDOCKER_HOST=tcp://nowhere:1\n")
    for digest in digests:
        for environment in ENVIRONMENTS:
            await site.deploy("up", environment, "--digest", digest)
    assert [len(await site.running(each)) for each in ENVIRONMENTS] == [1, 2]
    for each in (await site.docker.run("ps", "--quiet")).split():
        (found,) = json.loads(await site.docker.run("inspect", each))
        variables = dict(text.split("=", 1) for text in found["Config"]["Env"])
        assert variables.items() >= VALUES.items()
        assert found["Config"]["Labels"]["wharfinger.app"] == APP
        assert found["Config"]["Image"].endswith(digests[1])
    await site.deploy("scale", ENVIRONMENTS[1], "1")
    await site.deploy("rollback", ENVIRONMENTS[1])
    assert await site.running(ENVIRONMENTS[0]) == [digests[1]]
    assert await site.running(ENVIRONMENTS[1]) == [digests[0]]
