"""A step is taken with leave alone, and leave is that of whoever began the work."""

import asyncio
from pathlib import Path

import pytest

from deploy.release import programs, warrant
from wharfinger.errors import Unavailable


def refuse() -> None:
    raise Unavailable("no further step is taken")


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def test_no_program_is_started_without_leave(tmp_path: Path) -> None:
    await programs.run("touch", tmp_path / "before")
    with warrant.given(refuse):
        working = asyncio.create_task(programs.run("touch", tmp_path / "during"))
    await programs.run("touch", tmp_path / "after")
    with pytest.raises(Unavailable, match="no further step"):
        await working
    assert names(tmp_path) == ["after", "before"]
