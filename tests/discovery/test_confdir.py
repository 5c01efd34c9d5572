"""The resource files on disk, and the holds that stand against them."""

import asyncio
import os
from pathlib import Path

import pytest

from discovery.confdir import Confdir
from discovery.config import Config, DiscoveryConfig
from discovery.lanes.lanes import Lanes
from discovery.model import Snapshot
from discovery.nginx.pushing import Pushing
from discovery.publish.history import History, Hold
from discovery.publish.publisher import Publisher
from wharfinger.errors import ConfigError
from wharfinger.lifecycle import Scope
from wharfinger.notify import Notifier
from wharfinger.operator.parts.process import until


class Stack:
    """A confdir with one resource, and a hold on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = Config(discovery=DiscoveryConfig(confdir=folder))
        self.history = History(folder / "state")
        self.template = folder / "templates" / "app.j2"
        self.file = folder / "conf.d" / "app.toml"
        for path in (self.template, self.file):
            path.parent.mkdir()
        self.template.write_text("one")
        self.file.write_text(f'[template]\nsrc = "app.j2"\ndest = "{folder}/app.conf"\n')

    def lanes(self) -> Lanes:
        """That do nothing."""
        scope = Scope("discovery", Notifier())
        return Lanes(
            self.config,
            (),
            snapshot=self.nothing,
            publisher=Publisher(self.folder / "state", lambda _: None),
            pushing=Pushing(scope, self.folder),
            history=self.history,
            scope=scope,
        )

    async def nothing(self) -> Snapshot:
        return Snapshot()

    def begun(self) -> Confdir:
        """As a daemon begins with it."""
        return Confdir(self.config, self.history, Scope("discovery", Notifier()))

    @property
    def held(self) -> bool:
        return self.history.held("app") is not None


@pytest.fixture
async def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


async def test_a_hold_ends_with_the_first_change_after_it(stack: Stack) -> None:
    confdir = stack.begun()
    stack.history.hold("app", Hold("abc", 1.0))
    looking = asyncio.create_task(confdir.run(stack.lanes(), lambda _resources: None))

    async def seen() -> bool:
        hold = stack.history.held("app")
        return hold is not None and bool(hold.sources)

    async def ended() -> bool:
        return not stack.held

    await until(seen, timeout_seconds=20, what="the hold is seen")
    stack.template.write_text("mended")
    await until(ended, timeout_seconds=20, what="the hold has ended")
    looking.cancel()


async def test_a_hold_outlives_a_restart_and_a_file_that_was_only_copied(stack: Stack) -> None:
    stack.history.hold("app", Hold("abc", 1.0))
    stack.begun()
    for path in (stack.template, stack.file):
        # As after a move to another disk, or a boot that numbers its disks otherwise.
        path.with_name("copy").write_bytes(path.read_bytes())
        path.with_name("copy").replace(path)
        os.utime(path, (1, 1))
    stack.begun()
    assert stack.held


async def test_a_configuration_that_is_refused_ends_no_hold(stack: Stack) -> None:
    stack.history.hold("app", Hold("abc", 1.0))
    confdir = stack.begun()
    (stack.folder / "conf.d" / "bad.toml").write_text("[template")
    with pytest.raises(ConfigError):
        await confdir.reload(Config(discovery=DiscoveryConfig(confdir=stack.folder, prefix="/a")))
    assert stack.held
