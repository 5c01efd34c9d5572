"""A lab for a test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stack.lab.lab import Lab, raised
from tests.stack.lab.platform import Platform, running


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Three hosts, off as yet."""
    async with raised() as made:
        yield made


@pytest.fixture
async def platform(lab: Lab, tmp_path: Path) -> AsyncIterator[Platform]:
    """All of the platform on these hosts, two instances of the shop on each."""
    async with running(lab, tmp_path / "logs") as made:
        yield made
