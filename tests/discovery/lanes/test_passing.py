"""Changes that a lane cannot see: it serves them at once, without rendering anything."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from discovery.config import Config, DiscoveryConfig
from discovery.lanes.lanes import Lanes
from discovery.model import Instance, Service, Snapshot
from discovery.nginx.pushing import Pushing
from discovery.publish.history import History, Hold, name_of
from discovery.publish.publisher import Publisher
from discovery.resources import render
from discovery.resources.resources import Resource
from wharfinger.lifecycle import Scope
from wharfinger.notify import Notifier
from wharfinger.operator.parts.process import until

SHOP = Service("shop_prod", "shop", "prod", (Instance("10.0.0.1", 80),))
BLOG = Service("blog_prod", "blog", "prod", (Instance("10.0.0.2", 80),))
FIRST = Snapshot(1, (BLOG, SHOP), {"/a": "1", "/b": "1"}, listing=1)


class Stack:
    """Running lanes whose snapshot the test sets, and what they have rendered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = Config(discovery=DiscoveryConfig(confdir=folder))
        self.scope = Scope("discovery", Notifier())
        self.snapshot = FIRST
        self.rendered: list[str] = []
        self.history = History(folder / "state")
        self.lanes: Lanes

    async def run(self, *resources: Resource) -> None:
        publisher = Publisher(self.folder / "state", lambda _: None)
        await publisher.recover()
        self.lanes = Lanes(
            self.config,
            resources,
            snapshot=self.latest,
            publisher=publisher,
            pushing=Pushing(self.scope, self.folder),
            history=self.history,
            scope=self.scope,
        )
        await self.lanes.apply()
        self.lanes.run()
        await self.until_applied(1)
        await asyncio.sleep(0.3)  # what was due from the beginning is done
        self.rendered.clear()

    async def latest(self) -> Snapshot:
        return self.snapshot

    def resource(self, name: str, text: str, *keys: str, **more: object) -> Resource:
        template = self.folder / name
        template.write_text(text)
        dest = self.folder / f"{name}.out"
        return Resource(name, template, dest, keys=keys, **more)  # type: ignore[arg-type]

    def change(self, **more: object) -> int:
        """Another snapshot; gives its revision."""
        revision = self.snapshot.revision + 1
        self.snapshot = replace(self.snapshot, revision=revision, **more)  # type: ignore[arg-type]
        self.lanes.changed()
        return revision

    async def until_applied(self, revision: int) -> None:
        async def applied() -> bool:
            return self.lanes.applied_revision == revision

        await until(applied, timeout_seconds=20, what=f"revision {revision} is applied")


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack(tmp_path)
    original = render.GoTemplate.render, render.JinjaTemplate.render

    def counted(to: Callable[..., str]) -> Callable[..., str]:
        def run(template: object, view: object) -> str:
            made.rendered.append(template._path.name)  # type: ignore[attr-defined]
            return to(template, view)

        return run

    monkeypatch.setattr(render.GoTemplate, "render", counted(original[0]))
    monkeypatch.setattr(render.JinjaTemplate, "render", counted(original[1]))
    return made


def holds(resource: Resource, text: str) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return resource.dest.read_text() == text

    return there


async def test_who_cannot_see_a_change_serves_it_and_renders_nothing(stack: Stack) -> None:
    a = stack.resource("a.tmpl", '{{getv "/a"}}', "/a")
    b = stack.resource("b.tmpl", '{{getv "/b"}}', "/b")
    shop = stack.resource("shop.j2", '{{ instances("shop_prod") | length }}', "/none")
    every = stack.resource("all.j2", "{{ services | length }}", "/none")
    await stack.run(a, b, shop, every)
    await stack.until_applied(stack.change(values={"/a": "2", "/b": "1"}))
    assert stack.rendered == ["a.tmpl"]
    assert a.dest.read_text() == "2"
    await stack.until_applied(stack.change())
    assert stack.rendered == ["a.tmpl"]
    await stack.until_applied(stack.change(services=(replace(BLOG, instances=()), SHOP)))
    assert stack.rendered == ["a.tmpl", "all.j2"]
    await stack.until_applied(stack.change(services=(SHOP,)))
    await stack.until_applied(stack.change(services=()))
    assert sorted(stack.rendered[2:]) == ["all.j2", "all.j2", "shop.j2"]
    assert (shop.dest.read_text(), every.dest.read_text()) == ("0", "0")
    assert stack.lanes.failures == ()


