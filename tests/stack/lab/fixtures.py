"""A lab for a test."""

from collections.abc import AsyncIterator

import pytest

from tests.stack.lab.lab import Lab, raised


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Three hosts, off as yet."""
    async with raised() as made:
        yield made
