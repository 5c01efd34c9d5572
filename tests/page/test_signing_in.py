"""Who is not signed in is asked for a token, once, by the page itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.page.browsing import Store, Visit

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.real]

WRITES, READS, OTHERS = "w" * 40, "r" * 40, "o" * 40


class Closed:
    """A store that lets nobody read without a token."""

    def __init__(self, store: Store, visit: Visit, readers: Path) -> None:
        self.store = store
        self.visit = visit
        self.readers = readers

    async def sign_in(self, token: str) -> None:
        await self.visit.page.get_by_label("Token").fill(token)
        await self.visit.button("Sign in").click()


@pytest_asyncio.fixture(loop_scope="session")
async def closed(browser: Browser, tmp_path: Path) -> AsyncIterator[Closed]:
    readers, writers = tmp_path / "readers", tmp_path / "writers"
    readers.write_text(f"{READS} default ann\n{OTHERS} other ben\n")
    writers.write_text(f"{WRITES}\n")
    for path in (readers, writers):
        path.chmod(0o600)
    store = Store(tmp_path, read_token_file=readers, ingest_token_file=writers)
    store.headers = {"Authorization": f"Bearer {WRITES}"}
    await store.start()
    context = await browser.new_context()
    context.set_default_timeout(20_000)
    visit = Visit(await context.new_page(), store.url)
    # A browser notes each refusal in its console.
    visit.allowed.append("401")
    await store.say("secret", app="signin")
    yield Closed(store, visit, readers)
    await context.close()
    await store.process.kill()
    assert visit.complaints() == []


async def test_a_token_is_asked_for_and_the_page_goes_on(closed: Closed) -> None:
    visit = closed.visit
    await visit.page.goto(f"{visit.url}/?app=signin&live=1")
    await closed.sign_in("wrong" * 8)
    await expect(visit.page.get_by_role("alert")).to_contain_text("not a token that may read")
    await closed.sign_in(READS)
    await expect(visit.messages).to_have_text(["secret"])
    await expect(visit.page.locator(".live-on")).to_be_visible()
    await expect(visit.page.locator(".account")).to_have_text("ann")
    assert visit.query == "app=signin&live=1"
    # Live lines and downloads go by the session, too, and nothing of the token is kept in reach.
    await closed.store.say("live secret", ago_seconds=0, app="signin")
    await expect(visit.messages).to_have_text(["live secret", "secret"])
    await visit.button("Download").click()
    async with visit.page.expect_download() as coming:
        await visit.page.get_by_text("Text, newest first").click()
    assert await (await coming.value).failure() is None
    kept = await visit.page.evaluate("JSON.stringify(localStorage) + document.cookie")
    assert READS not in kept


async def test_signing_out_ends_it(closed: Closed) -> None:
    visit = closed.visit
    await visit.page.goto(f"{visit.url}/?app=signin")
    await closed.sign_in(READS)
    await expect(visit.messages).to_have_text(["secret"])
    await visit.button("Sign out").click()
    await expect(visit.page.get_by_label("Token")).to_be_visible()
    await expect(visit.page.get_by_text("secret")).to_have_count(0)


async def test_another_tenant_sees_its_own(closed: Closed) -> None:
    visit = closed.visit
    await visit.page.goto(f"{visit.url}/?app=signin")
    await closed.sign_in(OTHERS)
    await expect(visit.page.locator(".empty")).to_be_visible()
    await expect(visit.page.locator(".account")).to_have_text("ben")


async def test_a_token_that_is_revoked_ends_the_live_tail(closed: Closed) -> None:
    visit = closed.visit
    visit.allowed.append("ERR_")
    await visit.page.goto(f"{visit.url}/?app=signin&live=1")
    await closed.sign_in(READS)
    await expect(visit.page.locator(".live-on")).to_be_visible()
    closed.readers.write_text(f"{OTHERS} other ben\n")
    await expect(visit.page.get_by_label("Token")).to_be_visible(timeout=20_000)
