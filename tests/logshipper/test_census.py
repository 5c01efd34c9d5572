"""Dead letters that wait: the figures of metrics, status and the command are one."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from logshipper import census as module
from logshipper.census import Census
from logshipper.deadletter import FILE_NAME, DeadLetters, mark_of, offset_of
from logshipper.model import Refusal
from logshipper.sinkconfig import BulkConfig
from tests.logshipper.sending import Sending
from tests.logshipper.strict_sink import StrictSink


@pytest.fixture
def letters(tmp_path: Path) -> DeadLetters:
    return DeadLetters(tmp_path / FILE_NAME, limit_bytes=2000)


def bury(letters: DeadLetters, count: int = 1) -> None:
    letters.write([Refusal(b"document %d" % number, 400, "no") for number in range(count)])


def there(letters: DeadLetters) -> tuple[int, int]:
    """Reads all of them."""
    rests = [path.read_bytes()[offset_of(path) :] for path in letters.files()]
    return sum(len(rest.splitlines()) for rest in rests), sum(map(len, rests))


def counted(census: Census) -> tuple[int, int]:
    census.look()
    return census.letters, census.size_bytes


def test_none_is_none(letters: DeadLetters) -> None:
    assert counted(Census(letters)) == (0, 0)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_becomes_of_them_all_that_wait_are_counted(
    letters: DeadLetters, seed: int
) -> None:
    rng = random.Random(seed)
    census = Census(letters)

    def replay(path: Path) -> None:
        lines = path.read_bytes()[offset_of(path) :].splitlines(keepends=True)
        passed = sum(map(len, lines[: rng.randrange(len(lines) + 1)]))
        mark_of(path).write_text(str(offset_of(path) + passed))

    def finish(path: Path) -> None:
        path.unlink()
        mark_of(path).unlink(missing_ok=True)

    for _ in range(150):
        claimed = letters.claimed()
        match rng.randrange(8):
            case 0:
                letters.claim()
            case 1 | 2 if claimed:
                replay(claimed[0])
            case 3 if claimed:
                finish(claimed[0])
            case 4 if letters.path.exists():
                with letters.path.open("ab") as file:
                    file.write(b'{"time":1.5,"torn')  # a life that ended within a letter
            case _:
                bury(letters, rng.randrange(1, 5))
        if rng.random() < 0.7:
            assert counted(census) == there(letters)
    assert counted(census) == counted(Census(letters)) == there(letters)


def test_a_file_is_read_once(letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
    bury(letters, 9)
    census = Census(letters)
    read: list[int] = []
    lines = module._lines

    def watched(file: object, begin: int, end: int | None) -> tuple[int, int]:
        found = lines(file, begin, end)  # type: ignore[arg-type]
        read.append(found[0])
        return found

    monkeypatch.setattr(module, "_lines", watched)
    for _ in range(3):
        assert counted(census)[0] == 9
    bury(letters, 2)
    assert counted(census)[0] == 11
    assert sum(read) == 11


async def test_what_is_refused_now_is_told_now(tmp_path: Path) -> None:
    async with StrictSink() as sink:
        sending = Sending(BulkConfig(url=sink.url), tmp_path)
        bury(sending.letters, 3)
        task = asyncio.create_task(sending.delivery.census.keep())
        await sink.until(lambda: sending.delivery.census.letters == 3)
        sink.limit_bytes = 300
        await sending.deliver("x" * 1000)
        await sink.until(lambda: sending.delivery.census.letters == 4)
        size = sending.letters.path.stat().st_size
        assert sending.delivery.census.told() == {"letters": 4, "bytes": size}
        for name, value in (("dead_letters", 4), ("dead_letter_bytes", size)):
            series = f"wharfinger_logshipper_{name}"
            assert sending.registry.get_sample_value(series, {"sink": "main"}) == value
        assert json.loads(sending.letters.path.read_text().splitlines()[-1])["status"] == 413
        task.cancel()
        await sending.delivery.close()
