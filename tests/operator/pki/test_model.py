"""What may be asked of the authority."""

import pytest

from wharfinger.errors import Rejected
from wharfinger.operator.pki.model import LOCAL_IPS, MEMBER, services, wish


def test_what_serves_is_reached_on_its_own_machine_too() -> None:
    assert wish("box", ["host"], ["box.lan"], ["10.0.0.5"]).dns == ("box", "box.lan")
    assert wish("box", ["host"], [], ["10.0.0.5"]).ips == ("10.0.0.5",)
    for role in ("store", "all"):
        assert "localhost" in wish("box", [role], [], []).dns
        assert MEMBER not in wish("box", [role], [], []).dns
    etcd = wish("box", ["etcd"], ["box"], ["10.0.0.5", "127.0.0.1"])
    assert etcd.dns == ("box", "localhost", MEMBER)
    assert etcd.ips == ("10.0.0.5", *LOCAL_IPS)


def test_roles_have_an_order() -> None:
    assert wish("box", ["edge,host"], [], []) == wish("box", ["host", "edge"], [], [])
    assert wish("box", ["all"], [], []).roles == ("host", "edge", "store")


@pytest.mark.parametrize(
    ("name", "role", "dns", "ip", "why"),
    [
        ("box", "captain", "", "", "is no role"),
        ("box", "", "", "", "is no role"),
        ("x" * 65, "host", "", "", "longer than 64"),
        ("-box", "host", "", "", "begins with no letter"),
        ("box/../other", "host", "", "", "host"),
        ("", "host", "", "", "host"),
        ("root", "host", "", "", "root is the user"),
        ("root", "admin,host", "", "", "root is the user"),
        ("box", "host", "10.0.0.5 ", "", "is no name"),
        ("box", "host", "a,b", "", "is no name"),
        ("box", "host", MEMBER, "", "a member of etcd"),
        ("box", "host", MEMBER.upper(), "", "a member of etcd"),
        ("box", "host", "*.etcd.wharfinger", "", "a member of etcd"),
        ("box", "host", "", "box.lan", "is no IP address"),
        ("box", "host", "", "fe80::1%eth0", "a zone"),
    ],
)
def test_what_can_stand_in_no_certificate(
    name: str, role: str, dns: str, ip: str, why: str
) -> None:
    with pytest.raises(Rejected, match=why):
        wish(name, [role], [dns] if dns else [], [ip] if ip else [])


def test_services() -> None:
    assert services("shop_qa, shop_prod,shop_qa") == ("shop_prod", "shop_qa")
    assert services("web_*,*") == ("*",)
    for wrong in ("", ",", "shop", "shop/prod_x", "../*", "*_prod", "shop_prod;"):
        with pytest.raises(Rejected):
            services(wrong)
