"""Downloads: everything that matches, not what is shown."""

import json
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.page.browsing import Store, Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_everything_that_matches_is_written(visit: Visit, store: Store) -> None:
    await store.say(*(f"INFO kept {n}" for n in range(1500)), app="download")
    await store.say("ERROR other", app="download")
    await visit.open("/?app=download&level=info")
    await visit.button("Download").click()
    panel = visit.page.get_by_role("dialog", name="Download")
    await expect(panel).to_contain_text("1,500 lines that match")
    async with visit.page.expect_download() as coming:
        await panel.get_by_text("NDJSON, every field, newest first").click()
    written = Path(await (await coming.value).path()).read_text()
    messages = [json.loads(line)["message"] for line in written.splitlines()]
    assert messages == [f"INFO kept {n}" for n in reversed(range(1500))]
    assert (await coming.value).suggested_filename == "logs.ndjson"
