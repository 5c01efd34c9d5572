"""Who passes over what is out of its sight has the file that rendering anew would give."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discovery import guard
from discovery.model import Instance, Service, Snapshot
from discovery.resources.render import Template, compile_template, render
from discovery.resources.resources import Resource
from discovery.resources.views import Rendered
from discovery.services.difference import Difference, Differences, Sight
from discovery.services.tree import Tree
from wharfinger import kv
from wharfinger.errors import Rejected

NAMES = ("shop_prod", "Shop_prod", "blog_prod", "own", "x_")
CHILDREN = ("10.0.0.1-80", "10.0.0.2-80", "[::1]-80", "database", "10.0.0.1-x")
KEYS = (
    *(f"{below}/{name}/{child}" for below in ("", "/wharfinger/instances") for name in NAMES
      for child in CHILDREN),
    "/deep/er/key", "/deep/er", "/top", "/shop_prod", "/shop_prod/a/b",
)  # fmt: skip
VALUES = (
    b"10.0.0.1:80", b"10.0.0.2:80", b"[::1]:80", b"\xff", b'{"http_host": "a.test"}',
    b'{"weight": 0}',
)  # fmt: skip
TEMPLATES = {
    "values.tmpl": '{{range gets "/*/*"}}{{.Key}}={{.Value}} {{end}}{{gets "/*"}}',
    "lists.tmpl": '{{range ls "/"}}{{.}}({{range lsdir (print "/" .)}}{{.}}{{end}}) {{end}}',
    "one.tmpl": '{{getv "/shop_prod/10.0.0.1-80"}}',
    "all.j2": "{% for s in services %}{{ s.name }}{{ s.instances }}{{ s.routes }}{% endfor %}",
    "named.j2": '{% for i in instances("shop_prod") %}{{ i.address }} {{ i.weight }}{% endfor %}',
    "chosen.j2": '{% for one in ls("/") %}{{ instances(one) }}{% endfor %}',
    "including.j2": '{% include "all.j2" %}',
    "lazy.j2": '{% if exists("/top") %}{% include "all.j2" %}{% endif %}',
    "importing.j2": '{% from "macro.j2" import told with context %}{{ told() }}',
    "macro.j2": "{% macro told() %}{{ services }}{% endmacro %}",
}  # fmt: skip
SIGHTS = (
    {"keys": ("/",)},
    {"keys": ("/shop_prod",)},
    {"keys": ("/shop_prod/10.0.0.1-80", "/deep")},
    {"keys": ("/er",), "prefix": "/deep"},
    {"keys": ("/",), "prefix": "/own"},
    {"keys": ("/shop_prod", "/wharfinger/instances/shop_prod"), "raw": True},
    {"keys": ("/shop_prod",), "min_instances": 2},
)

steps = st.lists(
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from((None, *VALUES))), max_size=3),
    max_size=10,
)


@dataclass(slots=True)
class Kept:
    """A resource that passes over what is out of its sight."""

    resource: Resource
    template: Template
    seen: Snapshot | None = None
    rendered: Rendered | str = ""

    def take(self, snapshot: Snapshot) -> bool:
        """Whether it had to be rendered."""
        before = self.seen
        if before is not None and isinstance(self.rendered, Rendered):
            sight = self.rendered.sight
            assert sight is not None
            if not sight.meets(Difference(before, snapshot)):
                self.seen = snapshot
                return False
        self.seen, self.rendered = snapshot, rendered(self.resource, self.template, snapshot)
        return True


def rendered(resource: Resource, template: Template, snapshot: Snapshot) -> Rendered | str:
    try:
        return render(resource, template, snapshot)
    except Rejected as error:
        return str(error)


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    folder = tmp_path_factory.mktemp("templates")
    for name, text in TEMPLATES.items():
        (folder / name).write_text(text)
    return [
        Resource(name, folder / name, folder / "dest", **sight)  # type: ignore[arg-type]
        for name in TEMPLATES
        if name != "macro.j2"
        for sight in SIGHTS
    ]


def told(updates: list[list[tuple[str, bytes | None]]]) -> Iterator[Snapshot]:
    """What is served after each; with services that are remembered."""
    tree, known = Tree(), dict[str, guard.Known]()
    tree.hear(kv.Listed(kv.Snapshot(1, {})))
    for revision, update in enumerate(updates, 2):
        events = [
            kv.Event(
                key,
                revision,
                None if value is None else kv.KeyValue(key, value, revision, revision, 1, 0),
            )
            for key, value in dict(update).items()
        ]
        tree.hear(kv.Changed(revision, tuple(events)))
        snapshot = tree.snapshot()
        known = dict(guard.remember(known, snapshot, float(revision)))
        yield guard.served(snapshot, {}, known)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_passing_over_equals_rendering(
    resources: list[Resource], updates: list[list[tuple[str, bytes | None]]]
) -> None:
    kept = [Kept(resource, compile_template(resource.template)) for resource in resources]
    for snapshot in told(updates):
        for one in kept:
            if not one.take(snapshot):
                assert rendered(one.resource, one.template, snapshot) == one.rendered


@given(steps)
def test_a_difference_is_what_comparing_everything_tells(
    updates: list[list[tuple[str, bytes | None]]],
) -> None:
    before = Snapshot(listing=1)
    for after in told(updates):
        difference = Difference(before, after)
        was, now = dict(before.values), dict(after.values)
        own = {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
        assert own <= difference.keys
        assert not difference.anew
        was, now = dict(before.raw), dict(after.raw)
        raw = {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
        assert raw == difference.raw
        old = {service.name: service for service in before.services}
        new = {service.name: service for service in after.services}
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        assert difference.services == changed
        before = after


def snapshot(**more: object) -> Snapshot:
    one = Service("shop_prod", "shop", "prod", (Instance("10.0.0.1", 80),))
    other = Service("blog_prod", "blog", "prod", (Instance("10.0.0.2", 80),))
    made = Snapshot(5, (other, one), {"/own/key": "1"}, {"/shop_prod/10.0.0.1-80": "10.0.0.1:80"})
    return replace(made, **more)  # type: ignore[arg-type]


SHOP = frozenset({"shop_prod"})


@pytest.mark.parametrize(
    ("sight", "met"),
    [
        (Sight(folders=("/shop_prod/",)), False),
        (Sight(folders=("/shop_prod/",), services=SHOP), True),
        (Sight(folders=("/blog_prod/",), services=frozenset({"blog_prod"})), False),
        (Sight(folders=("/blog_prod/",), services=None), True),
        (Sight(folders=("/",), services=frozenset({"gone_prod"})), False),
    ],
)
def test_metadata_is_seen_by_who_asks_for_the_service(sight: Sight, met: bool) -> None:
    service = Service("shop_prod", "shop", "prod", (Instance("10.0.0.1", 80, weight=3),))
    after = snapshot(services=(snapshot().services[0], service), revision=6)
    assert sight.meets(Difference(snapshot(), after)) == met


@pytest.mark.parametrize(
    ("sight", "met"),
    [
        (Sight(folders=("/own/",)), True),
        (Sight(keys=frozenset({"/own/key"})), True),
        (Sight(keys=frozenset({"/own"}), folders=("/own/x/", "/ow/")), False),
        (Sight(services=None), False),
    ],
)
def test_a_key_is_seen_from_itself_and_from_above(sight: Sight, met: bool) -> None:
    after = snapshot(values={"/own/key": "2"}, revision=6)
    assert sight.meets(Difference(snapshot(), after)) == met


def test_raw_text_is_seen_by_who_asks_for_it() -> None:
    difference = Difference(snapshot(), snapshot(raw={"/shop_prod/10.0.0.1-80": "evil"}))
    assert Sight(folders=("/shop_prod/",), raw=True).meets(difference)
    assert not Sight(folders=("/shop_prod/",)).meets(difference)
    assert not Sight(folders=("/blog_prod/",), raw=True).meets(difference)


def test_a_revision_alone_is_no_difference_and_a_list_is_always_one() -> None:
    everything = Sight(folders=("/",), raw=True, services=None)
    assert not everything.meets(Difference(snapshot(), snapshot(revision=6)))
    assert Sight().meets(Difference(snapshot(), snapshot(listing=1)))


def test_the_same_pair_is_compared_once() -> None:
    pairs = [(Snapshot(number), Snapshot(number + 1)) for number in range(20)]
    differences = Differences()
    made = [differences.between(*pair) for pair in pairs]
    assert differences.between(*pairs[-1]) is made[-1]
    assert differences.between(*pairs[0]) is not made[0]
    # What is equal is not the same: its parts may be others.
    assert differences.between(replace(pairs[-1][0]), pairs[-1][1]) is not made[-1]


def test_a_template_is_seen_to_read_what_it_includes(tmp_path: Path) -> None:
    for name, text in TEMPLATES.items():
        (tmp_path / name).write_text(text)
    shown: dict[str, frozenset[str] | None] = {}
    for name in TEMPLATES:
        template = compile_template(tmp_path / name)
        found = rendered(Resource(name, tmp_path / name, tmp_path / "dest"), template, snapshot())
        if isinstance(found, Rendered) and found.sight:
            shown[name] = found.sight.services
    all_of = frozenset({"own", "shop_prod", "blog_prod"})
    assert shown["all.j2"] is shown["including.j2"] is shown["importing.j2"] is None
    assert (shown["named.j2"], shown["chosen.j2"]) == (SHOP, all_of)
    assert shown["lazy.j2"] == shown["values.tmpl"] == frozenset()
