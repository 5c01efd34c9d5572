"""Whatever stands in etcd, in whatever order it came: the tree is right and the file is sound."""

import ipaddress
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery.builtin.config import NginxConfig
from discovery.builtin.nginxfile import Site
from discovery.memory import Memory
from discovery.model import Snapshot
from discovery.resources.render import compile_template, render
from discovery.resources.resources import BUILTIN_TEMPLATE, Resource
from discovery.services.tree import Tree
from wharfinger import kv
from wharfinger.errors import Rejected
from wharfinger.operator.parts.nginx import NginxServer

# What would end a directive, a block, a string, a line, a Lua call, or a template's expression.
EVIL = (
    "1.2.3.4:80; } evil {", '"', "'", "\\", "$host", "{{ x }}", "{% raw %}", "\n}", "#", "]]", "\0",
    "10.0.0.1:80 weight=0", "localhost:80", "[::1]:80", "1.2.3.4:99999", "٣.1.1.1:80", "\udc80",
    "../../etc/passwd", "*", "~^(.*)$", "a" * 300,
)  # fmt: skip
NAMES = ("shop_prod", "Shop_prod", "a.b-c_d_x", "_prod", "shop", "evil;_prod", "db", "x_{}")
ADDRESSES = ("10.0.0.1:80", "10.0.0.2:8080", "[2001:db8::1]:443", "[::ffff:1.2.3.4]:1")
FIELDS = (
    "id", "name", "image", "version", "host", "http_host", "http_path", "protocol", "state",
    "weight", "tags", "attributes", "unknown",
)  # fmt: skip

evil = st.sampled_from(EVIL) | st.text(max_size=12)
child = (
    st.sampled_from([f"{host}-{port}" for host, _, port in (a.rpartition(":") for a in ADDRESSES)])
    | st.builds("10.0.0.{}-{}".format, st.integers(0, 300), st.integers(-1, 70_000))
    | evil
)
sound = {
    "http_host": st.sampled_from(["shop.test", "*.shop.test", "b.test"]),
    "http_path": st.sampled_from(["/", "/api", "/a/b/"]),
    "weight": st.integers(0, 5),
    "tags": st.lists(st.sampled_from(["blue", "backup", "sticky", "grpc", "balance=ip_hash"])),
    "state": st.sampled_from(["up", "draining"]),
}
told = st.fixed_dictionaries({}, optional=sound) | st.dictionaries(
    st.sampled_from(FIELDS),
    evil | st.integers() | st.floats() | st.none() | st.lists(evil, max_size=3),
    max_size=5,
)
key = (
    st.builds("/{}/{}".format, st.sampled_from(NAMES), child)
    | st.builds("/wharfinger/instances/{}/{}".format, st.sampled_from(NAMES), child)
    | st.builds("{}{}".format, st.sampled_from(["/", "", "//", "/app/db/", "/wharfinger/"]), evil)
)
value = (
    st.sampled_from(ADDRESSES).map(str.encode)
    | told.map(lambda fields: json.dumps(fields).encode())
    | evil.map(lambda text: text.encode(errors="surrogateescape"))
    | st.binary(max_size=20)
)


def registered(address: str, name: str, fields: dict[str, object]) -> dict[str, bytes | None]:
    host, _, port = address.rpartition(":")
    at = f"{name}/{host}-{port}"
    described = json.dumps(fields).encode()
    return {f"/{at}": address.encode(), f"/wharfinger/instances/{at}": described}


# What one transaction writes or, with None, deletes: as a registrar would, or as anybody.
written = st.builds(
    registered, st.sampled_from(ADDRESSES), st.sampled_from(NAMES[:3]), told
) | st.dictionaries(key, st.none() | value, min_size=1, max_size=3)


