"""Resources side by side: what is slow, broken, changed or gone touches nobody else."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from discovery.builtin.config import NginxConfig
from discovery.config import Config, DiscoveryConfig
from discovery.lanes.lanes import Lanes
from discovery.model import Snapshot
from discovery.nginx.pushing import Pushing
from discovery.publish import commands
from discovery.publish.commands import Ran
from discovery.publish.history import History
from discovery.publish.publisher import COMMANDS_AT_ONCE, Publisher
from discovery.resources.resources import BUILTIN_TEMPLATE, Resource
from wharfinger.lifecycle import Scope
from wharfinger.notify import Notifier
from wharfinger.operator.parts.process import until


class Stack:
    """Lanes on a folder, with a snapshot that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = Config(discovery=DiscoveryConfig(confdir=folder))
        self.scope = Scope("discovery", Notifier())
        self.snapshot = Snapshot(1, values={"/key": "1"})
        self.taken = 0

    async def lanes(self, *resources: Resource) -> Lanes:
        state = self.folder / "state"
        publisher = Publisher(state, lambda _: None)
        await publisher.recover()
        return Lanes(
            self.config,
            resources,
            snapshot=self.latest,
            publisher=publisher,
            pushing=Pushing(self.scope, self.folder),
            history=History(state),
            scope=self.scope,
        )

    async def latest(self) -> Snapshot:
        self.taken += 1
        return self.snapshot

    def resource(self, name: str, text: str = '{{ getv("/key") }}', **more: object) -> Resource:
        template = self.folder / f"{name}.j2"
        template.write_text(text)
        return Resource(name, template, self.folder / f"{name}.out", **more)  # type: ignore[arg-type]

    def checks(self) -> set[str]:
        return {check.name for check in self.scope.health.report().checks}


@pytest.fixture
async def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def holds(resource: Resource, text: str) -> Callable[[], Awaitable[bool]]:
    def read() -> str:
        return resource.dest.read_text() if resource.dest.exists() else ""

    async def there() -> bool:
        return read() == text

    return there


async def test_a_hung_check_holds_up_nobody(stack: Stack) -> None:
    slow = stack.resource("slow", check_cmd="sleep 600", check_timeout_seconds=60.0)
    quick = stack.resource("quick")
    lanes = await stack.lanes(slow, quick)
    applying = asyncio.create_task(lanes.apply())
    await until(holds(quick, "1"), timeout_seconds=20, what="the quick one is written")
    assert not applying.done()
    applying.cancel()
    await asyncio.gather(applying, return_exceptions=True)

    async def undone() -> bool:
        return not await holds(slow, "1")()

    # Each lane puts its own file back; the first that has ended ends the wait for all.
    await until(undone, timeout_seconds=20, what="the slow one is put back")


async def test_a_broken_one_is_told_and_the_others_are_written(stack: Stack) -> None:
    good, bad = stack.resource("good"), stack.resource("bad", "{{ getv('/none') }}")
    syntax = stack.resource("syntax", "{% if %}")
    lanes = await stack.lanes(bad, good, syntax)
    await lanes.apply()
    assert await holds(good, "1")()
    assert sorted(why.partition(":")[0] for why in lanes.failures) == ["bad", "syntax"]
    told = {one["name"]: one["state"] for one in lanes.status()["resources"]}
    assert told == {"bad": "failed", "good": "current", "syntax": "failed"}
    assert lanes.applied_revision == 0
    stack.snapshot = Snapshot(2, values={"/key": "2", "/none": "some"})
    lanes.changed()
    await lanes.reconfigure(stack.config, (bad, good), {"good": "", "bad": ""})
    await lanes.apply()
    assert lanes.failures == ()
    assert lanes.applied_revision == 2
    assert "resource syntax" not in stack.checks()


async def test_one_snapshot_serves_all_lanes(stack: Stack) -> None:
    lanes = await stack.lanes(*(stack.resource(f"r{number}") for number in range(20)))
    await lanes.apply()
    assert stack.taken == 2  # one for those of the built-in resource, one for all others
    await lanes.apply()
    assert stack.taken == 3
    lanes.changed()
    await lanes.apply()
    assert stack.taken == 5


