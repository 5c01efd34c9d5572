"""Lives of a shipment above one log; the sink they ship to is the stack's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.logshipper.dockerlog import DockerLog
from tests.logshipper.life import Begin, Life
from tests.logshipper.strict_sink import StrictSink


@pytest.fixture
async def begin(sink: StrictSink, tmp_path: Path) -> AsyncIterator[Begin]:
    lives: list[Life] = []

    def begin(**settings: Any) -> Life:
        lives.append(Life(sink, tmp_path / "state", **settings))
        lives[-1].start()
        return lives[-1]

    yield begin
    for life in lives:
        await life.kill()


@pytest.fixture
def log(tmp_path: Path) -> DockerLog:
    return DockerLog(tmp_path / "containers")
