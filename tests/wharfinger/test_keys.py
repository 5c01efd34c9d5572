"""The grammar of keys both ways: what is written reads back, and nothing else is read."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger.errors import Rejected
from wharfinger.keys import (
    HOSTS,
    INSTANCES,
    Endpoint,
    HostKey,
    InstanceKey,
    Service,
    host_key,
)

LETTERS = "ABYZabyz0189"
apps = st.text(f"{LETTERS}.-_", min_size=1, max_size=128).filter(lambda app: app.strip("."))
envs = st.text(f"{LETTERS}.-", min_size=1, max_size=128)
services = st.builds(Service, apps, envs)
addresses = (st.ip_addresses(v=4) | st.ip_addresses(v=6)).filter(
    lambda a: (
        not (
            a.is_unspecified
            or a.is_multicast
            or a == ipaddress.ip_address("255.255.255.255")
            or getattr(a, "ipv4_mapped", None)
        )
    )
)
endpoints = st.builds(lambda a, port: Endpoint(str(a), port), addresses, st.integers(1, 65535))
instances = st.builds(InstanceKey, services, endpoints)

HOSTILE_CHARACTERS = [
    "/", "\\", "\n", "\r", "\t", " ", ";", "{", "}", '"', "'", "$", "#", "%", "*", "?", ":",
    "\0", "\x1b", "\x7f", "\x85", "\u00a0", "\u2028", "\u202e", "\ufeff", "\udcff",
    "\u0430",  # Cyrillic a
    "\uff11",  # fullwidth 1
    "\u0661",  # Arabic 1
    "\u00b2",  # superscript 2
    "\u0130",  # I with a dot, whose lower case is two characters
    "e\u0301",
]  # fmt: skip


class TestBothWays:
    @given(services)
    def test_services(self, service: Service) -> None:
        assert Service.parse(service.name) == service
        assert service.prefix == f"/{service.name}/"
        assert service.name.count("/") == 0

    @given(endpoints)
    def test_endpoints(self, endpoint: Endpoint) -> None:
        assert Endpoint.parse(endpoint.value) == endpoint
        assert Endpoint.parse_key(endpoint.key) == endpoint

    @given(instances)
    def test_instances(self, instance: InstanceKey) -> None:
        assert InstanceKey.parse(instance.address) == instance
        assert InstanceKey.parse(instance.metadata) == instance
        # Our own tree is never taken for an application's, nor the other way round.
        assert not instance.address.startswith("/wharfinger/")
        assert instance.metadata.startswith(INSTANCES)

    @given(apps, apps)
    def test_hosts(self, host: str, daemon: str) -> None:
        key = HostKey(host, daemon)
        assert HostKey.parse(key.key) == key
        assert host_key(host, daemon) == key.key

    @given(st.text())
    def test_whatever_is_read_writes_itself_again(self, text: str) -> None:
        for read, written in (
            (Service.parse, lambda s: s.name),
            (Endpoint.parse, lambda e: e.value),
            (Endpoint.parse_key, lambda e: e.key),
            (HostKey.parse, lambda h: h.key),
        ):
            try:
                found = read(text)
            except Rejected:
                continue
            assert written(found) == text

    @given(st.sampled_from(["/", INSTANCES, ""]), st.text("ab_.-/[]:1", max_size=30))
    def test_whatever_instance_is_read_writes_one_of_its_two_keys(
        self, prefix: str, rest: str
    ) -> None:
        try:
            found = InstanceKey.parse(prefix + rest)
        except Rejected:
            return
        assert prefix + rest in {found.address, found.metadata}


def test_the_forms_that_users_see() -> None:
    key = InstanceKey(Service("my_shop", "prod"), Endpoint("10.0.0.1", 20000))
    assert key.address == "/my_shop_prod/10.0.0.1-20000"
    assert key.metadata == "/wharfinger/instances/my_shop_prod/10.0.0.1-20000"
    assert key.endpoint.value == "10.0.0.1:20000"
    six = Endpoint("2001:db8::1", 80)
    assert (six.value, six.key) == ("[2001:db8::1]:80", "[2001:db8::1]-80")
    assert host_key("web-1", "registrar") == "/wharfinger/hosts/web-1/registrar"


def test_the_last_underscore_divides() -> None:
    assert Service.parse("a_b_c") == Service("a_b", "c")
    assert Service.parse("__c") == Service("_", "c")


def test_an_app_called_like_our_own_tree_stays_outside_of_it() -> None:
    service = Service("wharfinger", "prod")
    assert service.prefix == "/wharfinger_prod/"
    for key in ("/wharfinger/instances", "/wharfinger/10.0.0.1-80", INSTANCES, HOSTS):
        with pytest.raises(Rejected):
            InstanceKey.parse(key)


@pytest.mark.parametrize("character", HOSTILE_CHARACTERS)
@pytest.mark.parametrize("place", ["{}ab", "a{}b", "ab{}", "{}"])
def test_hostile_characters_are_refused_everywhere(character: str, place: str) -> None:
    text = place.format(character)
    for make in (
        lambda: Service(text, "prod"),
        lambda: Service("app", text),
        lambda: Service.parse(f"{text}_prod"),
        lambda: Service.parse(f"app_{text}"),
        lambda: InstanceKey.parse(f"/app_{text}/10.0.0.1-80"),
        lambda: InstanceKey.parse(f"/app_prod/{text}10.0.0.1-80"),
        lambda: InstanceKey.parse(f"/app_prod/10.0.0.1-80{text}"),
        lambda: InstanceKey.parse(f"{INSTANCES}app_prod/10.0.0.1-80{text}"),
        lambda: host_key(text, "registrar"),
        lambda: host_key("web", text),
        lambda: HostKey.parse(f"{HOSTS}{text}/registrar"),
        lambda: HostKey.parse(f"{HOSTS}web/{text}"),
        lambda: Endpoint.parse(f"10.0.0.1:80{text}"),
        lambda: Endpoint.parse(f"{text}10.0.0.1:80"),
    ):
        with pytest.raises(Rejected) as refused:
            make()
        assert str(refused.value).isprintable()


@pytest.mark.parametrize("app", ["", ".", "..", "....", "a" * 129, "a" * 5000])
def test_apps_that_are_none(app: str) -> None:
    with pytest.raises(Rejected) as refused:
        Service(app, "prod")
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("env", ["", "a_b", "_", "a" * 129, "e" * 5000])
def test_envs_that_are_none(env: str) -> None:
    with pytest.raises(Rejected) as refused:
        Service("app", env)
    assert len(str(refused.value)) < 300


def test_the_longest_names_are_taken() -> None:
    assert Service.parse(Service("a" * 128, "e" * 128).name).env == "e" * 128


@pytest.mark.parametrize(
    "name", ["", "_", "app", "app_", "_prod", "/app_prod", "app_prod/", "a" * 5000]
)
def test_service_names_that_are_none(name: str) -> None:
    with pytest.raises(Rejected) as refused:
        Service.parse(name)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "ip",
    [
        "", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "0x1.2.3.4",
        "\uff11.2.3.4", "\u0661.2.3.4", "1.2.3.4/32", "16909060",
        "[::1]", "fe80::1%eth0", "fe80::1%", "::1%25lo", "2001:DB8::1", "2001:db8:0:0:0:0:0:1",
        "2001:db8::0001", "::ffff:1.2.3.4", "::ffff:102:304", ":::1", "1::2::3", "2001:db8::1\n",
        "0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1", "1" * 5000,
    ],
)  # fmt: skip
def test_addresses_that_are_none(ip: str) -> None:
    with pytest.raises(Rejected) as refused:
        Endpoint(ip, 80)
    assert len(str(refused.value)) < 300
    bracketed = f"[{ip}]" if ":" in ip else ip
    with pytest.raises(Rejected):
        Endpoint.parse(f"{bracketed}:80")
    with pytest.raises(Rejected):
        Endpoint.parse_key(f"{bracketed}-80")


@pytest.mark.parametrize("port", [0, -1, 65536, 2**40])
def test_numbers_that_are_no_port(port: int) -> None:
    with pytest.raises(Rejected):
        Endpoint("10.0.0.1", port)


@pytest.mark.parametrize(
    "port", ["", "0", "080", "00080", "65536", "99999", "100000", "+80", "-80", " 80", "80 ",
             "8_0", "0x50", "8e1", "\uff18\uff10", "\u0668\u0660", "9" * 5000],
)  # fmt: skip
def test_texts_that_are_no_port(port: str) -> None:
    for read, text in (
        (Endpoint.parse, f"10.0.0.1:{port}"),
        (Endpoint.parse, f"[2001:db8::1]:{port}"),
        (Endpoint.parse_key, f"10.0.0.1-{port}"),
    ):
        with pytest.raises(Rejected) as refused:
            read(text)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1-80", "[10.0.0.1]:80", "2001:db8::1:80",
     "[2001:db8::1:80", "2001:db8::1]:80", "[[2001:db8::1]]:80", "[]:80", "10.0.0.1:80:81",
     "10.0.0.1:80,10.0.0.2:80", "10.0.0.1:80; }", "unix:/run/x", "http://10.0.0.1:80"],
)  # fmt: skip
def test_values_that_are_no_endpoint(text: str) -> None:
    with pytest.raises(Rejected):
        Endpoint.parse(text)


@pytest.mark.parametrize(
    "key",
    ["", "/", "//", "/app_prod", "/app_prod/", "app_prod/10.0.0.1-80", "//app_prod/10.0.0.1-80",
     "/app_prod//10.0.0.1-80", "/app_prod/10.0.0.1-80/", "/app_prod/10.0.0.1-80/x",
     "/app_prod/10.0.0.1:80", "/app/10.0.0.1-80", "/./10.0.0.1-80", "/../10.0.0.1-80",
     "/wharfinger/instances/app_prod", "/wharfinger/instances//wharfinger/instances/a_b/1.1.1.1-1",
     "/wharfinger/hosts/a_b/10.0.0.1-80", "/myapp/database/url", "/" + "a" * 5000],
)  # fmt: skip
def test_keys_that_are_no_instance(key: str) -> None:
    with pytest.raises(Rejected) as refused:
        InstanceKey.parse(key)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "key", [HOSTS, f"{HOSTS}web", f"{HOSTS}web/", f"{HOSTS}/x", f"{HOSTS}a/b/c", f"{HOSTS}../x",
            f"{HOSTS}web/..", "/wharfinger/instances/a/b", "web/registrar"],
)  # fmt: skip
def test_keys_that_are_no_hosts(key: str) -> None:
    with pytest.raises(Rejected):
        HostKey.parse(key)
