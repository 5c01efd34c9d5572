"""Notes of who asked what: whole, harmless, without tokens, through rotations and full disks."""

import asyncio
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from logshipper.store.access import audit
from tests.store.running import Make, Store
from wharfinger.operator.parts.process import until

TOKEN = "a-reader's-token"
OPS = {"Authorization": f"Bearer {TOKEN}"}
HOSTILE = 'x\n{"event":"forged"}\x1b[31m\u202e "quoted" \\'


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def noted(path: Path, count: int) -> list[dict[str, Any]]:
    async def there() -> bool:
        return len(lines(path)) >= count

    await until(there, timeout_seconds=10, what=f"{count} lines in {path.name}")
    return lines(path)


@pytest.fixture
async def store(make: Make, tmp_path: Path) -> Store:
    (tmp_path / "tokens").write_text(f"{TOKEN} default ops\n")
    made = await make(read_token_file=tmp_path / "tokens", audit_file=tmp_path / "audit")
    await made.add("one", "two", app="shop")
    return made


async def test_a_line_for_each_question_and_download(store: Store, tmp_path: Path) -> None:
    await store.get("/api/search", headers=OPS, params={"q": "one", "app": "shop"})
    await store.get("/api/search", 400, headers=OPS, params={"q": '"open'})
    await (await store.client.get("/api/export", headers=OPS)).read()
    found = await noted(tmp_path / "audit", 4)
    first = found[0]
    assert first["event"] == "search answered"
    assert first["asked"] == {"q": "one", "app": "shop"}
    assert (first["reader"], first["tenant"], first["by"]) == ("ops", "default", "token")
    assert (first["lines"], first["outcome"], first["peer"]) == (1, "answered", "127.0.0.1")
    assert first["seconds"] > 0
    assert found[1]["outcome"] == "refused"
    assert [line["event"] for line in found[2:]] == ["export begun", "export answered"]
    assert found[3]["lines"] == 2
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o600
    events = [e for _, e in store.scope.events.since(0) if e["event"].startswith("search")]
    assert [e["level"] for e in events] == ["debug", "debug"]


async def test_hostile_questions_stay_one_line(store: Store, tmp_path: Path) -> None:
    await store.client.get("/api/search", headers=OPS, params={"q": HOSTILE, HOSTILE: "v" * 5000})
    [found] = await noted(tmp_path / "audit", 1)
    assert found["asked"]["q"] == HOSTILE
    raw = (tmp_path / "audit").read_text()
    assert raw.isprintable() or raw[:-1].isprintable()
    assert len(raw) < 4_000


@pytest.mark.parametrize(
    "params",
    [
        {"q": TOKEN},
        {"q": f"app:shop {TOKEN} more"},
        {"q": f'"{TOKEN}"'},
        {"token": "some-other-token"},
        {"X-Api-Key-Token": "some-other-token"},
    ],
)
async def test_never_a_token(store: Store, tmp_path: Path, params: dict[str, str]) -> None:
    await store.client.get("/api/search", headers=OPS, params=params)
    [found] = await noted(tmp_path / "audit", 1)
    told = json.dumps(found) + json.dumps([e for _, e in store.scope.events.since(0)], default=str)
    assert TOKEN not in told
    assert "some-other-token" not in told
    assert "***" in json.dumps(found)


async def test_who_is_sent_away_is_noted(store: Store, tmp_path: Path) -> None:
    await store.get("/api/search", 401, headers={"Authorization": "Bearer wrong-token"})
    [found] = await noted(tmp_path / "audit", 1)
    assert (found["event"], found["reason"]) == ("request denied", "token")
    assert "wrong-token" not in json.dumps(found)


async def test_logrotate_moves_it_away(store: Store, tmp_path: Path) -> None:
    await store.get("/api/whoami", headers=OPS)
    await noted(tmp_path / "audit", 1)
    (tmp_path / "audit").rename(tmp_path / "audit.1")
    await store.get("/api/whoami", headers=OPS)
    assert len(await noted(tmp_path / "audit", 1)) == 1
    assert len(lines(tmp_path / "audit.1")) == 1
    (tmp_path / "audit").rename(tmp_path / "audit.2")
    (tmp_path / "audit").touch()  # logrotate's create
    await store.daemon.reload(store.daemon._config)  # its postrotate
    await store.get("/api/whoami", headers=OPS)
    assert len(await noted(tmp_path / "audit", 1)) == 1


async def test_a_file_that_cannot_be_written_turns_health_red(make: Make, tmp_path: Path) -> None:
    store = await make(audit_file="/dev/full")

    async def red() -> bool:
        return "cannot be written" in store.scope.health.report().why

    assert await store.get("/api/search") == {"hits": [], "more": False}
    await until(red, timeout_seconds=10, what="health is red")
    lost = store.scope.metrics.get_sample_value("wharfinger_logstore_audit_lost_lines_total")
    assert lost == 1


async def test_half_a_line_spoils_no_other(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:9]))
    await store.get("/api/whoami", headers=OPS)
    await until(
        lambda: _true("part of the line" in store.scope.health.report().why),
        timeout_seconds=10,
        what="health is red",
    )
    monkeypatch.setattr(os, "write", whole)
    for _ in range(2):
        await store.get("/api/whoami", headers=OPS)
    await until(
        lambda: _true(store.scope.health.report().healthy), timeout_seconds=10, what="green again"
    )
    half, *others = (tmp_path / "audit").read_bytes().splitlines()
    assert len(half) == 9
    assert [json.loads(line)["event"] for line in others] == ["whoami answered"] * len(others)
    assert others


async def _true(value: bool) -> bool:
    return value


async def test_a_disk_that_hangs_takes_no_memory(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_WAITING_LINES", 2)
    store = await make(audit_file=tmp_path / "audit")
    monkeypatch.setattr(
        store.daemon._who.audit, "_write", lambda *_: None
    )  # it never says "written"
    for _ in range(5):
        await store.get("/api/search")
    assert store.scope.metrics.get_sample_value("wharfinger_logstore_audit_lost_lines_total") == 3
    assert "does its disk answer" in store.scope.health.report().why


def test_conditions_are_bounded() -> None:
    many = [(f"n{n}", "v") for n in range(1_000)] + [("q", "x")]
    assert len(audit.conditions(many, frozenset())) == 51
    twice = audit.conditions([("app", "a"), ("app", "b")], frozenset())
    assert twice == {"app": ["a", "b"]}
    digest = sha256(b"secret-1").digest()
    assert audit.conditions([("q", "x secret-1")], frozenset({digest})) == {"q": "x ***"}


async def test_what_waits_is_written_before_the_end(make: Make, tmp_path: Path) -> None:
    store = await make(audit_file=tmp_path / "audit")
    await asyncio.gather(*(store.get("/api/search") for _ in range(30)))
    await store.scope.close()
    assert len(lines(tmp_path / "audit")) == 30
