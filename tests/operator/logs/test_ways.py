"""`wharfinger logs` against a log store: found, surrounded, counted, refused, out of reach."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from tests.operator.logs.stores import TOKEN, Store, logs, running, served
from tests.stack.tls import Authority, KeyPair
from wharfinger.errors import ConfigError, Exit, Rejected, Unavailable
from wharfinger.operator.parts.process import free_port

Captured = pytest.CaptureFixture[str]


def rows(capsys: Captured) -> list[str]:
    return capsys.readouterr().out.splitlines()


async def test_finds_by_words_app_and_env_oldest_first(store: Store, capsys: Captured) -> None:
    await store.add("order one", "order two", "cart", app="shop", env="prod", container="c" * 64)
    await store.add("order three", app="shop", env="test")
    assert await store.logs("order", "--app", "shop", "--env", "prod", "--utc") is Exit.OK
    first, second = rows(capsys)
    assert first.endswith(f"Z shop_prod {'c' * 12} order one")
    assert second.endswith("order two")
    await store.logs("order", "env:prod", "--json", "--", "-two")
    (only,) = map(json.loads, rows(capsys))
    assert (only["message"], only["container"]) == ("order one", "c" * 64)


async def test_words_stand_between_options_and_fields_may_be_refused(
    store: Store, capsys: Captured
) -> None:
    for app, host, level in (("shop", "a", "error"), ("shop", "b", "info"), ("cart", "a", "warn")):
        await store.add(f"order {app}{host}", app=app, host=host, level=level)
    asked = {
        ("order", "--app", "shop,cart", "--host", "!b"): ["shopa", "carta"],
        ("--level", "warn+", "order"): ["shopa", "carta"],
        ("--level", "!error"): ["shopb", "carta"],
        ("--app", "sh*", "order", "--host", "b"): ["shopb"],
        ("--app", "shop", "--app", "cart", "--reverse"): ["carta", "shopb", "shopa"],
    }
    for arguments, found in asked.items():
        await store.logs(*arguments)
        assert [row.split()[-1] for row in rows(capsys)] == found


async def test_only_what_is_new_enough_and_no_more_than_asked_for(
    store: Store, capsys: Captured
) -> None:
    await store.add("old", time=(datetime.now(UTC).timestamp() - 7_200))
    await store.add(*[f"new {n}" for n in range(101)])
    await store.logs("--since", "1h")
    shown = capsys.readouterr()
    assert [row.split()[-1] for row in shown.out.splitlines()] == [str(n) for n in range(1, 101)]
    assert "these are the newest 100" in shown.err
    await store.logs("--since", "1h", "-n", "2")
    assert capsys.readouterr().err == ""
    await store.logs("--until", "1h")
    (only,) = rows(capsys)
    assert only.endswith("old")


async def test_context_of_each_hit(store: Store, capsys: Captured) -> None:
    said = [(f"a{n}" + (" hit" if n in {3, 5, 15} else ""), f"b{n}") for n in range(20)]
    await store.add_all([{"message": text, "container": text[0]} for pair in said for text in pair])
    await store.logs("hit", "-C", "1", "-o", "message")
    assert rows(capsys) == [
        *("  a2", "> a3 hit", "  a4", "> a5 hit", "  a6"),
        "--",
        *("  a14", "> a15 hit", "  a16"),
    ]
    await store.logs("hit", "-A", "1", "-n", "1", "--json")
    assert [(hit["message"], hit["context"]) for hit in map(json.loads, rows(capsys))] == [
        ("a15 hit", False),
        ("a16", True),
    ]


async def test_a_hit_whose_day_was_removed_stands_alone(capsys: Captured) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.match_info["what"] == "search":
            hits = [{"id": str(n), "message": f"m{n}"} for n in range(5)]
            return web.json_response({"hits": hits, "more": False})
        if request.query["id"] == "1":
            return web.json_response({"error": "there is no line with this id"}, status=400)
        hit = {"id": request.query["id"], "message": "x"}
        return web.json_response({"before": [], "hit": hit, "after": []})

    async with served(answer) as url:
        await logs("--url", url, "-C", "1", "-o", "message")
    assert rows(capsys) == ["> m4", "--", "> m3", "--", "> m2", "--", "> m1", "--", "> m0"]


async def test_a_store_that_goes_away_between_hits_is_told_once() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.match_info["what"] == "search":
            hits = [{"id": str(n), "message": f"m{n}"} for n in range(5)]
            return web.json_response({"hits": hits, "more": False})
        return web.Response(status=500, text="broken")

    async with served(answer) as url:
        with pytest.raises(Unavailable, match="status 500: broken"):
            await logs("--url", url, "-C", "1")


async def test_a_stack_trace_is_folded_where_asked_for(store: Store, capsys: Captured) -> None:
    await store.add("boom", *[f"  at f{n}(" for n in range(5)], "after", container="a")
    await store.logs("--fold", "-o", "message")
    assert rows(capsys) == ["boom", "  at f0(", "... 4 lines folded", "after"]
    await store.logs("boom", "-A", "4", "--fold", "-o", "message")
    assert rows(capsys) == ["> boom", "    at f0(", "  ... 3 lines folded"]
    await store.logs("-o", "message")
    assert len(rows(capsys)) == 7


async def test_everything_beyond_a_page(
    store: Store, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wharfinger.operator.logs.pages.PAGE_LINES", 7)
    await store.add(*[str(n) for n in range(30)])
    for arguments, expected in (
        (("-n", "all"), range(30)),
        (("-n", "0", "--reverse"), range(29, -1, -1)),
        (("-n", "20"), range(10, 30)),
        (("-n", "14", "--reverse"), range(29, 15, -1)),
        (("-n", "30"), range(30)),
    ):
        await store.logs(*arguments, "-o", "message")
        assert [int(row) for row in rows(capsys)] == list(expected)


async def test_counts_over_time(store: Store, capsys: Captured) -> None:
    now = datetime.now(UTC).timestamp()
    await store.add("ERROR x", time=now - 3_600)
    await store.add("INFO y", "INFO z", time=now)
    await store.logs("--histogram", "--utc")
    title, first, *silent, last, legend = rows(capsys)
    assert title.split() == ["TIME", "LINES", "ERRORS"]
    assert [row.split()[1:3] for row in (first, last)] == [["1", "1"], ["2", "0"]]
    assert all(row.split()[1:] == ["0", "0"] for row in silent)
    assert legend == "error 1, info 2"
    await store.logs("--histogram", "--since", "10m", "--json")
    (told,) = map(json.loads, rows(capsys))
    assert [bucket["levels"] for bucket in told["buckets"]] == [{"info": 2}]
    assert await store.logs("--histogram", "--until", "2h", "--fail-empty") is Exit.EMPTY


async def test_a_count_that_was_not_finished_is_told(capsys: Captured) -> None:
    async def answer(_request: web.Request) -> web.Response:
        bucket = {"time": "2026-11-23T12:00:00Z", "levels": {"info": 1}}
        since = "2026-11-23T11:00:00Z"
        return web.json_response({"buckets": [bucket], "exact": False, "counted_from": since})

    async with served(answer) as url:
        await logs("--url", url, "--histogram", "--utc", "--since", "2026-11-23T08:00Z")
    assert "counted from 2026-11-23T11:00:00.000Z on" in capsys.readouterr().err


async def test_counts_of_fields_that_the_store_counts_and_of_others(
    store: Store, capsys: Captured
) -> None:
    for app, status in (("shop", 500), ("shop", 200), ("cart", 200)):
        await store.add("x", app=app, status=status, http={"path": "/a"})
    await store.logs("--top", "app,status,http.path")
    shown = capsys.readouterr().out.split("\n\n")
    assert [block.split()[3:5] for block in shown] == [["shop", "2"], ["200", "2"], ["/a", "3"]]
    await store.logs("--top", "status", "-n", "1")
    assert rows(capsys)[-1] == "... 1 more"
    await store.logs("--fields", "--json")
    (told,) = map(json.loads, rows(capsys))
    assert told["app"] == {"shop": 2, "cart": 1}
    assert set(told) == {"app", "env", "host", "container", "stream", "level"}


async def test_counts_only_what_was_asked_for(store: Store, capsys: Captured) -> None:
    now = datetime.now(UTC).timestamp()
    await store.add("order x", app="shop", host="a", level="error", time=now - 61)
    await store.add("order y", "cart", app="shop", host="b", level="info", time=now)
    await store.logs("order", "--host", "!b", "--top", "app,host,level")
    assert [block.split()[3:] for block in capsys.readouterr().out.split("\n\n")] == [
        [name, "1", "100.0%", "█" * 40] for name in ("shop", "a", "error")
    ]
    await store.logs("order", "--histogram", "--since", "2m", "--json")
    (told,) = map(json.loads, rows(capsys))
    assert [bucket["levels"] for bucket in told["buckets"]] == [{"error": 1}, {"info": 1}]
    assert told["bucket_seconds"] < 60


async def test_quiet_says_by_its_code_alone(store: Store, capsys: Captured) -> None:
    await store.add("here")
    assert await store.logs("-q", "here") is Exit.OK
    assert await store.logs("-q", "gone") is Exit.EMPTY
    assert await store.logs("gone") is Exit.OK
    assert await store.logs("gone", "--fail-empty") is Exit.EMPTY
    assert capsys.readouterr().out == ""


async def test_colours_where_asked_for(
    store: Store, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add("an order", level="error")
    for arguments, coloured in ((["--colour", "always"], True), (["--color=never"], False)):
        await store.logs("order", *arguments)
        assert ("\x1b[30;43morder\x1b[0m" in capsys.readouterr().out) is coloured
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for no_colour, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_colour)
        await store.logs("order")
        assert ("\x1b[" in capsys.readouterr().out) is coloured


async def test_hostile_text_drives_no_terminal(store: Store, capsys: Captured) -> None:
    await store.add("\x1b]0;evil\x07\x1b[2J\nforged", app="\x1b[31mshop", container_name="\x9b")
    for form in ("short", "long", "json", "message", "logfmt"):
        await store.logs("-o", form)
        (row,) = rows(capsys)
        assert row.isprintable()
        assert "evil" in row
    await store.logs("--top", "app")
    assert all(row.isprintable() for row in rows(capsys))


async def test_a_question_that_it_cannot_read_is_a_wrong_use(store: Store) -> None:
    with pytest.raises(Rejected, match=r'the " at character 1 is never closed; add a "'):
        await store.logs('"open')
    with pytest.raises(Rejected, match="write 30m, 1h, 2d"):
        await store.logs("--since", "whenever")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-f", "-C", "1"], "not with -f"),
        (["-C", "1", "-n", "all"], "-n up to 1000"),
        (["-f", "--reverse"], "not with -f"),
        (["-f", "--until", "now"], "--until ends"),
        (["-f", "--pager"], "no last page"),
        (["--reverse", "--fold"], "not with --reverse"),
        (["--top", ","], "needs the name"),
        (["--top", "a b"], "takes names"),
        (["--export", "a.csv"], "name it FILE.ndjson"),
    ],
)
async def test_what_makes_no_sense_together(arguments: list[str], why: str) -> None:
    with pytest.raises(Rejected, match=why):
        await logs(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "-1"],
        ["-n", "100001"],
        ["-n", "x"],
        ["-C", "1001"],
        ["-A", "x"],
        ["-o", "xml"],
        ["-f", "--histogram"],
        ["--nonsense"],
        ["-debug", "order"],
    ],
)
async def test_wrong_use_has_its_code(arguments: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        await logs(*arguments)
    assert ended.value.code == Exit.USAGE
    assert arguments[0] in capsys.readouterr().err


async def test_help_shows_examples(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        await logs("--help")
    assert ended.value.code == 0
    assert "an incident:" in capsys.readouterr().out


@pytest.mark.parametrize("store", ["guarded"], indirect=True)
async def test_tokens(store: Store, tmp_path: Path, capsys: Captured) -> None:
    with pytest.raises(ConfigError, match="--token-file FILE"):
        await store.logs()
    for name, text, why in (
        ("wrong", "some-other-token\n", "missing or wrong"),
        ("digest", f"sha256:{'0' * 64}\n", "holds no token"),
        ("none", None, "cannot be read"),
    ):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=why):
            await store.logs("--token-file", str(tmp_path / name))
    assert await store.logs("--token-file", str(tmp_path / "tokens")) is Exit.OK
    assert TOKEN not in str(capsys.readouterr())


async def test_the_address_and_the_token_come_from_the_configuration(
    store: Store, tmp_path: Path, capsys: Captured
) -> None:
    await store.add("hello")
    config = tmp_path / "w.toml"
    listen = store.url.removeprefix("http://")
    config.write_text(f'[logstore]\nlisten = "{listen}"\nread_token_file = "tokens"\n')
    assert await logs("--config", str(config)) is Exit.OK
    assert "hello" in capsys.readouterr().out


def serving(authority: Authority, *, asks: bool = False) -> tuple[KeyPair, ssl.SSLContext]:
    pair = authority.issue("store", "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    if asks:
        context.load_verify_locations(authority.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return pair, context


async def test_tls(tmp_path: Path, capsys: Captured) -> None:
    authority = Authority(tmp_path / "tls")
    pair, context = serving(authority)
    async with running(tmp_path, tls=context) as store:
        assert await store.logs("--ca-file", str(authority.ca_file)) is Exit.OK
        with pytest.raises(ConfigError, match=r"its certificate: .*--ca-file FILE"):
            await store.logs()
        other = store.url.replace("127.0.0.1", "localhost")
        with pytest.raises(ConfigError, match=r"mismatch.*--url https://NAME:PORT"):
            await logs("--url", other, "--ca-file", str(authority.ca_file))
        with pytest.raises(Unavailable, match="log store http://"):
            await logs("--url", store.url.replace("https", "http"))
        # On the store's own host its certificate is known.
        config = tmp_path / "w.toml"
        listen = store.url.removeprefix("https://")
        config.write_text(
            f'[logstore]\nlisten = "{listen}"\ncert_file = "{pair.cert_file}"\n'
            f'key_file = "{pair.key_file}"\n'
        )
        assert await logs("--config", str(config)) is Exit.OK
    for bad in (tmp_path / "none.pem", tmp_path):
        for option in ("--ca-file", "--cert-file"):
            with pytest.raises(ConfigError, match=f"{option} .*name a file in PEM"):
                await logs(option, str(bad))
    assert capsys.readouterr().out == ""


async def test_a_certificate_that_has_ended_is_not_mended_by_an_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    pair = authority.issue("store", "127.0.0.1", ends=datetime.now(UTC) - timedelta(hours=1))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    async with running(tmp_path, tls=context) as store:
        with pytest.raises(ConfigError, match=r"has expired.*; put a new pair in its place"):
            await store.logs("--ca-file", str(authority.ca_file))


async def test_a_store_that_wants_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    _, context = serving(authority, asks=True)
    mine = authority.issue("me")
    async with running(tmp_path, tls=context) as store:
        trusting = ["--ca-file", str(authority.ca_file)]
        showing = ["--cert-file", str(mine.cert_file), "--key-file", str(mine.key_file)]
        assert await store.logs(*trusting, *showing) is Exit.OK
        with pytest.raises(Unavailable, match=r"certificate required|it closed the connection"):
            await store.logs(*trusting)


async def test_out_of_reach(tmp_path: Path) -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "http://no.such.host.invalid:1"):
        saved = str(tmp_path / "a.ndjson")
        for arguments in ([], ["-f"], ["-n", "all"], ["--top", "app"], ["--export", saved]):
            with pytest.raises(Unavailable, match=f"log store {url}"):
                await logs("--url", url, *arguments)
    with pytest.raises(ConfigError, match="write http://HOST:PORT"):
        await logs("--url", "nonsense")
    with pytest.raises(ConfigError, match="write http://HOST:PORT"):
        await logs("--url", "localhost:7280")


async def test_values_that_were_not_counted_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"app": {"shop": None}})

    async with served(answer) as url:
        assert await logs("--url", url, "--fields", "--fail-empty") is Exit.OK
    assert "shop" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b'{"no":"hits"}'),
        (200, b"[]"),
        (200, b'{"hits":[7],"more":true}'),
        (500, b"\x1b[2J"),
        (302, b""),
    ],
)
async def test_something_else_that_listens_there(status: int, body: bytes) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "http://elsewhere/"})

    async with served(answer) as url:
        with pytest.raises(Unavailable, match=url):
            await logs("--url", url)


async def test_a_store_that_does_not_page_is_not_read_for_ever() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"hits": [{"id": "1", "message": "x"}], "more": True})

    async with served(answer) as url:
        with pytest.raises(Unavailable, match="one page again and again"):
            await logs("--url", url, "-o", "message")


async def test_who_may_not_is_told_the_fix() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"error": "this token may only write"}, status=403)

    async with served(answer) as url:
        with pytest.raises(ConfigError, match="may only write; name a file"):
            await logs("--url", url)


async def test_a_store_that_is_busy_is_asked_again(capsys: Captured) -> None:
    answers = iter([429, 503])

    async def answer(_request: web.Request) -> web.Response:
        if (status := next(answers, None)) is not None:
            return web.json_response({"error": "busy"}, status=status, headers={"Retry-After": "0"})
        return web.json_response({"hits": [{"id": "1", "message": "x"}]})

    async with served(answer) as url:
        assert await logs("--url", url, "-o", "message") is Exit.OK
    shown = capsys.readouterr()
    assert shown.out == "x\n"
    assert shown.err.count("trying again") == 1
