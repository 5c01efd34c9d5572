"""Dead letters: kept byte for byte, shown, and sent once more without losing any."""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from logshipper.deadletter import FILE_NAME, DeadLetters, read_letter
from logshipper.model import Refusal
from logshipper.replay import Replay
from logshipper.sinkconfig import JsonlineConfig, OtlpConfig
from logshipper.sinks.catalogue import make
from tests.logshipper.sending import FIELDS, Sending, encoded
from tests.stack.strict import StrictJsonline, StrictOtlp, StrictServer, answering, hanging
from wharfinger.backoff import Backoff
from wharfinger.errors import Conflict, Unavailable


class Grave:
    """Dead letters of a jsonline sink, and replays of them."""

    def __init__(self, server: StrictJsonline, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.sink = make(JsonlineConfig(url=f"{server.url}/insert/jsonline"))
        self.letters = DeadLetters(folder / FILE_NAME, "jsonline")

    def bury(self, *texts: str, begin: int = 0) -> None:
        documents = encoded(self.sink.encoding.compile(FIELDS), texts, begin=begin)
        self.letters.write([Refusal(each, 400, "no") for each in documents])

    def replay(self) -> Replay:
        return Replay(self.letters, self.sink, Backoff(0.001, 0.002))

    @property
    def kept(self) -> list[bytes]:
        return [line for path in self.letters.files() for line in path.read_bytes().splitlines()]


@pytest.fixture
async def grave(tmp_path: Path) -> AsyncIterator[Grave]:
    async with StrictJsonline() as server:
        made = Grave(server, tmp_path)
        yield made
        await made.sink.close()


async def test_letters_are_sent_and_gone(grave: Grave) -> None:
    grave.bury(*(f"letter {n}" for n in range(50)))
    replay = grave.replay()
    await replay.run()
    assert len(grave.server.documents) == 50
    assert (replay.outcome.delivered, replay.outcome.refused) == (50, 0)
    assert grave.kept == []
    # Again: nothing is left, and nothing happens.
    replay = grave.replay()
    await replay.run()
    assert replay.outcome.delivered == 0
    assert sum(grave.server.received.values()) == 50


async def test_what_is_refused_again_is_kept_and_counted(grave: Grave) -> None:
    grave.bury("good", "poison", "fine")
    grave.server.poison = "poison"
    for number in (1, 2):
        replay = grave.replay()
        await replay.run()
        assert replay.outcome.refused == 1
        [line] = grave.kept
        letter = read_letter(line)
        assert b"poison" in letter.content
        assert letter.replays == number
    assert sorted(grave.server.messages) == ["fine", "good"]


async def test_a_sink_that_is_down_costs_no_letter(grave: Grave) -> None:
    grave.bury("one", "two")
    grave.server.moods = [answering(503)] * 5
    with pytest.raises(Unavailable):
        await grave.replay().run()
    grave.bury("three", begin=10)
    assert len(grave.kept) == 3
    await grave.replay().run()
    assert sorted(grave.server.messages) == ["one", "three", "two"]
    assert grave.kept == []


async def test_a_replay_that_was_killed_goes_on_where_it_was(
    grave: Grave, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.replay.BATCH_BYTES", 1)  # every letter by itself
    grave.bury("one", "two", "three")
    grave.server.moods = [_taken, hanging]
    running = asyncio.create_task(grave.replay().run())
    async with asyncio.timeout(30):
        while len(grave.server.headers) < 2:  # noqa: ASYNC110 - of a server in this loop
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await grave.replay().run()
    assert sorted(grave.server.messages) == ["one", "three", "two"]
    assert grave.server.received.total() == 3
    assert grave.kept == []


async def _taken(server: StrictServer, request: web.Request, body: bytes) -> web.StreamResponse:
    return await server.take(request, gzip.decompress(body))


async def test_only_one_replay_runs(grave: Grave) -> None:
    grave.bury("one")
    with grave.letters.locked("replaying"), pytest.raises(Conflict):
        await grave.replay().run()
    assert len(grave.kept) == 1


async def test_what_cannot_be_read_stays_as_it_is(grave: Grave) -> None:
    grave.letters.path.write_bytes(
        b'{"torn\n\xff\xfe\n{"time":1,"status":2,"reason":"x","type":"loki"}\n'
    )
    before = sorted(grave.kept)
    grave.bury("one")
    replay = grave.replay()
    await replay.run()
    assert (replay.outcome.delivered, replay.outcome.unreadable) == (1, 3)
    assert sorted(grave.kept) == before


async def test_letters_that_come_meanwhile_wait_for_the_next_replay(grave: Grave) -> None:
    grave.bury("one")

    async def burying(
        server: StrictServer, request: web.Request, body: bytes
    ) -> web.StreamResponse:
        await asyncio.to_thread(grave.bury, "late", begin=10)
        return await _taken(server, request, body)

    grave.server.moods = [burying]
    await grave.replay().run()
    assert grave.server.messages == ["one"]
    assert len(grave.kept) == 1


async def test_bytes_that_are_no_text_come_back_as_they_were(tmp_path: Path) -> None:
    async with StrictOtlp() as server:
        server.poison = "poison"
        sending = Sending(OtlpConfig(url=server.url), tmp_path)
        await sending.deliver("poison", "good")
        [letter] = sending.buried
        assert "document_base64" in letter
        server.poison = "other"
        replay = Replay(sending.letters, sending.sink)
        await replay.run()
        assert sorted(server.messages) == ["good", "poison"]
        await sending.delivery.close()


def test_a_letter_of_an_older_version_is_one_of_bulk() -> None:
    letter = read_letter(b'{"time":1.0,"status":400,"reason":"no","document":"{}\\n{}\\n"}')
    assert (letter.type, letter.content) == ("bulk", b"{}\n{}\n")


def command(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "logshipper", "dead-letter", *arguments, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command_lists_and_replays(grave: Grave, tmp_path: Path) -> None:
    config = tmp_path / "wharfinger.toml"
    config.write_text(
        f'[host]\nstate_dir = "{tmp_path}/state"\n'
        f'[[logshipper.sinks]]\nname = "a"\ntype = "jsonline"\n'
        f'url = "{grave.server.url}/insert/jsonline"\n'
        '[[logshipper.sinks]]\nname = "b"\ntype = "file"\n'
    )
    folder = tmp_path / "state" / "logshipper" / "a"
    folder.mkdir(parents=True)
    grave.letters = DeadLetters(folder / FILE_NAME, "jsonline")
    grave.bury("one", "po\x1b[31mison")
    grave.server.poison = "mison"

    listed = await asyncio.to_thread(command, config, "list")
    assert listed.returncode == 0, listed.stderr
    size = grave.letters.path.stat().st_size
    assert f"a: 2 dead letters, {size:,} bytes" in listed.stdout
    assert "b: 0 dead letters, 0 bytes" in listed.stdout
    assert "\x1b" not in listed.stdout
    told = json.loads((await asyncio.to_thread(command, config, "list", "--json")).stdout)
    assert [(sink["letters"], sink["bytes"]) for sink in told["sinks"]] == [(2, size), (0, 0)]
    assert told["sinks"][0]["newest"][0]["status"] == 400

    grave.server.poison = "ison"
    done = await asyncio.to_thread(command, config, "replay", "--sink", "a", "--json")
    assert done.returncode == 0, done.stderr
    [sink] = json.loads(done.stdout)["sinks"]
    assert (sink["delivered"], sink["refused"], sink["trouble"]) == (1, 1, "")
    grave.server.moods = [answering(503)] * 5
    done = await asyncio.to_thread(command, config, "replay", "--sink", "a")
    assert done.returncode == 75
    assert "the rest is kept" in done.stdout
    assert (await asyncio.to_thread(command, config, "list", "--sink", "nobody")).returncode == 64