class Store:
    """What etcd holds, and would say of it."""

    def __init__(self) -> None:
        self.revision = 1
        self.items: dict[str, kv.KeyValue] = {}

    def listed(self) -> kv.Listed:
        return kv.Listed(kv.Snapshot(self.revision, dict(self.items)))

    def write(self, wanted: dict[str, bytes | None], lease: int) -> kv.Changed:
        self.revision += 1
        events = []
        for name, content in wanted.items():
            before = self.items.pop(name, None)
            if content is not None:
                created = before.create_revision if before else self.revision
                entry = kv.KeyValue(name, content, created, self.revision, 1, lease)
                self.items[name] = entry
                events.append(kv.Event(name, self.revision, entry))
            elif before is not None:
                events.append(kv.Event(name, self.revision, None))
        return kv.Changed(self.revision, tuple(events))


def seen_at_once(store: Store) -> Snapshot:
    tree = Tree()
    tree.hear(store.listed())
    return tree.snapshot()


def require_sound(snapshot: Snapshot, store: Store) -> None:
    for service in snapshot.services:
        assert re.fullmatch(r"[A-Za-z0-9._-]+_[A-Za-z0-9.-]+", service.name, re.ASCII)
        for one in service.instances:
            ipaddress.ip_address(one.ip)
            assert 0 < one.port < 65_536
            assert store.items[f"/{service.name}/{one.key}"].value == one.address.encode()
    names = [service.name.lower() for service in snapshot.services]
    assert len(names) == len(set(names))


steps = st.lists(
    st.tuples(written, st.sampled_from([0, 7, 8]), st.sampled_from(["hear", "miss", "wipe"])),
    max_size=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_the_order_in_which_it_came_makes_no_difference(
    steps: list[tuple[dict[str, bytes | None], int, str]],
) -> None:
    tree, store = Tree(), Store()
    tree.hear(store.listed())
    for wanted, lease, how in steps:
        before = tree.snapshot()
        if how == "wipe":
            store = Store()
        changed = store.write(wanted, lease)
        heard = tree.hear(changed if how == "hear" else store.listed())
        after = tree.snapshot()
        fresh = seen_at_once(store)
        assert (after.services, after.values, after.raw, after.rejected) == (
            fresh.services, fresh.values, fresh.raw, fresh.rejected,
        )  # fmt: skip
        require_sound(after, store)
        served = {(s.name, i.key) for s in before.services for i in s.instances}
        for one in heard.lost:
            assert one.key.address not in store.items
            assert how == "wipe" or (one.key.service.name, one.instance.key) in served


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(written, min_size=1, max_size=8))
def test_what_is_written_down_is_read_again(
    tmp_path: Path, writes: list[dict[str, bytes | None]]
) -> None:
    tree, store = Tree(), Store()
    for wanted in writes:
        tree.hear(store.write(wanted, 7))
    Memory(tmp_path).keep(tree.instances())
    again = Tree()
    again.hear(kv.Listed(Memory(tmp_path).instances()))
    assert again.snapshot().services == tree.snapshot().services


@pytest.mark.real
@pytest.mark.parametrize("push", [False, True])
def test_nginx_takes_the_file(tmp_path: Path, push: bool) -> None:
    nginx = NginxServer(tmp_path / "nginx", lua=push)
    nginx._write_config()
    config = NginxConfig(listen=nginx.port)
    resource = Resource("nginx", BUILTIN_TEMPLATE, nginx.include, nginx=config)
    template = compile_template(BUILTIN_TEMPLATE)
    site = Site(push=push, **({"socket": tmp_path / "s"} if push else {}))  # type: ignore[arg-type]
    seen = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(written, min_size=1, max_size=8))
    def taken(writes: list[dict[str, bytes | None]]) -> None:
        nonlocal seen
        store = Store()
        for wanted in writes:
            store.write(wanted, 0)
        snapshot = seen_at_once(store)
        try:
            content = render(resource, template, snapshot, site).content
        except Rejected as error:
            raise AssertionError(error) from error
        seen += bool(snapshot.services)
        assert b"evil" not in content
        nginx.include.write_bytes(content)
        done: Any = subprocess.run(
            [*nginx.process.command, "-t"], capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode() + content.decode()

    taken()
    assert seen > 10, "most of it was no service at all"
