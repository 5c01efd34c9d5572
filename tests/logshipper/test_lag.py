"""How old the oldest line is that waits in a log's files or is on its way."""

import time
from pathlib import Path

import pytest

from logshipper.linesettings import LineSettings
from logshipper.log import Log
from logshipper.model import Route
from logshipper.pipeline import Typed
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from logshipper.tail import Tail
from tests.logshipper.dockerlog import DockerLog, line


@pytest.fixture
def written(tmp_path: Path) -> DockerLog:
    return DockerLog(tmp_path)


def opened(written: DockerLog) -> Log:
    route = Route(ship=True, lines=LineSettings())
    pipeline = Typed(
        written.container_id,
        {},
        encoding=JsonlineEncoding(),
        limit_bytes=2**20,
        fallback_time="",
    )
    tail = Tail(str(written.folder), written.base)
    log = Log(written.container_id, tail, None, route, pipeline)
    log.look()
    return log


def since(log: Log) -> float:
    return time.time() - log.lag_seconds


def test_lines_on_their_way_are_as_old_as_docker_says_until_they_are_acknowledged(
    written: DockerLog,
) -> None:
    written.append(line("one\n", number=7))
    log = opened(written)
    assert log.lag_seconds < 60  # as it was seen: nobody has read it
    piece = log.step()
    assert piece is not None
    ticket = log.issue(piece)
    written.append(line("two\n", number=9))
    log.look()
    assert since(log) == pytest.approx(1_782_900_007.0, abs=5)
    log.ledger.settle(ticket)
    assert log.lag_seconds < 60
    assert log.lag_bytes > 0
    piece = log.step()
    assert piece is not None
    log.ledger.settle(log.issue(piece))
    assert log.lag_seconds == 0
    assert log.lag_bytes == 0
    log.close()


def test_a_torn_line_at_the_end_is_nobodys_lag_until_it_goes_on(written: DockerLog) -> None:
    written.append(b'{"log":"tor')
    log = opened(written)
    assert log.step() is None
    log.look()
    assert log.lag_bytes > 0
    assert log.lag_seconds == 0
    written.append(b'n\\n","stream":"stdout","time":"2026-07-01T10:00:07Z"}\n')
    log.look()
    assert log.lag_seconds > 0
    log.close()


def test_a_log_that_is_left_out_has_no_lag(written: DockerLog) -> None:
    written.write("one")
    log = opened(written)
    log.route = Route(ship=False)
    assert log.lag_seconds == log.lag_bytes == 0
    log.close()
