"""The child: what several files of one change have to tell is told once."""

import asyncio
from pathlib import Path

import pytest

from discovery import child as children
from discovery.child import Child
from discovery.config import ExecConfig
from wharfinger.lifecycle import Scope
from wharfinger.notify import Notifier
from wharfinger.operator.parts.process import until


async def test_files_that_are_new_together_restart_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "QUIET_SECONDS", 2.0)
    log, news = tmp_path / "log", asyncio.Event()
    command = f"sh -c 'echo begun >> {log}; exec sleep 600'"
    scope = Scope("discovery", Notifier())

    def begun() -> int:
        return log.read_text().count("begun") if log.exists() else 0

    async def once() -> bool:
        return begun() == 1

    async def heard() -> bool:
        return not news.is_set()

    async def again() -> bool:
        return begun() > 1

    async with Child(ExecConfig(command=command), scope, rendered=lambda: True, news=news) as child:
        running = asyncio.create_task(child.run())
        await until(once, timeout_seconds=20, what="it is begun")
        for _ in range(3):
            news.set()
            await until(heard, timeout_seconds=20, what="the news is heard")
            assert begun() == 1, "it may not be all"
        await until(again, timeout_seconds=20, what="it is restarted")
        await child.stop()
        running.cancel()
    assert begun() == 2
