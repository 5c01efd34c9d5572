"""The sink for `_bulk` into the real log store: indices, tokens, and documents that come twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from logshipper.sinkconfig import BulkConfig
from tests.integration.test_logstore import Server
from tests.logshipper.sending import Sending
from wharfinger.errors import Unavailable

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Server]:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    tokens.chmod(0o600)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client:
        made = Server(tmp_path, client, ingest_token_file=tokens, retention_days=3650)
        await made.start()
        yield made
        await made.process.kill()


async def test_every_way_of_asking_is_understood(store: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    ways = {
        "bearer": BulkConfig(url=store.url, token_file=secret),
        "apikey": BulkConfig(url=store.url, api_key_file=secret, index="logs-%Y.%m.%d"),
        "basic": BulkConfig(url=store.url, user="any", password_file=secret, index="logs"),
        "prefix": BulkConfig(
            url=f"{store.url}/insert/elasticsearch", token_file=secret, compression="none"
        ),
    }
    for number, (name, config) in enumerate(ways.items()):
        sending = Sending(config, tmp_path)
        documents = sending.documents(f"{name} one", f"{name} two", begin=100 * number)
        for _ in range(2):  # the answer to the first was lost
            verdict = await sending.sink.send(documents)
            assert verdict.accepted == 2
        await sending.delivery.close()
    expected = [f"{name} {count}" for name in ways for count in ("one", "two")]
    assert sorted(await store.messages()) == sorted(expected)


async def test_a_wrong_token_stores_nothing(store: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("f" * 32 + "\n")
    sending = Sending(BulkConfig(url=store.url, token_file=secret), tmp_path)
    with pytest.raises(Unavailable, match="is token_file right"):
        await sending.sink.send(sending.documents("one"))
    assert await store.messages() == []
    await sending.delivery.close()
