"""Coming from registrator: each of its options and spellings, with what it makes of a container."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registrar.checks.model import Check, CheckKind
from registrar.labels.asks import MAX_INSTANCES, read
from registrar.labels.registrator import parse
from registrar.model import Refused, Wanted, Ways
from wharfinger.container import Container, ExposedPort, PublishedPort
from wharfinger.keys import Endpoint, InstanceKey
from wharfinger.metadata import Metadata, attribute, encode
from wharfinger.metadata import parse as parse_metadata

PROD = Ways(default_env="prod")
ALL = Ways(explicit=False, default_env="prod")
WEB = (PublishedPort(80, 8_000, "0.0.0.0"), PublishedPort(443, 4_443, "0.0.0.0"))
EXPOSED = (ExposedPort(80), ExposedPort(443), ExposedPort(9_000))


def nginx(
    said: dict[str, str] | None = None, labels: dict[str, str] | None = None, **fields: Any
) -> Container:
    described = {
        "image": "progrium/nginx:1.2", "name": "nginx.0", "network_mode": "bridge",
        "published_ports": WEB, "exposed_ports": EXPOSED, "ip_addresses": ("172.17.0.5",),
    }  # fmt: skip
    return Container(id="a" * 64, env=said or {}, labels=labels or {}, **(described | fields))


def shown(container: Container, ways: Ways = PROD, network: Container | None = None) -> list[str]:
    """Each instance as `APP_ENV IP:PORT TAGS ATTRIBUTES`, each refusal as `!`."""
    lines = []
    for each in read(container, ways, network=network):
        if isinstance(each, Refused):
            lines.append(f"! {each.why}")
            continue
        attributes = [f"{name}={text}" for name, text in each.attributes]
        at = f"{each.ip or 'host'}:{each.port or 'assigned'}"
        lines.append(" ".join([each.service.name, at, *each.tags, *attributes]))
    return sorted(lines)


def pairs(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.split())


def case(
    *expected: str, env: str = "", labels: str = "", ways: Ways = PROD, **fields: Any
) -> tuple[Container, Ways, list[str]]:
    return nginx(pairs(env), pairs(labels), **fields), ways, sorted(expected)


def publish(*ports: PublishedPort) -> dict[str, Any]:
    return {
        "published_ports": ports,
        "exposed_ports": tuple({ExposedPort(p.container_port, p.protocol) for p in ports}),
    }


def on_host(*ports: ExposedPort) -> dict[str, Any]:
    return {
        "network_mode": "host", "published_ports": (), "ip_addresses": (), "exposed_ports": ports,
    }  # fmt: skip


REDIS = publish(PublishedPort(6_379, 10_000))
DNS = publish(PublishedPort(53, 53), PublishedPort(53, 53, "", "udp"))
UDP = publish(PublishedPort(53, 53, "", "udp"))
INTERNAL = Ways(internal=True, default_env="prod")
FROM_LABEL = Ways(ip_label="ip", default_env="prod")
TAGS = Ways(tags=("rack1", "a"), default_env="prod")
ONCE, BOTH = PublishedPort(80, 1), PublishedPort(80, 2)
V4, V6 = PublishedPort(80, 1, "0.0.0.0"), PublishedPort(80, 1, "::")
ONE_ADDRESS = PublishedPort(80, 1, "10.0.0.9")

NOWHERE = {"labels": {"wharfinger.port": "internal"}, "ip_addresses": ()}

EXAMPLES = [
    # docs/user/services.md, "Single service with defaults" and the examples that follow
    case("redis_prod host:10000", ways=ALL, image="progrium/redis", **REDIS),
    case(
        "db_prod host:10000 master backups region=us2",
        env="SERVICE_NAME=db SERVICE_TAGS=master,backups SERVICE_REGION=us2", **REDIS,
    ),
    case(
        "db_prod host:10000 master backups region=us2",
        labels="SERVICE_NAME=db SERVICE_TAGS=master,backups SERVICE_REGION=us2", **REDIS,
    ),
    case("nginx-443_prod host:4443", "nginx-80_prod host:8000", ways=ALL),
    case(
        "http_prod host:8000 www", "https_prod host:4443 www id=https.12345 sni=enabled",
        env="SERVICE_443_NAME=https SERVICE_443_ID=https.12345 SERVICE_443_SNI=enabled "
        "SERVICE_80_NAME=http SERVICE_TAGS=www",
    ),
    case(
        "db_prod host:10000 /(,:-_)/ b",
        env=r"SERVICE_NAME=db SERVICE_TAGS=/(\,:-_)/,b", **REDIS,
    ),
]  # fmt: skip

NAMES = [
    case("web-443_prod host:4443", "web-80_prod host:8000", env="SERVICE_NAME=web"),
    case(
        "http_prod host:8000", "web-443_prod host:4443",
        env="SERVICE_NAME=web SERVICE_80_NAME=http",
    ),
    case("http_prod host:8000", env="SERVICE_80_NAME=http"),
    case("http_prod host:8000", "nginx-443_prod host:4443", env="SERVICE_80_NAME=http", ways=ALL),
    # A label goes before a variable, what is said of the port before both; empty is nothing.
    case("b_prod host:10000", env="SERVICE_NAME=a", labels="SERVICE_NAME=b", **REDIS),
    case("a_prod host:10000", env="SERVICE_6379_NAME=a", labels="SERVICE_NAME=b", **REDIS),
    case("b_prod host:10000", env="SERVICE_6379_NAME=a", labels="SERVICE_6379_NAME=b", **REDIS),
    case("a_prod host:10000", env="SERVICE_NAME=a", labels="SERVICE_NAME=", **REDIS),
    case("a_prod host:10000", env="SERVICE_06379_NAME=b SERVICE_NAME=a", **REDIS),
    # SERVICE_IGNORE, with any text
    case(env="SERVICE_NAME=web SERVICE_IGNORE=false"),
    case("web-443_prod host:4443", env="SERVICE_NAME=web SERVICE_80_IGNORE=no"),
    case(env="SERVICE_80_IGNORE=1 SERVICE_443_IGNORE=1", ways=ALL),
    case("web-443_prod host:4443", env="SERVICE_NAME=web", labels="wharfinger.80.ignore=1"),
    # the environment
    case("db_t host:10000", env="SERVICE_NAME=db SERVICE_ENV=t", **REDIS),
    case("db_t host:10000", env="SERVICE_NAME=db SERVICE_ENVIRONMENT=t", **REDIS),
    case("db_t host:10000", env="SERVICE_NAME=db ENVIRONMENT=t", **REDIS),
    case("db_t host:10000", env="SERVICE_NAME=db SERVICE_6379_ENV=t ENVIRONMENT=u", **REDIS),
    case("db_t host:10000", labels="SERVICE_NAME=db SERVICE_ENV=u wharfinger.env=t", **REDIS),
    case(
        "web-443_t host:4443", "web-80_qa host:8000",
        env="SERVICE_NAME=web SERVICE_ENV=t SERVICE_80_ENVIRONMENT=qa",
    ),
    # our labels beside registrator's names
    case(
        "web-443_prod host:4443 y", "web-80_prod host:8000 x",
        env="SERVICE_NAME=web", labels="wharfinger.80.tags=x wharfinger.tags=y",
    ),
    case(
        "shop_prod host:8000",
        env="SERVICE_80_NAME=http", labels="wharfinger.app=shop wharfinger.port=80",
    ),
]  # fmt: skip

OPTIONS = [
    # -explicit; without it, too, no container is assigned a port unless it names itself
    case(),
    case(ways=ALL, **on_host()),
    case(ways=ALL, published_ports=()),
    case("nginx_prod host:80", ways=ALL, **on_host(ExposedPort(80))),
    case("edge_prod host:10000", ways=ALL, labels="com.docker.compose.service=edge", **REDIS),
    case(
        "web_prod host:10000", ways=ALL, **REDIS,
        labels="com.docker.swarm.service.name=s_web com.docker.stack.namespace=s",
    ),
    case("redis_prod host:10000", ways=ALL, image="hub:5000/a/redis@sha256:00", **REDIS),
    # -internal
    case(
        "web-443_prod 172.17.0.5:443", "web-80_prod 172.17.0.5:80", "web-9000_prod 172.17.0.5:9000",
        env="SERVICE_NAME=web", ways=INTERNAL,
    ),
    case(
        "web_prod 172.17.0.5:80", env="SERVICE_NAME=web", labels="wharfinger.port=internal",
        exposed_ports=EXPOSED[:1], published_ports=(),
    ),
    case("web_prod host:4443", env="SERVICE_NAME=web", labels="wharfinger.port=443"),
    # -useIpFromLabel
    case("db_prod 10.1.2.3:10000", env="SERVICE_NAME=db", labels="ip=10.1.2.3/24",
         ways=FROM_LABEL, **REDIS),
    case("db_prod host:10000", env="SERVICE_NAME=db", ways=FROM_LABEL, **REDIS),
    # -tags
    case("db_prod host:10000 b rack1 a", env="SERVICE_NAME=db SERVICE_TAGS=b", ways=TAGS, **REDIS),
]  # fmt: skip

PORTS = [
    # the host's network: what is exposed; with nothing exposed one is assigned
    case(
        "web-443_prod host:443", "web-80_prod host:80", "web-9000_prod host:9000",
        env="SERVICE_NAME=web", **on_host(*EXPOSED),
    ),
    case("web_prod host:80", env="SERVICE_NAME=web PORT=7", **on_host(ExposedPort(80))),
    case("web_prod host:assigned", env="SERVICE_NAME=web", **on_host()),
    case("web_prod host:7", env="SERVICE_NAME=web PORT=7", **on_host()),
    case("web_prod host:assigned", env="APP_NAME=web", **on_host(*EXPOSED)),
    # udp; a key has no protocol, so that tcp and udp of one number are one instance
    case("dns_prod host:53 udp", env="SERVICE_NAME=dns", **UDP),
    case("dns-53_prod host:53 udp", env="SERVICE_NAME=dns", **DNS),
    case("dns_prod host:53 udp", env="SERVICE_53_NAME=dns", **DNS),
    # published on one address, twice, and on both families
    case("db_prod 10.0.0.9:1", env="SERVICE_NAME=db", **publish(ONE_ADDRESS)),
    case("db_prod host:1", "db_prod host:2", env="SERVICE_NAME=db", **publish(ONCE, BOTH)),
    case("db_prod host:1", env="SERVICE_NAME=db", **publish(V4, V6)),
]  # fmt: skip


@pytest.mark.parametrize(("container", "ways", "expected"), [*EXAMPLES, *NAMES, *OPTIONS, *PORTS])
def test_what_registrator_would_register(
    container: Container, ways: Ways, expected: list[str]
) -> None:
    assert shown(container, ways) == expected


@pytest.mark.parametrize(
    ("env", "fields", "why"),
    [
        ("SERVICE_NAME=web", publish(), "publishes no port"),
        ("SERVICE_81_NAME=web", {}, "names none of its ports 80, 443"),
        ("SERVICE_81_NAME=web", publish(), "publishes no port"),
        ("SERVICE_81_NAME=web", on_host(), "names port 81, but has no such port"),
        ("SERVICE_NAME=a/b", REDIS, "app 'a/b'"),
        ("SERVICE_NAME=web SERVICE_TAGS=a;b", REDIS, "SERVICE_TAGS: the tag 'a;b'"),
        ("SERVICE_NAME=web", NOWHERE, "has no address"),
    ],
)  # fmt: skip
def test_what_names_itself_and_cannot_be_registered_is_told_why(
    env: str, fields: dict[str, Any], why: str
) -> None:
    (line,) = shown(nginx(pairs(env), **fields))
    assert line.startswith("! ")
    assert why in line


def test_tcp_and_udp_of_one_number_are_served_as_tcp() -> None:
    (found,) = read(nginx({"SERVICE_NAME": "dns"}, **DNS), PROD)
    assert isinstance(found, Wanted)
    assert (found.protocol, found.tags) == ("tcp", ("udp",))


def test_without_an_environment_the_reason_names_both_ways_out() -> None:
    (line,) = shown(nginx({"SERVICE_NAME": "db"}, **REDIS), Ways())
    assert "wharfinger.env" in line
    assert "default_env" in line


def test_one_bad_port_is_refused_alone() -> None:
    said = {"SERVICE_80_NAME": "a/b", "SERVICE_443_NAME": "https"}
    first, second = shown(nginx(said))
    assert first.startswith("! port 80: app 'a/b'")
    assert second == "https_prod host:4443"
    bound = (PublishedPort(80, 1, "127.0.0.1"), PublishedPort(443, 2))
    first, second = shown(nginx({"SERVICE_NAME": "web"}, published_ports=bound))
    assert "port 80: is published on 127.0.0.1 only" in first
    assert second == "web-443_prod host:2"


def test_the_network_of_another_container() -> None:
    said = {"SERVICE_NAME": "web"}
    sharing = nginx(
        said, network_mode="container:net", published_ports=(), ip_addresses=(),
        exposed_ports=EXPOSED[:2],
    )  # fmt: skip
    assert "of which nothing is known" in shown(sharing)[0]
    published = (*WEB[:1], PublishedPort(7_000, 7))
    other = Container(
        id="b" * 64, network_mode="bridge", published_ports=published, ip_addresses=("172.17.0.9",),
        env={"SERVICE_NAME": "never"}, exposed_ports=(ExposedPort(7_000),),
    )  # fmt: skip
    # What it publishes is reached there; what is only exposed at its address, as registrator does.
    assert shown(sharing, network=other) == ["web-443_prod 172.17.0.9:443", "web-80_prod host:8000"]
    host = Container(id="b" * 64, network_mode="host")
    assert shown(sharing, network=host) == ["web-443_prod host:443", "web-80_prod host:80"]


def test_checks_of_consul_are_read_as_they_are_spelled() -> None:
    said = {
        "SERVICE_NAME": "web", "SERVICE_80_NAME": "http", "SERVICE_80_CHECK_HTTP": "/health",
        "SERVICE_CHECK_INTERVAL": "15s", "SERVICE_80_CHECK_INTERVAL": "5s",
        "SERVICE_CHECK_HTTP_METHOD": "HEAD", "SERVICE_CHECK_": "odd",
    }  # fmt: skip
    http, https = read(nginx(said), PROD)
    assert isinstance(http, Wanted)
    assert isinstance(https, Wanted)
    assert http.check == Check(CheckKind.HTTP, path="/health", method="HEAD", interval_seconds=5)
    assert (https.check, http.attributes) == (Check(CheckKind.NONE), ())
    # Our words go before, and then all of them.
    (found,) = read(nginx(said, {"wharfinger.check.rise": "3", "wharfinger.port": "80"}), PROD)
    assert isinstance(found, Wanted)
    assert found.check == Check(CheckKind.TCP, rise=3)


def test_an_attribute_that_cannot_be_one_is_left_out_and_nothing_else() -> None:
    said = {
        "SERVICE_NAME": "db", "SERVICE_REGION": "eu", "SERVICE_KEY": "line\nline",
        "SERVICE_LONG": "x" * 300, "SERVICE_\u212aELVIN": "x", "SERVICE_A B": "x",
        "SERVICE_": "x", "SERVICE_NAMED": "\u00e9", "SERVICE_BROKEN": "\ud800",
    }  # fmt: skip
    said |= {f"SERVICE_Z{number}": "x" * 250 for number in range(40)}
    (found,) = read(nginx(said, **REDIS), PROD)
    assert isinstance(found, Wanted)
    assert found.attributes[:2] == (("named", "\u00e9"), ("region", "eu"))
    metadata = Metadata(attributes=dict(found.attributes))
    assert parse_metadata(encode(metadata)) == metadata


def test_too_many_ports_are_refused_as_one() -> None:
    ports = tuple(PublishedPort(number, number) for number in range(1, MAX_INSTANCES + 2))
    (line,) = shown(nginx({"SERVICE_NAME": "web"}, published_ports=ports))
    assert "65 instances; 64 are allowed" in line
    assert len(shown(nginx({"SERVICE_NAME": "web"}, published_ports=ports[1:]))) == MAX_INSTANCES
    # Those that are not meant do not count.
    every = tuple(PublishedPort(number, number) for number in range(1, 5_000))
    assert shown(nginx({"SERVICE_7_NAME": "one"}, published_ports=every)) == ["one_prod host:7"]


def test_ten_thousand_settings_are_refused_without_being_read_for_each_port() -> None:
    said = {f"SERVICE_{name}": "x" * 1_000 for name in range(10_000)}
    (line,) = shown(nginx({"SERVICE_NAME": "web"} | said))
    assert "settings" in line or "are allowed" in line
    assert shown(nginx(said)) == []


def test_names_and_ports_are_read_as_registrator_reads_them() -> None:
    spelled = parse(
        {"SERVICE_Name": "label", "SERVICE_80": "bare", "service_id": "no", "SERVICE_-5_X": "odd"},
        {
            "SERVICE_NAME": "env",
            "SERVICE_8_0_NAME": "x",
            "SERVICE_NAME_80": "y",
            "SERVICE_EMPTY": "",
        },
    )
    assert spelled.general == {"name": "label", "80": "bare", "name_80": "y"}
    assert spelled.by_port == {"-5": {"x": "odd"}, "8": {"0_name": "x"}}
    assert spelled.get("0_name", 8) == "x"
    assert spelled.get("name", 8) == "label"
    assert spelled.alone("name", 8) == ""


SOME_NAMES = st.sampled_from(["NAME", "TAGS", "IGNORE", "ENV", "ID", "REGION", "CHECK_HTTP", ""])
SOME_TEXT = st.text(max_size=12) | st.sampled_from(["web", "prod", "a,b", "80", "internal", "1"])
SOME_PORTS = st.sampled_from(["80_", "443_", "53_", "", "0_", "99999_"])
SPELLED = st.builds(lambda port, name: f"SERVICE_{port}{name}", SOME_PORTS, SOME_NAMES)
OURS = st.builds(
    lambda port, name: f"wharfinger.{port.replace('_', '.')}{name}",
    SOME_PORTS,
    st.sampled_from([
        *("app", "env", "port", "ip", "tags", "host", "path", "weight", "drain", "ignore"),
        *("check", "check.interval", "deregister", "nonsense"),
    ]),
)  # fmt: skip
FREE = st.text(alphabet=string.printable, max_size=20)
NUMBERS = st.sampled_from([53, 80, 443, 8_080])
PROTOCOLS = st.sampled_from(["tcp", "udp", "sctp"])
CONTAINERS = st.builds(
    Container,
    id=st.just("a" * 64),
    image=st.sampled_from(["nginx", "x/y:1", "", "a@sha256:0", "b d"]) | FREE,
    labels=st.dictionaries(
        SPELLED | OURS | FREE | st.sampled_from(["com.docker.compose.service", "ip"]),
        SOME_TEXT,
        max_size=8,
    ),
    env=st.dictionaries(
        SPELLED | st.sampled_from(["PORT", "APP_NAME", "ENVIRONMENT"]), SOME_TEXT, max_size=6
    ),
    network_mode=st.sampled_from(["host", "bridge", "none", "web", "container:x", ""]),
    exposed_ports=st.lists(st.builds(ExposedPort, NUMBERS, PROTOCOLS), max_size=4).map(tuple),
    published_ports=st.lists(
        st.builds(
            PublishedPort,
            NUMBERS,
            NUMBERS,
            st.sampled_from(["", "0.0.0.0", "::", "10.0.0.9", "127.0.0.1", "evil"]),
            PROTOCOLS,
        ),
        max_size=4,
    ).map(tuple),
    ip_addresses=st.sampled_from([(), ("172.17.0.5",), ("fd00::5",), ("evil",)]),
)
WAYS = st.builds(
    Ways,
    explicit=st.booleans(),
    internal=st.booleans(),
    default_env=st.sampled_from(["", "prod"]),
    ip_label=st.sampled_from(["", "ip"]),
    tags=st.sampled_from([(), ("rack1",)]),
)


@settings(max_examples=400)
@given(container=CONTAINERS, ways=WAYS, network=st.none() | CONTAINERS)
def test_whatever_is_said_each_answer_can_stand_in_etcd_and_no_two_at_one_key(
    container: Container, ways: Ways, network: Container | None
) -> None:
    asks = read(container, ways, network=network)
    assert asks == read(container, ways, network=network)
    places = []
    for each in asks:
        if isinstance(each, Refused):
            assert each.why.isprintable()
            assert each.why.isascii()
            assert len(each.why) < 600
            continue
        if each.port is not None:
            places.append((each.service, each.ip, each.port))
            assert InstanceKey(each.service, Endpoint(each.ip or "10.0.0.1", each.port))
        else:
            assert each.container_port is None
            assert network is not None or container.network_mode == "host"
        for name, text in each.attributes:
            attribute(name, text)
        metadata = Metadata(
            tags=each.tags, http_host=each.http_host, http_path=each.http_path,
            protocol=each.protocol, attributes=dict(each.attributes), weight=each.weight,
        )  # fmt: skip
        assert parse_metadata(encode(metadata)) == metadata
        if each.protocol != "tcp":
            assert each.check.kind is not CheckKind.TCP
    assert len(places) == len(set(places))
    assert len(asks) <= 2 * MAX_INSTANCES


@given(container=CONTAINERS)
def test_to_be_ignored_is_to_be_ignored(container: Container) -> None:
    labels = {**container.labels, "wharfinger.ignore": "1"}
    ignored = Container(id=container.id, labels=labels, env=container.env, network_mode="host")
    assert read(ignored, ALL) == ()
