"""A log store for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.operator.logs.stores import TOKEN, Store, running


@pytest.fixture
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """One that wants a token where the parameter is `guarded`."""
    (tmp_path / "tokens").write_text(f"# who may read\nsha256:{'0' * 64}\n{TOKEN}\n")
    settings = {}
    if getattr(request, "param", "") == "guarded":
        settings["read_token_file"] = str(tmp_path / "tokens")
    async with running(tmp_path, **settings) as store:
        yield store