async def test_other_files_make_other_lanes_and_touch_no_more(stack: Stack) -> None:
    kept = stack.resource("kept", reload_cmd=f"sh -c 'echo kept >> {stack.folder}/reloads'")
    gone = stack.resource("gone")
    lanes = await stack.lanes(kept, gone)
    await lanes.apply()
    lanes.run()
    new = stack.resource("new")
    prints = {"kept": "", "new": ""}
    await lanes.reconfigure(stack.config, (kept, new), prints)
    await until(holds(new, "1"), timeout_seconds=20, what="the new one is written")
    assert "resource gone" not in stack.checks()
    # The same name and file with another template: a new lane on the same destination.
    changed = stack.resource("new", "changed {{ getv('/key') }}")
    await lanes.reconfigure(stack.config, (kept, changed), {**prints, "new": "other"})
    await until(holds(changed, "changed 1"), timeout_seconds=20, what="the change is there")
    assert (stack.folder / "reloads").read_text() == "kept\n"
    stack.snapshot = Snapshot(2, values={"/key": "2"})
    lanes.changed()
    await until(holds(kept, "2"), timeout_seconds=20, what="the one that was kept goes on")
    assert await holds(gone, "1")()
    await lanes.reconfigure(stack.config, (), {})
    await lanes.drained()
    assert await stack.scope.close() == []


async def test_a_resource_that_goes_while_its_reload_hangs_leaves_nothing_red(
    stack: Stack,
) -> None:
    # That it hangs is why it goes.
    begun = stack.folder / "begun"
    command = f"sh -c 'echo > {begun}; sleep 600'"
    hung = stack.resource("hung", reload_cmd=command, reload_timeout_seconds=2.0)
    lanes = await stack.lanes(hung)
    lanes.run()
    lanes.changed()

    async def reloading() -> bool:
        return begun.exists()

    await until(reloading, timeout_seconds=20, what="the reload runs")
    await lanes.reconfigure(stack.config, (), {})

    async def given_up() -> bool:
        return "configuration not applied" in {
            one["event"] for _, one in stack.scope.events.since(0)
        }

    await until(given_up, timeout_seconds=20, what="the reload is given up")
    assert await stack.scope.close() == []
    assert "resource hung" not in stack.checks()


async def test_hundreds_of_commands_do_not_run_at_once(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each has files open, and 1024 are all that a process may have.
    inside, end = [0], asyncio.Event()

    async def run(words: list[str], *, timeout_seconds: float) -> Ran:
        inside[0] += 1
        await end.wait()
        return Ran(words[0], 0, "", timeout_seconds)

    monkeypatch.setattr(commands, "run", run)
    names = [f"r{number}" for number in range(COMMANDS_AT_ONCE + 50)]
    resources = [stack.resource(name, check_cmd=f"true {name}") for name in names]
    lanes = await stack.lanes(*resources)
    applying = asyncio.create_task(lanes.apply())

    async def swapped() -> bool:  # what is next is the command
        there = len(list(stack.folder.glob("*.out")))
        return there == len(resources) and inside[0] >= COMMANDS_AT_ONCE

    await until(swapped, timeout_seconds=60, what="all are about to be checked")
    assert inside[0] == COMMANDS_AT_ONCE
    end.set()
    await applying
    assert inside[0] == len(resources)
    assert lanes.failures == ()


@pytest.mark.parametrize("alone_first", [True, False])
async def test_a_resource_that_changes_its_company_has_one_writer(
    stack: Stack, alone_first: bool
) -> None:
    log = stack.folder / "log"
    check = f"sh -c 'echo begun >> {log}; sleep 0.5; echo done >> {log}'"
    nginx = NginxConfig(dest=stack.folder / "nginx.conf", mode="reload")
    builtin = Resource("nginx", BUILTIN_TEMPLATE, nginx.dest, reload_cmd="true", nginx=nginx)
    alone = stack.resource("site", check_cmd=check)
    along = replace(alone, reload_cmd="true")
    before, after = (alone, along) if alone_first else (along, alone)
    lanes = await stack.lanes(builtin, before)
    lanes.run()
    lanes.changed()

    async def checking() -> bool:
        return log.exists()

    await until(checking, timeout_seconds=20, what="the first is being checked")
    stack.snapshot = Snapshot(2, values={"/key": "2"})
    await lanes.reconfigure(stack.config, (builtin, after), {})
    lanes.changed()
    await until(holds(after, "2"), timeout_seconds=20, what="the second is written")
    await lanes.drained()
    assert await stack.scope.close() == []
    assert set(log.read_text().split("begun\n")) == {"", "done\n"}
