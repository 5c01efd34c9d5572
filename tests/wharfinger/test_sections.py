"""The shared sections: defaults that work, and what they refuse."""

from pathlib import Path

import msgspec
import pytest

from wharfinger.config import load
from wharfinger.errors import ConfigError
from wharfinger.schema import Section
from wharfinger.sections import DockerConfig, EtcdConfig, HostConfig, LogConfig


class Whole(Section, frozen=True, kw_only=True):
    host: HostConfig = HostConfig()
    etcd: EtcdConfig = EtcdConfig()
    docker: DockerConfig = DockerConfig()
    log: LogConfig = LogConfig()


def findings(tmp_path: Path, text: str) -> str:
    path = tmp_path / "w.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(Whole, path=path, environment={})
    return str(refused.value)


def test_every_field_is_described_and_has_a_default_that_holds() -> None:
    assert load(Whole, environment={}).value == Whole()
    for section in (HostConfig, EtcdConfig, DockerConfig, LogConfig):
        assert list(section().problems()) == []
        for info in msgspec.structs.fields(section):
            assert info.default is not msgspec.NODEFAULT, info.name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[host]\nname = "a/b"', "host.name"),
        ('[host]\nname = ""', "host.name"),
        ('[host]\nname = "\uff41"', "host.name"),
        (f'[host]\nname = "{"a" * 129}"', "host.name"),
        ('[host]\nip = "10.0.0.1/8"', "'10.0.0.1/8' is no IP address"),
        ('[host]\nip = "2001:DB8::1"', "is written 2001:db8::1"),
        ('[host]\nip = "fe80::1%eth0"', "a zone means something on this host only"),
        ('[host]\ncidr = "10.0.0.1/8"', "is no network"),
        ('[host]\nip = "10.0.0.1"\ninterface = "eth0"', "keep one of them"),
        ("[etcd]\nendpoints = []", "etcd.endpoints"),
        ('[etcd]\nendpoints = ["http://a:2379"]', "without a scheme"),
        ('[etcd]\nendpoints = ["a:99999"]', "is not HOST:PORT"),
        ('[etcd]\nendpoints = ["a:\uff11"]', "is not HOST:PORT"),
        ('[etcd]\nprefix = "site"', "is no key prefix"),
        ('[etcd]\nprefix = "/site/"', "is no key prefix"),
        ('[etcd]\nprefix = "/a b"', "is no key prefix"),
        ('[etcd]\nusername = "u"', "go together"),
        ('[etcd]\ncert_file = "/c"\nca_file = "/ca"', "go together"),
        ('[etcd]\ncert_file = "/c"\nkey_file = "/k"', "needs ca_file"),
        ('[docker]\nurl = "/var/run/docker.sock"', "is no address"),
        ('[docker]\nurl = "unix://relative"', "is no address"),
        ('[docker]\nurl = "tcp://host"', "is no address"),
        ('[log]\nlevel = "loud"', "'loud' is none of debug, info, warning, error"),
        ('[log]\nformat = "xml"', "'xml' is none of logfmt, json"),
    ],
)
def test_refused(tmp_path: Path, text: str, told: str) -> None:
    assert told in findings(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        '[host]\nip = "127.0.0.1"\nname = "web-1.example.com"',
        '[host]\nip = "2001:db8::1"',
        '[host]\ncidr = "10.0.0.0/8"',
        '[etcd]\nendpoints = ["a:1", "[::1]:2379", "etcd_1:2379"]\nprefix = "/site/a"',
        '[etcd]\nusername = "u"\npassword_file = "/p"',
        '[etcd]\nca_file = "/ca"\ncert_file = "/c"\nkey_file = "/k"',
        '[docker]\nurl = "tcp://127.0.0.1:2375"',
    ],
)
def test_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.toml"
    path.write_text(text)
    load(Whole, path=path, environment={})
