"""Which address a host is registered with."""

import ipaddress

import pytest

from registrar.host.address import choose, find, interfaces, routed
from wharfinger.errors import Unavailable
from wharfinger.sections import HostConfig

FOUND = {
    "lo": ("127.0.0.1", "::1"),
    "docker0": ("172.17.0.1",),
    "eth0": ("10.1.2.3", "fe80::1", "2001:db8::3"),
    "eth1": ("192.168.7.7",),
}


@pytest.mark.parametrize(
    ("config", "routes", "ip"),
    [
        (HostConfig(), ("10.1.2.3",), "10.1.2.3"),
        (HostConfig(), ("172.17.0.1", "2001:db8::3"), "2001:db8::3"),
        (HostConfig(ip="127.0.0.1"), ("10.1.2.3",), "127.0.0.1"),
        (HostConfig(ip="172.17.0.1"), (), "172.17.0.1"),
        (HostConfig(interface="eth1"), ("10.1.2.3",), "192.168.7.7"),
        (HostConfig(interface="lo"), (), "127.0.0.1"),
        (HostConfig(cidr="192.168.0.0/16"), ("10.1.2.3",), "192.168.7.7"),
        (HostConfig(cidr="2001:db8::/32"), (), "2001:db8::3"),
    ],
)
def test_what_is_written_down_comes_before_what_is_found(
    config: HostConfig, routes: tuple[str, ...], ip: str
) -> None:
    assert choose(config, FOUND, routes) == ip


@pytest.mark.parametrize(
    ("config", "routes", "why"),
    [
        (HostConfig(), (), "no default route"),
        (HostConfig(), ("127.0.0.1", "::1"), "no default route"),
        (HostConfig(), ("172.17.0.1",), "no default route"),
        (HostConfig(interface="eth9"), ("10.1.2.3",), "'eth9' has no address"),
        (HostConfig(cidr="172.31.0.0/16"), ("10.1.2.3",), "no interface has an address in"),
    ],
)
def test_loopback_and_docker0_are_never_found_by_itself(
    config: HostConfig, routes: tuple[str, ...], why: str
) -> None:
    with pytest.raises(Unavailable, match=why):
        choose(config, FOUND, routes)


def test_this_machine() -> None:
    assert "127.0.0.1" in interfaces()["lo"]
    assert all(ipaddress.ip_address(each) for each in routed())
    assert find(HostConfig(interface="lo")) == "127.0.0.1"
