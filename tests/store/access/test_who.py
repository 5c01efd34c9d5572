"""Who may, over HTTP: tokens that change, sessions, proxies, pages of other sites."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, WSMsgType, WSServerHandshakeError, encode_basic_auth
from aiohttp.test_utils import make_mocked_request

from logshipper.store.access import keyfile
from logshipper.store.access.callers import Caller
from logshipper.store.access.door import Door
from logshipper.store.access.rules import Rules
from tests.store.running import ACTION, Make, Store
from wharfinger.operator.parts.process import until
from wharfinger.rereading import Rereading

OLD, NEW = {"Authorization": "Bearer old-token-1"}, {"Authorization": "Bearer new-token-2"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logshipper.store.who._LOOK_SECONDS", 0.05)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("old-token-1 default ops\n")
    return path


def write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


async def status(store: Store, headers: dict[str, str], path: str = "/api/whoami") -> int:
    answer = await store.client.get(path, headers=headers)
    await answer.read()
    return answer.status


def why(store: Store, name: str) -> str:
    checks = store.scope.health.report().checks
    return next(check.why for check in checks if check.name == name)


def sample(store: Store, name: str, **labels: str) -> float:
    return store.scope.metrics.get_sample_value(f"wharfinger_logstore_{name}", labels) or 0.0


async def test_a_changed_token_file_counts_without_a_restart(make: Make, tokens: Path) -> None:
    store = await make(read_token_file=tokens, ingest_token_file=tokens)
    assert await store.get("/api/whoami", headers=OLD) == {
        "tenant": "default",
        "name": "ops",
        "may": ["read", "write"],
    }
    write(tokens, "old-token-1\nnew-token-2 team-b\n")  # both, for as long as it takes

    async def taken() -> bool:
        return await status(store, NEW) == 200

    await until(taken, timeout_seconds=10, what="the new token is good")
    assert await status(store, OLD) == 200
    write(tokens, "new-token-2 team-b\n")

    async def gone() -> bool:
        return await status(store, OLD) == 401

    await until(gone, timeout_seconds=10, what="the old token is no longer good")
    assert (await store.bulk(ACTION, "{}", headers=OLD)).status == 401
    assert (await store.bulk(ACTION, '{"message":"m"}', headers=NEW)).status == 200


@pytest.mark.parametrize("bad", ["", "short\n", "new-token-2 ../x\n", None])
async def test_a_bad_token_file_is_refused_and_the_old_tokens_kept(
    make: Make, tokens: Path, bad: str | None
) -> None:
    store = await make(read_token_file=tokens)
    write(tokens, bad)

    async def refused() -> bool:
        return "refused" in why(store, "token files")

    await until(refused, timeout_seconds=10, what="health says so")
    assert "read_token_file" in why(store, "token files")
    assert await status(store, OLD) == 200
    write(tokens, "new-token-2\n")

    async def taken() -> bool:
        return not why(store, "token files") and await status(store, NEW) == 200

    await until(taken, timeout_seconds=10, what="the mended file counts")
    assert await status(store, OLD) == 401


@pytest.mark.parametrize("endpoint", ["tail", "export"])
async def test_a_revoked_token_ends_what_is_open(
    make: Make, tokens: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(read_token_file=tokens)
    if endpoint == "export":
        await store.add("one")
        sending = asyncio.Event()

        async def never(*_: Any) -> None:
            sending.set()
            await asyncio.Event().wait()

        monkeypatch.setattr("logshipper.store.http.guard.send", never)
    answer = await store.client.get(f"/api/{endpoint}", headers=OLD)
    assert answer.status == 200
    if endpoint == "tail":
        assert await answer.content.readline() == b": following\n"
        await answer.content.readline()
    else:
        await sending.wait()
    write(tokens, "new-token-2\n")
    async with asyncio.timeout(10):
        with contextlib.suppress(ClientError):
            assert await answer.content.readline() == b""
    assert await status(store, OLD) == 401
    outcomes = [e["outcome"] for _, e in store.scope.events.since(0) if "outcome" in e]
    assert "revoked" in outcomes


def test_a_certificate_whose_name_is_another_s_now_no_longer_reads() -> None:
    door = Door(Rules(user_tenants={"alice": "team-a"}), keyfile.fresh())
    request = make_mocked_request("GET", "/api/tail")
    caller = Caller("team-a", "alice", "127.0.0.1", "certificate", ("certificate", "alice"))
    assert door.holds(request, caller)
    for rules in (Rules(user_tenants={"alice": "team-b"}), Rules(user_tenant="")):
        door.rules = rules
        assert not door.holds(request, caller)


async def test_files_that_cannot_be_looked_at_turn_health_red(
    make: Make, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logshipper.store.who._STALE_SECONDS", 0.3)
    store = await make(read_token_file=tokens)
    monkeypatch.setattr(Rereading, "look", lambda _self: asyncio.Event().wait())

    async def red() -> bool:
        return "stale" in why(store, "file watch")

    await until(red, timeout_seconds=10, what="health says that nobody looks")


async def test_a_tail_of_a_token_that_stays_goes_on(make: Make, tokens: Path) -> None:
    store = await make(read_token_file=tokens)
    answer = await store.client.get("/api/tail", headers=OLD)
    await answer.content.readuntil(b"\n\n")
    write(tokens, "new-token-2\nold-token-1\n")

    async def taken() -> bool:
        return await status(store, NEW) == 200

    await until(taken, timeout_seconds=10, what="the file was read again")
    await store.add("still there")
    assert b"still there" in await answer.content.readuntil(b"\n\n")
    answer.close()


async def login(store: Store, token: str, **headers: str) -> Any:
    body = json.dumps({"token": token})
    return await store.client.post("/api/login", data=body, headers={**JSON, **headers})


async def test_a_session_reads_and_does_nothing_else(make: Make, tokens: Path) -> None:
    store = await make(read_token_file=tokens, ingest_token_file=tokens)
    assert (await login(store, "wrong-token")).status == 401
    answer = await login(store, "old-token-1")
    assert await answer.json() == {"tenant": "default", "name": "ops", "may": ["read"]}
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert "old-token-1" not in cookie
    # The client's jar has it now, as a browser's would.
    assert (await store.get("/api/search"))["hits"] == []
    assert (await store.get("/api/whoami"))["name"] == "ops"
    assert (await store.bulk(ACTION, "{}")).status == 401
    assert (await store.client.put("/_template/x")).status == 401
    tail = await store.client.get("/api/tail")
    await tail.content.readuntil(b"\n\n")
    assert (await store.client.post("/api/logout")).status == 204
    assert await status(store, {}) == 401
    tail.close()


async def test_a_session_ends_with_its_token_and_with_its_time(
    make: Make, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(read_token_file=tokens)
    await login(store, "old-token-1")
    assert await status(store, {}) == 200
    monkeypatch.setattr(store.daemon._who.door, "_wall", lambda: 4e9)
    assert await status(store, {}) == 401
    monkeypatch.undo()
    assert await status(store, {}) == 200
    write(tokens, "new-token-2\n")
    await store.daemon.reload(store.daemon._config)
    assert await status(store, {}) == 401


async def test_a_session_outlives_a_restart(make: Make, tokens: Path) -> None:
    first = await make(read_token_file=tokens)
    cookies = (await login(first, "old-token-1")).cookies
    first.scope.stopping.set()
    await first.daemon.drain()
    await first.scope.close()
    second = await make(read_token_file=tokens)
    value = {name: morsel.value for name, morsel in cookies.items()}
    assert (await second.client.get("/api/whoami", cookies=value)).status == 200
    [key] = second.daemon._folder.root.glob("*.key")
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ('{"token":"old-token-1"}', "text/plain", 415),
        ("token=old-token-1", "application/x-www-form-urlencoded", 415),
        ("{}", "application/json", 400),
        ("{", "application/json", 400),
        ('{"token":1}', "application/json", 400),
        (json.dumps({"token": "x" * 5000}), "application/json", 413),
        ('{"token":""}', "application/json", 401),
    ],
)
async def test_what_is_no_sign_in(
    make: Make, tokens: Path, body: str, kind: str, code: int
) -> None:
    store = await make(read_token_file=tokens)
    answer = await store.client.post("/api/login", data=body, headers={"Content-Type": kind})
    assert answer.status == code
    assert "Set-Cookie" not in answer.headers


async def test_the_page_s_own_requests_are_not_challenged(make: Make, tokens: Path) -> None:
    """A challenge would make the browser ask in a window of its own, in place of our form."""
    store = await make(read_token_file=tokens)
    page = await store.client.get("/", headers={"Accept": "text/html"})
    assert page.status == 200
    by_page = await store.client.get("/api/search", headers={"X-Requested-With": "logstore"})
    assert (by_page.status, "WWW-Authenticate" in by_page.headers) == (401, False)
    by_hand = await store.client.get("/api/search")
    assert by_hand.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer old-token-1",
        encode_basic_auth("elastic", "old-token-1"),  # curl -u, Fluent Bit's HTTP_User, Filebeat
        encode_basic_auth("", "old-token-1"),
        "ApiKey b3BzOm9sZC10b2tlbi0x",  # Filebeat's api_key: base64 of id:token
        "basic " + encode_basic_auth("x", "old-token-1").partition(" ")[2],
    ],
)
async def test_senders_show_it_as_they_can(make: Make, tokens: Path, header: str) -> None:
    store = await make(ingest_token_file=tokens)
    for agent in ("Fluent-Bit", "Elastic-filebeat/8.9.0 (linux; amd64)", "curl/8"):
        headers = {
            "Authorization": header,
            "User-Agent": agent,
            "Content-Type": "application/x-ndjson",
            "X-Elastic-Product-Origin": "beats",
        }
        answer = await store.bulk(ACTION, '{"message":"m"}', headers=headers)
        assert answer.status == 200
    assert sample(store, "sender_bytes_total", tenant="default", sender="ops") > 0


PROXIED = {"trusted_proxies": "127.0.0.0/8", "user_header": "X-Forwarded-User"}


async def test_a_trusted_proxy_names_the_user(make: Make) -> None:
    users = '{"alice": "team-a"}'
    store = await make(**PROXIED, user_tenants=users, user_tenant="")
    alice = {"X-Forwarded-User": "alice", "X-Scope-OrgID": "team-b", "X-Forwarded-For": "9.9.9.9"}
    told = await store.get("/api/whoami", headers=alice)
    assert told == {"tenant": "team-a", "name": "alice", "may": ["read"]}
    assert await status(store, {"X-Forwarded-User": "bob"}) == 403
    assert await status(store, {}) == 401
    assert await status(store, {"X-Forwarded-User": "alice, bob"}) == 400
    double = [("X-Forwarded-User", "alice"), ("X-Forwarded-User", "bob")]
    assert (await store.client.get("/api/whoami", headers=double)).status == 400
    event = next(e for _, e in store.scope.events.since(0) if e["event"] == "whoami answered")
    assert (event["reader"], event["peer"], event["by"]) == ("alice", "9.9.9.9", "user")


async def test_a_user_s_name_from_elsewhere_is_ignored_and_counted(
    make: Make, tokens: Path
) -> None:
    elsewhere = {**PROXIED, "trusted_proxies": "10.0.0.5/32,::ffff:7f00:2/128"}
    store = await make(**elsewhere, read_token_file=tokens)
    spoofed = {"X-Forwarded-User": "alice", "X-Forwarded-For": "10.0.0.5"}
    assert await status(store, spoofed) == 401
    assert (await store.get("/api/whoami", headers={**spoofed, **OLD}))["name"] == "ops"
    assert sample(store, "denied_requests_total", reason="user_header") == 2


async def test_a_proxy_s_users_and_tokens_side_by_side(make: Make, tokens: Path) -> None:
    store = await make(**PROXIED, read_token_file=tokens)
    # Proxies hand their own token on; the user counts, and no guess is counted.
    both = {"X-Forwarded-User": "alice", "Authorization": "Bearer an.id.token"}
    for _ in range(20):
        assert (await store.get("/api/whoami", headers=both))["name"] == "alice"
    assert await status(store, OLD) == 200
    secure = {"X-Forwarded-Proto": "https"}
    assert "Secure" in (await login(store, "old-token-1", **secure)).headers["Set-Cookie"]


EVIL = {"Origin": "http://evil.example"}


@pytest.mark.parametrize(
    "headers",
    [EVIL, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_no_page_of_another_site_writes_a_line(make: Make, headers: dict[str, str]) -> None:
    store = await make()
    for path in ("/_bulk", "/insert/jsonline", "/loki/api/v1/push", "/v1/logs"):
        plain = {**headers, "Content-Type": "text/plain"}
        answer = await store.bulk(ACTION, '{"message":"planted"}', path=path, headers=plain)
        assert answer.status == 403, path
    assert (await login(store, "x", **headers)).status == 403
    assert await store.found() == []
    assert await store.add("by a program") == [201]
    # A link from elsewhere is just a link.
    link = {**headers, "Sec-Fetch-Mode": "navigate"}
    assert (await store.client.get("/?q=x", headers=link)).status == 200


async def test_no_page_of_another_site_loads_or_times_questions(make: Make) -> None:
    store = await make()
    picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert await status(store, picture, "/api/search?q=x") == 403
    answer = await store.client.get("/api/search")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "status_"),
    [
        ({}, 101),
        ({"Origin": "http://{host}"}, 101),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}, 403),
        ({"Origin": "http://evil.example:1", "Host": "evil.example:1"}, 403),
    ],
)
async def test_no_page_of_another_site_opens_a_websocket(
    make: Make, headers: dict[str, str], status_: int
) -> None:
    """CORS holds no page back from reading one (RFC 6455, 10.2)."""
    store = await make()
    host = f"127.0.0.1:{store.client.port}"
    given = {name: value.format(host=host) for name, value in headers.items()}
    path = '/loki/api/v1/tail?query={app="x"}'
    if status_ == 101:
        socket = await store.client.ws_connect(path, headers=given)
        await socket.close()
        return
    with pytest.raises(WSServerHandshakeError) as refused:
        await store.client.ws_connect(path, headers=given)
    assert refused.value.status == status_


async def test_loki_s_ways_out_have_the_same_door(make: Make, tokens: Path) -> None:
    store = await make(read_token_file=tokens, audit_file=tokens.with_name("audit"))
    path, form = "/loki/api/v1/query_range", {"query": '{app="shop"}'}
    for headers in ({}, {"Authorization": "Bearer wrong-token"}):
        answer = await store.client.post(path, data=form, headers=headers)
        assert answer.status == 401
        assert "token" in await answer.text()
    grafana = {"Authorization": encode_basic_auth("grafana", "old-token-1")}
    answer = await store.client.post(path, data=form, headers={**grafana, "X-Scope-OrgID": "b"})
    assert answer.status == 200, await answer.text()
    noted = [e for _, e in store.scope.events.since(0) if e["event"] == "loki query_range answered"]
    assert [(e["reader"], e["tenant"], e["asked"]) for e in noted] == [("ops", "default", form)]
    tail = await store.client.ws_connect(
        "/loki/api/v1/tail", params={"query": '{app="shop"}'}, headers=grafana
    )
    write(tokens, "new-token-2\n")
    async with asyncio.timeout(10):
        message = await tail.receive()
    assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}


async def test_no_name_but_its_own_opens_a_store_without_tokens(make: Make, tokens: Path) -> None:
    """A page that has given its own name our address is of the same origin as we (rebinding)."""
    store = await make(host_names="logs.example")
    evil = {"Host": "evil.example:7280"}
    for path in ("/api/search", "/api/tail", "/?q=x"):
        answer = await store.client.get(path, headers=evil)
        assert answer.status == 403, path
    assert "host_names" in (await store.get("/api/search", 403, headers=evil))["fix"]
    rebound = {**evil, "Origin": "http://evil.example:7280"}
    assert (await store.bulk(ACTION, "{}", headers=rebound)).status == 403
    for name in ("localhost:7280", "127.0.0.1", "logs.example", "[::1]:7280"):
        assert await status(store, {"Host": name}) == 200, name
    # With tokens there is nothing that a browser would send along.
    guarded = await make(read_token_file=tokens, data_dir=tokens.with_name("other"))
    assert await status(guarded, {**evil, **OLD}) == 200


async def test_guesses_are_slowed_and_senders_beside_them_are_not(make: Make, tokens: Path) -> None:
    store = await make(read_token_file=tokens)
    assert await status(store, OLD) == 200
    codes = [await status(store, {"Authorization": f"Bearer guess-{n:04}"}) for n in range(20)]
    assert codes[:10] == [401] * 10
    assert 429 in codes[10:]
    answer = await store.client.get("/api/search", headers={"Authorization": "Bearer guess-more"})
    assert int(answer.headers["Retry-After"]) >= 1
    assert await status(store, OLD) == 200
    assert await status(store, {}) == 401  # who shows nothing has guessed nothing
    denied = [e for _, e in store.scope.events.since(0) if e["event"] == "request denied"]
    assert 1 <= len(denied) <= 12
    assert "guess-" not in json.dumps(denied)


async def test_nobody_tries_tokens_of_senders_by_asking_who_they_are(
    make: Make, tokens: Path
) -> None:
    store = await make(ingest_token_file=tokens)
    for n in range(20):
        headers = {"Authorization": f"Bearer guess-{n:04}"}
        told = await store.get("/api/whoami", headers=headers)
        assert told["may"] == ["read"]
    assert (await store.get("/api/whoami", headers=OLD))["may"] == ["read"]  # not looked at
    # Who reads by a token of their own guesses nothing.
    other = await make(
        ingest_token_file=tokens, read_token_file=tokens, data_dir=tokens.with_name("other")
    )
    for _ in range(20):
        assert (await other.get("/api/whoami", headers=OLD))["may"] == ["read", "write"]


async def test_who_asks_the_same_at_once_gets_their_own(make: Make, tokens: Path) -> None:
    """Counts are shared between those who ask for the same; lines are named by ids alike."""
    write(tokens, "one-token-1 one\nother-token-2 other\n")
    store = await make(ingest_token_file=tokens, read_token_file=tokens)
    one, other = ({"Authorization": f"Bearer {t}"} for t in ("one-token-1", "other-token-2"))
    lines = [ACTION, '{"message":"secret of one","app":"a"}']
    assert (await store.bulk(*lines * 3, headers=one)).status == 200
    lines = [ACTION, '{"message":"secret of other","app":"b"}']
    assert (await store.bulk(*lines, headers=other)).status == 200
    (found,) = (await store.get("/api/search", headers=other))["hits"]
    asked = {"q": "secret", "id": found["id"], "query": '{app=~".+"} |= "secret"'}
    for path in (
        "/api/histogram",
        "/api/fields",
        "/api/search",
        "/api/context",
        "/loki/api/v1/query_range",
        "/loki/api/v1/labels",
        "/loki/api/v1/label/app/values",
        "/loki/api/v1/index/stats",
    ):
        answers = await asyncio.gather(
            *(store.get(path, headers=who, params=asked) for who in (one, other, one, other))
        )
        told = [json.dumps(answer) for answer in answers]
        assert told[0] == told[2], path
        assert told[1] == told[3], path
        assert "of one" not in told[1], path
        assert "of other" not in told[0], path
        if path != "/loki/api/v1/labels":
            assert told[0] != told[1], path
