"""What containers say in registrator's words, on a real engine."""

import signal

import pytest

from tests.stack.registrar import RegistrarStack
from wharfinger.operator.parts.process import free_port

pytestmark = pytest.mark.real


async def test_a_container_that_was_made_for_registrator(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    port = free_port()
    said = (
        f"--env=PORT={port}",
        f"--expose={port}",
        "--env=SERVICE_NAME=other",
        f"--env=SERVICE_{port}_NAME=shop",
        "--label=SERVICE_ENV=prod",
        "--env=SERVICE_TAGS=a\\,b,c",
        f"--label=SERVICE_{port}_REGION=eu",
    )
    words = ("run", "--detach", "--network=host", *said, "shop")
    container = (await stack.docker.run(*words)).strip()
    await stack.until_keys(1)
    assert await stack.ports() == {port}
    metadata = (await stack.metadata())[container]
    assert metadata["tags"] == ["a,b", "c"]
    assert metadata["attributes"] == {"region": "eu"}


async def test_the_network_of_another_container_is_found_by_what_docker_calls_it(
    registrar_stack: RegistrarStack,
) -> None:
    stack = registrar_stack
    port = free_port()
    words = ("run", "--detach", "--network=host", "--name=net", f"--env=PORT={port}", "shop")
    await stack.docker.run(*words)
    labels = ("--label=wharfinger.app=shop", "--label=wharfinger.env=prod")
    words = ("run", "--detach", "--network=container:net", *labels, "shop")
    container = (await stack.docker.run(*words)).strip()
    await stack.until_keys(1)
    assert await stack.ports() == {stack.port_range[0]}
    assert (await stack.metadata()).keys() == {container}


async def test_a_reload_reads_running_containers_anew(registrar_stack: RegistrarStack) -> None:
    stack = registrar_stack
    words = ("run", "--detach", "--network=host", "--label=wharfinger.app=shop", "shop")
    container = (await stack.docker.run(*words)).strip()
    assert "default_env" in await stack.until_refused(container)
    stack.write_config(default_env="prod", tags=["rack1"])
    stack.process.signal(signal.SIGHUP)
    await stack.until_keys(1)
    assert (await stack.metadata())[container]["tags"] == ["rack1"]
