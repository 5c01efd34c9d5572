"""Downloads: everything that matches, not what is shown."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path

import pytest
from playwright.async_api import Download, expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]


async def written(coming: Awaitable[Download]) -> list[str]:
    path = await (await coming).path()
    return await asyncio.to_thread(lambda: Path(path).read_text().splitlines())


async def test_everything_that_matches_is_written(visit: Visit, store: Store) -> None:
    await store.say(*(f"INFO kept {n}" for n in range(1500)), app="download")
    await store.say("ERROR other", app="download")
    await visit.open("/?app=download&level=info")
    await visit.button("Download").click()
    panel = visit.page.get_by_role("dialog", name="Download")
    await expect(panel).to_contain_text("1,500 lines that match")
    async with visit.page.expect_download() as coming:
        await panel.get_by_text("NDJSON, every field, newest first").click()
    messages = [json.loads(line)["message"] for line in await written(coming.value)]
    assert messages == [f"INFO kept {n}" for n in reversed(range(1500))]
    assert (await coming.value).suggested_filename == "logs.ndjson"
    await visit.button("Download").click()
    async with visit.page.expect_download() as coming:
        await panel.get_by_text("Text, oldest first").click()
    lines = await written(coming.value)
    assert len(lines) == 1500
    assert lines[0].endswith("INFO download - INFO kept 0")
    assert (await coming.value).suggested_filename == "logs.txt"
