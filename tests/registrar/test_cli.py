"""The command: its configuration, and what `check` finds wrong with a host."""

from pathlib import Path

import pytest

from registrar.cli import findings
from registrar.config import Config
from wharfinger.config import load
from wharfinger.errors import ConfigError


def config(**flags: str) -> Config:
    dotted = {key.replace("__", "."): text for key, text in flags.items()}
    return load(Config, environment={}, flags=dotted, path=None).value


def test_the_defaults_are_those_of_a_single_host() -> None:
    registrar = config().registrar
    assert registrar.listen == "127.0.0.1:7201"
    assert (registrar.ports.first, registrar.ports.last) == (20_000, 29_999)
    assert (registrar.lease_ttl_seconds, registrar.on_stop) == (15, "keep")


@pytest.mark.parametrize(
    ("key", "text", "why"),
    [
        ("registrar__port_range", "29999-20000", "no range of ports"),
        ("registrar__port_range", "80-90", "below 1024"),
        ("registrar__lease_ttl_seconds", "1", ">= 5"),
        ("registrar__on_stop", "forget", "forget"),
        ("registrar__listen", "7201", "not HOST:PORT"),
        ("registrar__unknown", "1", "not a known key"),
    ],
)
def test_a_bad_value_is_found_and_named(key: str, text: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**{key: text})
    assert key.replace("__", ".") in str(caught.value)
    assert why in str(caught.value)


async def test_check_finds_all_that_is_out_of_reach(tmp_path: Path) -> None:
    found = await findings(
        config(
            docker__url=f"unix://{tmp_path}/docker.sock",
            etcd__endpoints="127.0.0.1:1",
            host__interface="nowhere0",
            registrar__port_range="1024-65535",
        )
    )
    assert {each.where for each in found} == {
        "docker.url",
        "etcd.endpoints",
        "host.ip",
        "registrar.port_range",
    }
    assert all(each.problem for each in found)
