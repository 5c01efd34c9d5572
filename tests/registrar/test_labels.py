"""What containers may ask for, and how each bad value is refused where it comes in."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.checks.model import Check, CheckKind
from registrar.labels.asks import network_of, read
from registrar.model import Refused, Wanted, Ways
from wharfinger.container import Container, ExposedPort, PublishedPort
from wharfinger.keys import Service

SHOP = Service("shop", "prod")
NAMED = {"wharfinger.app": "shop", "wharfinger.env": "prod"}


def container(labels: dict[str, str] | None = None, **fields: Any) -> Container:
    fields.setdefault("network_mode", "host")
    return Container(id="a" * 64, labels=NAMED | (labels or {}), **fields)


def wanted(labels: dict[str, str] | None = None, **fields: Any) -> Wanted:
    (found,) = read(container(labels, **fields))
    assert isinstance(found, Wanted), found
    return found


def refusal(labels: dict[str, str] | None = None, **fields: Any) -> str:
    (found,) = read(container(labels, **fields))
    assert isinstance(found, Refused), found
    return found.why


def several(labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Wanted | str]:
    """What each port asks for, by `APP:PORT`; refusals by number."""
    found: dict[str, Wanted | str] = {}
    for number, each in enumerate(read(container(labels, **fields))):
        if isinstance(each, Wanted):
            found[f"{each.service.app}:{each.port}"] = each
        else:
            found[str(number)] = each.why
    return found


def test_names_alone_on_the_hosts_network_ask_for_a_port() -> None:
    assert wanted() == Wanted(SHOP)


def test_every_label() -> None:
    labels = {
        "wharfinger.weight": "5",
        "wharfinger.tags": r"blue,eu\,west, blue,",
        "wharfinger.host": "*.Shop.example",
        "wharfinger.path": "/cart/",
        "wharfinger.drain": "30",
        "wharfinger.check": "none",
        "wharfinger.ip": "10.0.0.5",
        "wharfinger.port": "8080",
        "org.opencontainers.image.version": "1.2.3",
    }
    assert wanted(labels) == Wanted(
        SHOP,
        port=8_080,
        ip="10.0.0.5",
        check=Check(CheckKind.NONE),
        weight=5,
        tags=("blue", "eu,west"),
        drain_seconds=30,
        http_host="*.shop.example",
        http_path="/cart",
        version="1.2.3",
        container_port=8_080,
    )


def test_a_pool_of_ports_to_be_given_one_of() -> None:
    assert wanted({"wharfinger.port.pool": "20000-20999"}) == Wanted(SHOP, pool=(20_000, 20_999))


def test_a_container_without_a_name_or_with_ignore_is_none_of_ours() -> None:
    assert read(Container(id="a" * 64, network_mode="host")) == ()
    assert read(Container(id="a" * 64, labels={"wharfinger.logs": "off"})) == ()
    assert read(container({"wharfinger.ignore": "1"})) == ()
    assert read(container({"SERVICE_IGNORE": "yes"})) == ()
    assert read(container(env={"SERVICE_IGNORE": "yes"})) == ()


def test_registrators_spellings() -> None:
    env = {"SERVICE_NAME": "shop", "SERVICE_ENV": "prod", "SERVICE_TAGS": "a,b"}
    found = read(Container(id="a" * 64, env=env, network_mode="host"))
    assert found == (Wanted(SHOP, tags=("a", "b")),)


def test_a_port_in_the_environment_is_what_the_container_will_listen_on() -> None:
    assert wanted(env={"PORT": "8080"}, network_mode="host").port == 8080
    assert wanted({"wharfinger.port": "81"}, env={"PORT": "8080"}, network_mode="host").port == 81
    assert wanted(env={"PORT": ""}, network_mode="host").port is None
    assert "PORT" in refusal(env={"PORT": "80; evil"}, network_mode="host")


def test_published_ports_declare_the_port_on_the_host() -> None:
    one = (PublishedPort(80, 31_000), PublishedPort(80, 31_000, "::"))
    found = wanted(network_mode="bridge", published_ports=one)
    assert (found.port, found.ip, found.check.kind) == (31_000, None, CheckKind.NONE)
    two = (PublishedPort(80, 31_000), PublishedPort(81, 31_001), PublishedPort(53, 53, "", "udp"))
    assert "publishes 2 ports" in refusal(network_mode="bridge", published_ports=two)
    found = wanted({"wharfinger.port": "81"}, network_mode="bridge", published_ports=two)
    assert found.port == 31_001
    assert "publishes no port on network 'bridge'" in refusal(network_mode="bridge")


def test_an_internal_port_is_that_of_the_container_itself() -> None:
    labels = {"wharfinger.port": "internal"}
    exposed = (ExposedPort(80), ExposedPort(53, "udp"))
    found = wanted(
        labels, network_mode="bridge", exposed_ports=exposed, ip_addresses=("172.18.0.2",)
    )
    assert (found.port, found.ip, found.check.kind) == (80, "172.18.0.2", CheckKind.NONE)
    assert "no address" in refusal(labels, network_mode="bridge", exposed_ports=exposed)
    assert "0 ports are exposed" in refusal(labels, ip_addresses=("172.18.0.2",))


TWO = (PublishedPort(80, 31_000), PublishedPort(81, 31_001), PublishedPort(53, 53, "", "udp"))
BRIDGE: dict[str, Any] = {"network_mode": "bridge", "published_ports": TWO}


def test_of_several_published_ports_labels_name_those_that_count() -> None:
    why = refusal(**BRIDGE)
    assert "wharfinger.port" in why
    assert "wharfinger.80.app" in why
    labels = {
        "wharfinger.80.host": "shop.example",
        "wharfinger.80.weight": "7",
        "wharfinger.81.app": "admin",
        "wharfinger.81.env": "test",
        "wharfinger.81.tags": "a,b",
        "wharfinger.81.drain": "9",
        "wharfinger.81.check.interval": "5s",
        "wharfinger.53.app": "dns",
        "wharfinger.weight": "2",
        "wharfinger.check.timeout": "1s",
    }
    found = several(labels, **BRIDGE)
    check = Check(CheckKind.TCP, timeout_seconds=1)
    more: dict[str, Any] = {"check": check, "weight": 2, "on_host_network": False}
    assert found == {
        "dns:53": Wanted(
            Service("dns", "prod"), port=53, container_port=53, protocol="udp", tags=("udp",),
            **more | {"check": Check(CheckKind.NONE)},
        ),
        "shop:31000": Wanted(
            SHOP, port=31_000, container_port=80, http_host="shop.example", **more | {"weight": 7}
        ),
        "admin:31001": Wanted(
            Service("admin", "test"), port=31_001, container_port=81, tags=("a", "b"),
            drain_seconds=9,
            **more | {"check": replace(check, interval_seconds=5)},
        ),
    }  # fmt: skip


def test_what_is_wrong_with_one_port_leaves_the_others_alone() -> None:
    labels = {
        "wharfinger.80.app": "web",
        "wharfinger.81.weight": "many",
        "wharfinger.99.app": "missing",
        "wharfinger.70000.app": "none",
        "wharfinger.53.ignore": "1",
    }
    found = several(labels, **BRIDGE)
    assert isinstance(found.pop("web:31000"), Wanted)
    assert len(found) == 3
    told = " / ".join(str(each) for each in found.values())
    assert "port 81: wharfinger.weight 'many'" in told
    assert "port 99: has labels wharfinger.99.*, but does not have the port published" in told
    assert "port 70000: the label wharfinger.70000.*: '70000' is no port" in told
    labels = {"wharfinger.env": "e", "wharfinger.80.app": "x", "wharfinger.81.host": "y"}
    named, nameless = read(Container(id="a" * 64, labels=labels, **BRIDGE))
    assert isinstance(named, Wanted)
    assert "wharfinger.81.app" in str(nameless)
    both = {"wharfinger.port": "80", "wharfinger.81.app": "admin"}
    assert "names one port, but wharfinger.81.* another" in refusal(both, **BRIDGE)
    assert wanted({"wharfinger.port": "80", "wharfinger.80.weight": "4"}, **BRIDGE).weight == 4


def test_ports_that_are_to_be_ignored_do_not_count() -> None:
    assert wanted({"wharfinger.81.ignore": "1"}, **BRIDGE).port == 31_000
    both = {"wharfinger.80.ignore": "1", "wharfinger.81.ignore": "1"}
    found = wanted(both, **BRIDGE)
    assert (found.port, found.protocol, found.tags) == (53, "udp", ("udp",))


def test_labels_of_a_port_on_the_hosts_network_and_at_its_own_address() -> None:
    labels = {"wharfinger.80.weight": "2", "wharfinger.9090.app": "metrics"}
    found = several(labels)
    assert list(found) == ["shop:80", "metrics:9090"]
    assert [each.check.kind for each in found.values() if isinstance(each, Wanted)] == [
        CheckKind.TCP, CheckKind.TCP,
    ]  # fmt: skip
    own: dict[str, Any] = {
        "network_mode": "web", "ip_addresses": ("172.18.0.2",), "exposed_ports": (ExposedPort(80),),
    }  # fmt: skip
    for asked in ({"wharfinger.80.port": "internal"}, {"wharfinger.port": "internal"}):
        found = several({"wharfinger.80.app": "web", **asked}, **own)
        assert [(each.ip, each.port) for each in found.values() if isinstance(each, Wanted)] == [
            ("172.18.0.2", 80)
        ]
    found = several({"wharfinger.80.port": "8080"}, **own)
    assert list(found) == ["shop:8080"]
    why = refusal({"wharfinger.port": "internal"}, **own | {"exposed_ports": (), **BRIDGE})
    assert "wharfinger.80.app" in why


def test_a_port_that_is_published_on_one_address_is_registered_there() -> None:
    def bound(ip: str, labels: dict[str, str] | None = None) -> Any:
        ports = (PublishedPort(80, 31_000, ip),)
        return read(container(labels, network_mode="bridge", published_ports=ports))[0]

    assert bound("10.0.0.9").ip == "10.0.0.9"
    assert bound("0.0.0.0").ip is None
    assert bound("::").ip is None
    assert "no other host reaches it" in bound("127.0.0.1").why
    assert bound("127.0.0.1", {"wharfinger.ip": "127.0.0.1"}).ip == "127.0.0.1"
    assert "is no IP address" in bound("evil;").why
    two = (PublishedPort(80, 31_000, "10.0.0.9"), PublishedPort(80, 31_000, "0.0.0.0"))
    assert wanted(network_mode="bridge", published_ports=two).ip is None


def test_a_udp_port_has_no_check_by_connection() -> None:
    ports = (PublishedPort(53, 5_353, "", "udp"),)
    found = wanted(network_mode="bridge", published_ports=ports)
    assert (found.protocol, found.tags, found.check.kind) == ("udp", ("udp",), CheckKind.NONE)
    exposed = (ExposedPort(53, "udp"),)
    found = wanted({"wharfinger.53.app": "dns"}, exposed_ports=exposed)
    assert (found.protocol, found.check.kind) == ("udp", CheckKind.NONE)
    labels = {"wharfinger.53.app": "dns", "wharfinger.check": "tcp"}
    assert "tcp cannot be asked of udp" in refusal(labels, exposed_ports=exposed)


def test_the_hosts_settings_fill_in_what_labels_do_not_say() -> None:
    ways = Ways(
        default_env="test", tags=("rack1", "blue"), deregister="on-success", ip_label="net.ip"
    )
    labels = {"wharfinger.app": "shop", "wharfinger.tags": "blue", "net.ip": "10.9.0.7/24"}
    (found,) = read(Container(id="a" * 64, labels=labels, network_mode="host"), ways)
    assert found == Wanted(
        Service("shop", "test"), tags=("blue", "rack1"), deregister="on-success", ip="10.9.0.7"
    )
    labels |= {"wharfinger.env": "prod", "wharfinger.deregister": "never", "wharfinger.ip": "::1"}
    (found,) = read(Container(id="a" * 64, labels=labels, network_mode="host"), ways)
    assert isinstance(found, Wanted)
    assert (found.service, found.deregister, found.ip) == (SHOP, "never", "::1")
    labels = {**NAMED, "net.ip": "x/24; evil"}
    (found,) = read(Container(id="a" * 64, labels=labels, network_mode="host"), ways)
    assert isinstance(found, Refused)
    assert "the label 'net.ip' 'x' is no IP address" in found.why


def test_internal_by_configuration_is_for_networks_of_their_own() -> None:
    ways = Ways(internal=True)
    own: dict[str, Any] = {"ip_addresses": ("172.18.0.2",), "exposed_ports": (ExposedPort(80),)}
    (found,) = read(container(network_mode="web", **own), ways)
    assert isinstance(found, Wanted)
    assert (found.ip, found.port) == ("172.18.0.2", 80)
    assert read(container(), ways) == (Wanted(SHOP),)


COMPOSE = {"com.docker.compose.service": "web", "com.docker.compose.project": "site"}
SWARM = {"com.docker.swarm.service.name": "site_api", "com.docker.stack.namespace": "site"}


@pytest.mark.parametrize(
    ("labels", "app"), [(COMPOSE, "web"), (SWARM, "api"), (COMPOSE | SWARM, "web")]
)
def test_compose_and_swarm_name_what_asks_to_be_registered(
    labels: dict[str, str], app: str
) -> None:
    def asked(more: dict[str, str]) -> Any:
        return read(Container(id="a" * 64, labels=labels | more, network_mode="host"))

    assert asked({}) == ()
    assert asked({"wharfinger.logs": "off"}) == ()
    assert asked({"wharfinger.env": "prod"}) == (Wanted(Service(app, "prod")),)
    (found,) = asked({"wharfinger.env": "prod", "wharfinger.app": "shop"})
    assert found.service == SHOP
    (refused,) = asked({"wharfinger.host": "shop.example"})
    assert "no environment" in refused.why
    assert "default_env" in refused.why


def test_what_asks_without_any_name_is_refused() -> None:
    for label in ("env", "host", "check", "check.interval", "80.weight"):
        labels = {f"wharfinger.{label}": "1"}
        (found,) = read(Container(id="a" * 64, labels=labels, network_mode="host"))
        assert isinstance(found, Refused)
        assert "no app" in found.why
        assert "wharfinger." in found.why


def test_the_network_of_another_container() -> None:
    sharing = container(network_mode="container:" + "b" * 64)
    (found,) = read(sharing)
    assert isinstance(found, Refused)
    assert "of which nothing is known" in found.why
    other = Container(id="b" * 64, name="net", network_mode="bridge", published_ports=TWO[:1])
    assert network_of(sharing, [container(), other]) is other
    assert network_of(container(network_mode="container:net"), [other]) is other
    assert network_of(container(network_mode="container:gone"), [other]) is None
    assert network_of(container(), [other]) is None
    (found,) = read(sharing, network=other)
    assert isinstance(found, Wanted)
    assert (found.port, found.check.kind) == (31_000, CheckKind.NONE)
    on_host = Container(id="b" * 64, network_mode="host")
    assert read(sharing, network=on_host) == (Wanted(SHOP),)
    chained = Container(id="b" * 64, network_mode="container:" + "c" * 64)
    (found,) = read(sharing, network=chained)
    assert isinstance(found, Refused)


def test_registrators_attributes_and_checks_are_not_of_those_that_we_name() -> None:
    found = wanted(env={"SERVICE_KEY": "secret", "SERVICE_CHECK_HTTP": "/", "SERVICE_TAGS": "a"})
    assert found == Wanted(SHOP, tags=("a",))


@pytest.mark.parametrize(
    "labels",
    [
        {f"wharfinger.check.{number}": "1" for number in range(33)},
        {"wharfinger.check.body": "x" * 2_000},
        {f"wharfinger.{number}": "1" for number in range(10_000)},
        {f"wharfinger.{number}.app": "shop" for number in range(1, 66)},
        {f"wharfinger.{number}.app": "shop" for number in range(1, 10_000)},
    ],
)
def test_more_than_makes_sense_is_refused_as_a_whole(labels: dict[str, str]) -> None:
    assert len(refusal(labels)) < 500


def test_docker_health_needs_a_healthcheck() -> None:
    labels = {"wharfinger.check": "docker"}
    assert wanted(labels, health="starting").check.kind is CheckKind.DOCKER
    assert "no HEALTHCHECK" in refusal(labels)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("shop:1.2", "1.2"),
        ("registry:5000/shop", ""),
        ("registry:5000/shop:7", "7"),
        ("repo@sha256:" + "0" * 64, "0" * 64),
        ("shop", ""),
        ("shop:$(id)", ""),
    ],
)
def test_the_version_is_the_images_tag(image: str, version: str) -> None:
    assert wanted(image=image).version == version


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("wharfinger.app", "a/b"),
        ("wharfinger.env", "prod\n"),
        ("wharfinger.port", "0"),
        ("wharfinger.port", "65536"),
        ("wharfinger.port", "80;"),
        ("wharfinger.port", "٨٠"),
        ("wharfinger.port", "9" * 5_000),
        ("wharfinger.port.pool", "20000"),
        ("wharfinger.port.pool", "20001-20000"),
        ("wharfinger.port.pool", "0-10"),
        ("wharfinger.port.pool", "20000-99999"),
        ("wharfinger.port.pool", "20000-20001\n"),
        ("wharfinger.ip", "10.0.0.1;"),
        ("wharfinger.ip", "0.0.0.0"),
        ("wharfinger.ip", "fe80::1%eth0"),
        ("wharfinger.ip", "224.0.0.1"),
        ("wharfinger.weight", "1001"),
        ("wharfinger.weight", "-1"),
        ("wharfinger.weight", "1.5"),
        ("wharfinger.drain", "forever"),
        ("wharfinger.drain", "3601"),
        ("wharfinger.host", "shop.example; return 200"),
        ("wharfinger.host", "a b"),
        ("wharfinger.host", "a..b"),
        ("wharfinger.host", "\u212aelvin.example"),
        ("wharfinger.path", "/a/../b"),
        ("wharfinger.host", "x" * 300),
        ("wharfinger.path", "cart"),
        ("wharfinger.path", "/$uri"),
        ("wharfinger.path", "/{"),
        ("wharfinger.path", "/a\nb"),
        ("wharfinger.tags", "good,b;d"),
        ("wharfinger.tags", ",".join(map(str, range(65)))),
        ("wharfinger.tags", "a," * 20_000),
        ("wharfinger.check", "exec:/bin/sh"),
        ("wharfinger.deregister", "sometimes"),
    ],
)
def test_a_bad_value_is_refused_and_named(label: str, text: str) -> None:
    why = refusal({label: text})
    assert label.removeprefix("wharfinger.").rstrip("s") in why
    assert len(why) < 500
    assert why.isprintable()


@given(
    label=st.sampled_from(["app", "env", "port", "ip", "weight", "drain", "host", "path", "tags"]),
    text=st.text(max_size=40),
)
def test_nothing_that_ends_a_directive_or_a_key_gets_through(label: str, text: str) -> None:
    (found,) = read(container({f"wharfinger.{label}": text}))
    if isinstance(found, Wanted):
        texts = [found.service.name, found.http_host, found.http_path, *found.tags]
        assert not set("".join(texts)) & set(" ;{}$\"'\\\n\r\t#<>|&`")