async def test_of_those_that_share_a_reload_only_who_sees_a_change_renders(stack: Stack) -> None:
    a = stack.resource("a.tmpl", '{{getv "/a"}}', "/a", reload_cmd="true")
    b = stack.resource("b.tmpl", '{{getv "/b"}}', "/b", reload_cmd="true")
    await stack.run(a, b)
    await stack.until_applied(stack.change(values={"/a": "2", "/b": "1"}))
    assert stack.rendered == ["a.tmpl"]


async def test_a_list_is_news_for_everybody(stack: Stack) -> None:
    a = stack.resource("a.tmpl", '{{getv "/a"}}', "/a")
    named = stack.resource("b.j2", "constant", "/b")
    await stack.run(a, named)
    await stack.until_applied(stack.change(listing=2))
    assert sorted(stack.rendered) == ["a.tmpl", "b.j2"]


async def test_what_came_while_it_published_counts_as_applied_after(stack: Stack) -> None:
    go, begun = stack.folder / "go", stack.folder / "begun"
    wait = f"sh -c 'echo > {begun}; while test ! -e {go}; do sleep 0.02; done'"
    go.touch()
    a = stack.resource("a.tmpl", '{{getv "/a"}}', "/a", reload_cmd=wait)
    b = stack.resource("b.tmpl", '{{getv "/b"}}', "/b")
    await stack.run(a, b)
    go.unlink()
    begun.unlink()
    stack.change(values={"/a": "2", "/b": "1"})

    async def reloading() -> bool:
        return begun.exists()

    await until(reloading, timeout_seconds=20, what="the reload runs")
    unseen = stack.change(values={"/a": "2", "/b": "2"})
    await until(holds(b, "2"), timeout_seconds=20, what="the other is written")
    assert stack.lanes.applied_revision == 1
    go.touch()
    await stack.until_applied(unseen)
    assert stack.rendered == ["a.tmpl", "b.tmpl"]


async def test_what_it_saw_while_it_published_is_rendered_after(stack: Stack) -> None:
    a = stack.resource("a.tmpl", '{{getv "/a"}}', "/a", reload_cmd="sleep 0.3")
    await stack.run(a)
    stack.change(values={"/a": "2"})
    await until(holds(a, "2"), timeout_seconds=20, what="the first is written")
    await stack.until_applied(stack.change(values={"/a": "3"}))
    assert a.dest.read_text() == "3"


async def test_who_does_not_stand_well_looks_at_every_change(stack: Stack) -> None:
    failing = stack.resource("failing.tmpl", '{{getv "/a"}}', "/a", check_cmd="grep 1 {{.src}}")
    await stack.run(failing)
    stack.change(values={"/a": "2", "/b": "1"})

    async def red() -> bool:
        return len(stack.lanes.failures) == 1

    await until(red, timeout_seconds=20, what="the check fails")
    stack.rendered.clear()
    revision = stack.change()

    async def looked() -> bool:
        return "failing.tmpl" in stack.rendered

    await until(looked, timeout_seconds=20, what="it looks again")
    assert stack.lanes.applied_revision < revision
    await stack.until_applied(stack.change(values={"/a": "1", "/b": "1"}))
    assert stack.lanes.failures == ()


async def test_a_file_that_drifted_is_put_right_though_nothing_is_rendered(stack: Stack) -> None:
    a = stack.resource("a.tmpl", '{{getv "/a"}}', "/a")
    await stack.run(a)
    a.dest.write_text("drifted")
    await until(holds(a, "1"), timeout_seconds=20, what="it is put right")
    assert stack.rendered == []


async def test_a_rollback_begins_and_ends_at_once(stack: Stack) -> None:
    a = stack.resource("a.tmpl", '{{getv "/a"}}', "/a")
    await stack.run(a)
    await stack.until_applied(stack.change(values={"/a": "2"}))
    stack.history.hold(a.name, Hold(name_of(b"1"), 0.0))
    stack.lanes.renew()
    await until(holds(a, "1"), timeout_seconds=20, what="it is rolled back")
    await stack.until_applied(stack.change(values={"/a": "3"}))
    assert a.dest.read_text() == "1"
    stack.history.let_go(a.name)
    stack.lanes.renew()
    await until(holds(a, "3"), timeout_seconds=20, what="it follows again")
