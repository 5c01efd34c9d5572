"""Each sink over HTTP against a server that holds it to its protocol's rules."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logshipper.model import Message
from logshipper.sinkconfig import (
    AnySink,
    JsonlineConfig,
    LokiConfig,
    OtlpConfig,
    SlsConfig,
)
from tests.logshipper.sending import CONTAINER, FIELDS, PREFIX, Sending, encoded
from tests.stack.strict import (
    StrictJsonline,
    StrictLoki,
    StrictOtlp,
    StrictServer,
    StrictSls,
    answering,
    deaf,
    hanging,
)
from tests.stack.tls import Authority
from wharfinger.errors import ConfigError, Unavailable

WHEN = 1_782_900_007_000_000_001


@dataclass
class Case:
    server: StrictServer
    config: Callable[..., AnySink]

    def sending(self, folder: Path, **settings: Any) -> Sending:
        return Sending(self.config(request_timeout_seconds=0.5, **settings), folder)


@pytest.fixture(params=["loki", "otlp", "jsonline", "sls"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    key = tmp_path / "key"
    key.write_text("id\nsecret\n")
    kinds: dict[str, tuple[StrictServer, Callable[..., AnySink]]] = {
        "loki": (StrictLoki(), lambda url, **more: LokiConfig(url=url, **more)),
        "otlp": (StrictOtlp(), lambda url, **more: OtlpConfig(url=url, **more)),
        "jsonline": (
            StrictJsonline(),
            lambda url, **more: JsonlineConfig(url=f"{url}/insert/jsonline", **more),
        ),
        "sls": (
            StrictSls(),
            lambda url, **more: SlsConfig(url=url, access_key_file=key, **more),
        ),
    }
    server, config = kinds[request.param]
    async with server:
        yield Case(server, lambda **more: config(server.url, **more))


async def test_lines_arrive_as_they_are(case: Case, tmp_path: Path) -> None:
    sending = case.sending(tmp_path)
    texts = ["plain", 'say "hi" \\ \t', "\N{SNOWMAN} 数据库连接超时", "", "x" * 5000]
    await sending.deliver(*texts)
    assert case.server.messages == texts
    assert list(case.server.documents) == [f"{PREFIX}{n:x}" for n in range(len(texts))]
    first = case.server.documents[f"{PREFIX}0"]
    if not isinstance(case.server, StrictJsonline):
        assert int(first["when"]) == WHEN
    assert {"shop", "prod", "h1", CONTAINER, "web", "shop:1", "stdout"} <= set(
        map(str, first.values())
    )
    await sending.delivery.close()


@pytest.mark.parametrize(
    "mood",
    [
        answering(429, Retry_After="0"),
        answering(503),
        answering(500),
        answering(401),
        answering(403),
        answering(404),
        answering(302, Location="http://127.0.0.1:1/steal"),
        hanging,
        deaf,
    ],
)
async def test_what_is_not_taken_is_sent_again(case: Case, tmp_path: Path, mood: Any) -> None:
    sending = case.sending(tmp_path)
    case.server.moods = [mood, mood]
    await sending.deliver("one", "two", "three")
    assert case.server.messages == ["one", "two", "three"]
    assert sending.buried == []
    await sending.delivery.close()


@pytest.mark.parametrize("case", ["loki", "otlp", "jsonline"], indirect=True)
async def test_a_413_halves(case: Case, tmp_path: Path) -> None:
    sending = case.sending(tmp_path)
    case.server.limit_bytes = 20_000
    await sending.deliver(*("y" * 1000 for _ in range(50)), "z" * 30_000)
    assert sorted(set(case.server.messages)) == ["y" * 1000]
    assert len(case.server.documents) == 50
    [letter] = sending.buried
    assert letter["status"] == 413
    await sending.delivery.close()


@pytest.mark.parametrize("case", ["otlp", "jsonline", "sls"], indirect=True)
async def test_poison_is_found_among_the_good(case: Case, tmp_path: Path) -> None:
    sending = case.sending(tmp_path)
    case.server.poison = "poison"
    await sending.deliver(
        *(f"good {n}" for n in range(20)), "poison", *(f"fine {n}" for n in range(20))
    )
    assert len(case.server.documents) == 40
    [letter] = sending.buried
    assert letter["status"] == 400
    await sending.delivery.close()


@pytest.mark.parametrize("case", ["jsonline"], indirect=True)
@pytest.mark.parametrize("goods", [0, 1, 40])
async def test_lines_that_a_success_counts_as_refused_are_found(
    case: Case, tmp_path: Path, goods: int
) -> None:
    sending = case.sending(tmp_path)
    assert isinstance(case.server, StrictJsonline)
    case.server.poison, case.server.counts = "poison", True
    await sending.deliver("poison", *(f"good {n}" for n in range(goods)), "more poison")
    assert case.server.messages == [f"good {n}" for n in range(goods)]
    assert [letter["status"] for letter in sending.buried] == [200, 200]
    assert all("rejected" in str(letter["reason"]) for letter in sending.buried)
    await sending.delivery.close()


@pytest.mark.parametrize("case", ["jsonline"], indirect=True)
@pytest.mark.parametrize(
    "body", ["", "ok", "[1]", '{"rejected":"some"}', '{"rejected":-1}', "{}", "[" * 5000, "\xff"]
)
async def test_a_success_that_counts_nothing_is_one(case: Case, tmp_path: Path, body: str) -> None:
    sending = case.sending(tmp_path)
    case.server.moods = [answering(200, body)]
    await sending.deliver("one", "two")
    assert len(case.server.headers) == 1
    assert sending.buried == []
    await sending.delivery.close()


@pytest.mark.parametrize("case", ["loki", "otlp", "jsonline"], indirect=True)
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_bodies_are_packed_as_asked(case: Case, tmp_path: Path, compression: str) -> None:
    sending = case.sending(tmp_path, compression=compression)
    await sending.deliver("one")
    assert case.server.messages == ["one"]
    packed = case.server.headers[0].get("Content-Encoding", "none")
    assert packed == compression
    await sending.delivery.close()


async def test_a_rotated_secret_is_taken_up_without_a_restart(case: Case, tmp_path: Path) -> None:
    if isinstance(case.server, StrictSls):
        (tmp_path / "key").write_text("id\nformer-one\n")
        sending = case.sending(tmp_path)
        delivering = asyncio.create_task(sending.deliver("one"))
        await _until(lambda: bool(case.server.headers))
        (tmp_path / "key").write_text("id\nsecret\n")
    else:
        token = tmp_path / "token"
        token.write_text("former-one\n")
        case.server.authorization = "Bearer new"
        sending = case.sending(tmp_path, token_file=token)
        delivering = asyncio.create_task(sending.deliver("one"))
        await _until(lambda: bool(case.server.headers))
        token.write_text("new\n")
    await delivering
    assert case.server.messages == ["one"]
    assert "former-one" not in str(sending.events.since(0))
    await sending.delivery.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - of a server in this loop
            await asyncio.sleep(0.01)


async def test_loki_groups_by_few_labels(tmp_path: Path) -> None:
    async with StrictLoki() as server:
        sending = Sending(LokiConfig(url=server.url), tmp_path)
        await sending.deliver("one", "two")
        assert list(server.streams) == [
            '{"app": "shop", "env": "prod", "host": "h1", "stream": "stdout"}'
        ]
        await sending.delivery.close()


async def test_loki_s_refusals_become_dead_letters_and_the_rest_arrives(tmp_path: Path) -> None:
    async with StrictLoki() as server:
        sending = Sending(LokiConfig(url=server.url), tmp_path)
        await sending.deliver("new")
        labels = next(iter(server.streams))
        server.streams[labels] += 2 * server.behind_ns
        # Everything is too old: one request tells, and nothing is tried for ever.
        await sending.deliver("a", "b", "c")
        assert [letter["status"] for letter in sending.buried] == [400] * 3
        assert "too far behind" in str(sending.buried[0]["reason"])
        assert len(server.headers) == 2
        server.streams[labels] = 0
        server.line_bytes = 100
        await sending.delivery.deliver(
            sending.documents("short", "x" * 200, "also short", begin=10)
        )
        assert server.messages == ["new", "short", "also short"]
        assert len(sending.buried) == 4
        await sending.delivery.close()


async def test_what_is_older_than_loki_takes_is_found_by_its_time(tmp_path: Path) -> None:
    async with StrictLoki() as server:
        sending = Sending(LokiConfig(url=server.url), tmp_path)
        server.oldest_ns = (WHEN // 10**9 + 1) * 10**9
        old = sending.documents(*(f"old {number}" for number in range(500)))
        young = Message(f"{PREFIX}fff", "young", "stdout", "2026-07-01T10:00:09Z")
        encoder = sending.sink.encoding.compile(FIELDS)
        await sending.delivery.deliver([*old, encoder.message(young)])
        assert server.messages == ["young"]
        assert len(sending.buried) == 500
        assert len(server.headers) == 2
        await sending.delivery.close()


async def test_what_loki_ignored_of_one_stream_buries_nothing_of_another(tmp_path: Path) -> None:
    said = (
        "entry with timestamp x ignored, reason: 'entry too far behind', total ignored: 1 out of 1"
    )
    async with StrictLoki() as server:
        sending = Sending(LokiConfig(url=server.url), tmp_path)
        others = sending.sink.encoding.compile({**FIELDS, "app": "bank"})
        documents = [*sending.documents("one"), *encoded(others, ["two"], begin=9)]
        server.moods = [answering(400, said)]
        await sending.delivery.deliver(documents)
        assert sorted(server.messages) == ["one", "two"]
        assert sending.buried == []
        await sending.delivery.close()


async def test_more_metadata_than_loki_takes_is_buried_at_once(tmp_path: Path) -> None:
    said = (
        "stream '{app=\"shop\"}' has too many structured metadata labels: '150', limit: '128'. "
        "Please see `limits_config.max_structured_metadata_entries_count`"
    )
    async with StrictLoki() as server:
        sending = Sending(LokiConfig(url=server.url), tmp_path)
        server.moods = [answering(400, said)]
        await sending.deliver("one")
        assert [letter["reason"] for letter in sending.buried] == [said]
        assert len(server.headers) == 1
        await sending.delivery.close()


async def test_loki_s_complaint_about_a_proxy_buries_nothing(tmp_path: Path) -> None:
    async with StrictLoki() as server:
        sending = Sending(LokiConfig(url=server.url), tmp_path)
        server.moods = [answering(400, "unsupported header")] * 4
        await sending.deliver("one")
        assert server.messages == ["one"]
        assert sending.buried == []
        await sending.delivery.close()


async def test_a_partial_success_is_not_sent_again(tmp_path: Path) -> None:
    async with StrictOtlp() as server:
        server.partial = 1
        sending = Sending(OtlpConfig(url=server.url), tmp_path)
        await sending.deliver("one", "two")
        assert set(server.received.values()) == {1}
        assert len(sending.buried) == 2
        assert "1 of these 2 refused: too many attributes" in str(sending.buried[0]["reason"])
        await sending.delivery.close()


async def test_an_answer_that_is_no_otlp_is_not_believed(tmp_path: Path) -> None:
    async with StrictOtlp() as server:
        sending = Sending(OtlpConfig(url=server.url), tmp_path)
        server.moods = [answering(200, "<html>welcome</html>")]
        await sending.deliver("one")
        assert server.messages == ["one"]
        await sending.delivery.close()


async def test_sls_takes_its_limits_from_us(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("id\nsecret\n")
    async with StrictSls() as server:
        config = SlsConfig(url=server.url, access_key_file=tmp_path / "key", topic="t")
        sending = Sending(config, tmp_path)
        await sending.deliver(*("w" * 300_000 for _ in range(20)))
        assert len(server.documents) == 20
        assert {group.Topic for group in server.groups} == {"t"}
        assert len(server.groups) > 1
        await sending.delivery.close()


async def test_a_quota_of_sls_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("id\nsecret\n")
    async with StrictSls() as server:
        sending = Sending(SlsConfig(url=server.url, access_key_file=tmp_path / "key"), tmp_path)
        server.moods = [answering(403, '{"errorCode":"WriteQuotaExceed"}')]
        await sending.deliver("one")
        assert server.messages == ["one"]
        assert sending.buried == []
        await sending.delivery.close()


async def test_headers_and_parameters_are_sent(tmp_path: Path) -> None:
    async with StrictJsonline() as server:
        server.content_type = "application/x-ndjson"
        config = JsonlineConfig(
            url=f"{server.url}/insert/jsonline",
            headers={"AccountID": "12", "content-type": "application/x-ndjson"},
            parameters={"_msg_field": "message", "_stream_fields": "app,env"},
        )
        sending = Sending(config, tmp_path)
        await sending.deliver("one")
        assert server.headers[0]["AccountID"] == "12"
        assert server.queries[0] == {"_msg_field": "message", "_stream_fields": "app,env"}
        await sending.delivery.close()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("token_file", "Bearer s3cret"),
        ("api_key_file", "ApiKey s3cret"),
        ("password_file", "Basic bWU6czNjcmV0"),
    ],
)
async def test_each_way_to_say_who_one_is(tmp_path: Path, key: str, expected: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    async with StrictJsonline() as server:
        server.authorization = expected
        user = {"user": "me"} if key == "password_file" else {}
        config = JsonlineConfig(url=f"{server.url}/insert/jsonline", **{key: secret}, **user)  # type: ignore[arg-type]
        sending = Sending(config, tmp_path)
        await sending.deliver("one")
        assert len(server.headers) == 1
        await sending.delivery.close()


async def test_a_header_of_ones_own_may_be_secret_and_is_read_again(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("old\n")
    async with StrictJsonline() as server:
        url = f"{server.url}/insert/jsonline"
        sending = Sending(JsonlineConfig(url=url, header_files={"X-Api-Key": secret}), tmp_path)
        await sending.deliver("one")
        secret.write_text("new\n")
        server.moods = [answering(401, "who?")]
        await sending.delivery.deliver(sending.documents("two", begin=9))
        assert [each["X-Api-Key"] for each in server.headers] == ["old", "old", "new"]
        await sending.delivery.close()


async def test_both_sides_show_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    ours, stranger = authority.issue("shipper", "shipper"), Authority(tmp_path / "other", "other")
    theirs = authority.issue("server", "127.0.0.1")
    server = StrictJsonline()
    server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca_file)
    server.tls.load_cert_chain(theirs.cert_file, theirs.key_file)
    server.tls.verify_mode = ssl.CERT_REQUIRED
    async with server:
        config = partial(
            JsonlineConfig,
            url=f"{server.url}/insert/jsonline",
            ca_file=authority.ca_file,
            request_timeout_seconds=5.0,
        )
        sending = Sending(config(cert_file=ours.cert_file, key_file=ours.key_file), tmp_path)
        await sending.deliver("one")
        assert server.messages == ["one"]
        await sending.delivery.close()
        wrong = stranger.issue("wrong", "wrong")
        for settings in (
            {"cert_file": wrong.cert_file, "key_file": wrong.key_file},
            {"ca_file": stranger.ca_file},
            {},
        ):
            sending = Sending(config(**settings), tmp_path)
            with pytest.raises(Unavailable):
                await sending.sink.send(sending.documents("two"))
            await sending.delivery.close()
        assert server.messages == ["one"]


async def test_certificates_that_were_renewed_are_taken_up_after_a_refusal(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    theirs = authority.issue("server", "127.0.0.1")
    server = StrictJsonline()
    server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca_file)
    server.tls.load_cert_chain(theirs.cert_file, theirs.key_file)
    server.tls.verify_mode = ssl.CERT_REQUIRED
    cert, key, ca = (tmp_path / name for name in ("cert", "key", "ca.pem"))

    def put(ends: datetime | None = None) -> None:
        pair = authority.issue("shipper", ends=ends)
        for path, content in ((cert, pair.cert_file), (key, pair.key_file)):
            path.write_bytes(content.read_bytes())

    put(datetime.now(UTC) - timedelta(hours=2))
    ca.write_bytes(Authority(tmp_path / "other", "other").ca_file.read_bytes())
    async with server:
        url = f"{server.url}/insert/jsonline"
        config = JsonlineConfig(url=url, ca_file=ca, cert_file=cert, key_file=key)
        sending = Sending(config, tmp_path)
        documents = sending.documents("one")
        with pytest.raises(Unavailable, match="not to be trusted"):
            await sending.sink.send(documents)
        ca.write_bytes(authority.ca_file.read_bytes())
        with pytest.raises(Unavailable):
            await sending.sink.send(documents)  # what was read before the last refusal
        with pytest.raises(Unavailable, match=r"cert_file .* ended at .*: put a new pair"):
            await sending.sink.send(documents)
        put()
        with pytest.raises(Unavailable):
            await sending.sink.send(documents)
        assert (await sending.sink.send(documents)).accepted == 1
        key.write_text("torn")
        await server.__aexit__()
        with pytest.raises(Unavailable, match="cannot be read again"):
            await sending.sink.send(documents)
        await sending.delivery.close()


async def test_a_reload_reads_secrets_again_and_keeps_the_old_if_there_is_none(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    async with StrictJsonline() as server:
        config = JsonlineConfig(url=f"{server.url}/insert/jsonline", token_file=token)
        sending = Sending(config, tmp_path)
        token.write_text("new\n")
        sending.sink.refresh()
        await sending.deliver("one")
        token.unlink()
        with pytest.raises(ConfigError, match="token_file"):
            sending.sink.refresh()
        await sending.delivery.deliver(sending.documents("two", begin=5))
        assert [each["Authorization"] for each in server.headers] == ["Bearer new"] * 2
        await sending.delivery.close()
