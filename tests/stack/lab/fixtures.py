"""A lab for a test, and the platform on one that tests take over from each other."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.stack.dockerd import to_the_end
from tests.stack.lab.lab import Lab, folder_of_a_lab, raised
from tests.stack.lab.platform import Platform


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Three hosts, off as yet."""
    async with raised() as made:
        yield made


class Kept:
    """A platform that outlives its test if the test left it as it was."""

    def __init__(self) -> None:
        self._platform: Platform | None = None
        self._folder = ExitStack()

    async def as_new(self) -> Platform:
        """The one that there is, else another.

        Raises:
            Unavailable: it does not start.
        """
        if self._platform is not None and await self._platform.is_as_new():
            return self._platform
        await self.close()
        lab = Lab(self._folder.enter_context(folder_of_a_lab()), 3)
        self._platform = Platform(lab)
        await lab.network.open()
        await self._platform.start()
        return self._platform

    async def close(self) -> None:
        """Ends it and removes all that is left of it."""
        if self._platform is not None:
            await self._platform.lab.close()
        self._platform = None
        self._folder.close()


@pytest.fixture(scope="session")
def kept_platform() -> Iterator[Kept]:
    """Nothing at first."""
    kept = Kept()
    try:
        yield kept
    finally:
        to_the_end(kept.close())


@pytest.fixture
async def platform(kept_platform: Kept, tmp_path: Path) -> AsyncIterator[Platform]:
    """All of the platform on three hosts, two instances of the shop on each, all well."""
    made = await kept_platform.as_new()
    yield made
    made.keep_logs(tmp_path / "logs")
