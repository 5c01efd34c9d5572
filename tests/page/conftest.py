"""One browser and one log store for all tests of the page in a worker, a tab for each test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.page.browsing import Store, Visit
from tests.page.fleet import Fleet, FleetVisit

# A browser beside others on a busy machine: every wait ends as soon as what it waits for is so.
expect.set_options(timeout=20_000)
# Debian's, which .ci/setup installs: no other browser is fetched.
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # Root has no sandbox in a container; what is shown comes from this machine.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        made = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield made
        await made.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    made = Store(tmp_path_factory.mktemp("page"))
    await made.start()
    yield made
    await made.process.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def store(
    request: pytest.FixtureRequest, shared_store: Store, tmp_path: Path
) -> AsyncIterator[Store]:
    """The store of all tests, each with applications of its own."""
    if getattr(request.node, "execution_count", 1) == 1:
        yield shared_store
        return
    # The lines of a first try would be found by the second: it has a store for itself.
    made = Store(tmp_path)
    await made.start()
    yield made
    await made.process.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def own_store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store for one test alone, ended however the test ends."""
    made = Store(tmp_path)
    await made.start()
    yield made
    await made.process.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, store: Store) -> AsyncIterator[Visit]:
    context = await browser.new_context(
        viewport={"width": 1280, "height": 800}, timezone_id="Europe/Berlin", locale="en-GB"
    )
    context.set_default_timeout(20_000)
    made = Visit(await context.new_page(), store.url)
    yield made
    await context.close()
    assert made.complaints() == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet_server() -> AsyncIterator[Fleet]:
    async with Fleet().running() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def fleet(fleet_server: Fleet) -> Fleet:
    """A calm fleet. Its server is the same for all tests: browsers keep the page's files."""
    fleet_server.reset()
    return fleet_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet_context(browser: Browser) -> AsyncIterator[BrowserContext]:
    made = await browser.new_context(
        viewport={"width": 1280, "height": 800}, timezone_id="Europe/Berlin", locale="en-GB"
    )
    made.set_default_timeout(20_000)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(fleet_context: BrowserContext, fleet: Fleet) -> AsyncIterator[FleetVisit]:
    """A tab on the fleet page, with nothing left of the one before but the page's files."""
    await fleet_context.clear_cookies()
    made = FleetVisit(await fleet_context.new_page(), fleet.url)
    yield made
    await made.page.close()
    assert made.complaints() == []


@pytest_asyncio.fixture(loop_scope="session")
async def timed_tab(browser: Browser, fleet: Fleet) -> AsyncIterator[FleetVisit]:
    """A tab in a browser of its own, whose clock goes as the test wants."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    made = FleetVisit(await context.new_page(), fleet.url)
    await made.page.clock.install()
    yield made
    await context.close()
    assert made.complaints() == []
