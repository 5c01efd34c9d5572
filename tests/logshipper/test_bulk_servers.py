"""`_bulk` as each of its servers understands it."""

from pathlib import Path

import pytest

from logshipper.sinkconfig import BulkConfig
from logshipper.sinks.contract import Indigestible
from logshipper.sinks.reply import judge_quickwit
from tests.logshipper.sending import PREFIX, Sending
from tests.stack.strict import answering, deaf
from tests.stack.strict_bulk import StrictElastic, StrictQuickwit, StrictVictoria


async def test_a_data_stream_is_in_the_address(tmp_path: Path) -> None:
    async with StrictElastic("/logs-shop-prod/_bulk") as server:
        sending = Sending(BulkConfig(url=server.url, index="logs-shop-prod"), tmp_path)
        server.moods = [deaf]
        server.poison = "poison"
        await sending.deliver("one", "poison", "two")
        assert server.messages == ["one", "two"]
        assert server.received[f"{PREFIX}0"] == 2  # recognised by its id, not stored twice
        assert len(sending.buried) == 1
        await sending.delivery.close()


async def test_an_index_with_a_date_is_the_line_s(tmp_path: Path) -> None:
    async with StrictElastic() as server:
        config = BulkConfig(url=server.url, index="logs-%Y.%m.%d", parameters={"pipeline": "p"})
        sending = Sending(config, tmp_path)
        await sending.deliver("one")
        assert server.indices == {f"{PREFIX}0": "logs-2026.07.01"}
        assert server.queries == [{"pipeline": "p"}]
        await sending.delivery.close()


async def test_an_api_key_is_shown(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("VuaCfGcBCdbkQm-e5aOx\n")
    async with StrictElastic("/logs/_bulk") as server:
        server.authorization = "ApiKey VuaCfGcBCdbkQm-e5aOx"
        sending = Sending(BulkConfig(url=server.url, index="logs", api_key_file=key), tmp_path)
        await sending.deliver("one")
        assert server.messages == ["one"]
        await sending.delivery.close()


async def test_victorialogs_loses_nothing_behind_a_line_that_it_drops(tmp_path: Path) -> None:
    async with StrictVictoria() as server:
        config = BulkConfig(
            url=f"{server.url}/insert/elasticsearch",
            parameters={"_msg_field": "message", "_time_field": "@timestamp"},
        )
        sending = Sending(config, tmp_path)
        texts = [f"line {number}" for number in range(20)]
        await sending.deliver(*texts[:10], "x" * 300_000, *texts[10:])
        assert set(server.lines) == set(texts)
        [letter] = sending.buried
        assert letter["status"] == 400
        await sending.delivery.close()


async def test_quickwit_tells_nothing_of_single_documents(tmp_path: Path) -> None:
    async with StrictQuickwit() as server:
        config = BulkConfig(url=f"{server.url}/api/v1/_elastic", index="logs", server="quickwit")
        sending = Sending(config, tmp_path)
        server.moods = [answering(429), answering(200, "<html>"), answering(200, '{"errors":true}')]
        await sending.deliver("one", "two")
        assert sorted(server.messages) == ["one", "two"]
        assert sending.buried == []
        await sending.delivery.close()


def test_quickwit_s_results_count_where_it_gives_them() -> None:
    reply = b'{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400}}]}'
    verdict = judge_quickwit([b"a", b"b"], reply)
    assert (verdict.accepted, len(verdict.refused)) == (1, 1)
    with pytest.raises(Indigestible):
        judge_quickwit([b"a", b"b", b"c"], reply)
