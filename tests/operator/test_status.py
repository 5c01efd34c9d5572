"""`wharfinger status`: healthy, red, away, something else there, and a bad configuration."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.stack.tls import Authority
from wharfinger.errors import Exit, Rejected
from wharfinger.operator.parts.process import free_port
from wharfinger.operator.status import lasted, status, told

GREEN: dict[str, Any] = {"name": "docker", "healthy": True, "why": "", "since_seconds": 90.0}
RED = {"name": "etcd", "healthy": False, "why": "frozen\x1b[2J", "since_seconds": 7.0}


class FakeDaemon:
    """Answers as a daemon's endpoints do."""

    def __init__(self) -> None:
        self.checks: list[dict[str, Any]] = [GREEN]
        self.body: bytes | None = None
        self.held: Any = {"version": "1"}

    async def healthz(self, _request: web.Request) -> web.Response:
        healthy = all(check["healthy"] for check in self.checks)
        why = "; ".join(check["why"] for check in self.checks if not check["healthy"])
        report = {"daemon": "x", "healthy": healthy, "why": why, "checks": self.checks}
        body = self.body or json.dumps(report).encode()
        return web.Response(body=body, status=200 if healthy else 503)

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(self.held)


@pytest.fixture
async def daemon() -> AsyncIterator[tuple[FakeDaemon, int]]:
    fake, application = FakeDaemon(), web.Application()
    application.add_routes([web.get("/healthz", fake.healthz), web.get("/status", fake.status)])
    server = TestServer(application)
    await server.start_server()
    assert server.port is not None
    yield fake, server.port
    await server.close()


def configured(folder: Path, **ports: int) -> Path:
    path = folder / "wharfinger.toml"
    path.write_text(
        "\n".join(f'[{name}]\nlisten = "127.0.0.1:{port}"' for name, port in ports.items())
    )
    return path


async def test_a_file_that_cannot_be_read_is_a_bad_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await status(tmp_path / "none.toml", [], as_json=False) is Exit.CONFIG
    assert "name another with --config" in capsys.readouterr().out


async def test_healthy(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configured(tmp_path, registrar=daemon[1])
    assert await status(path, ["registrar"], as_json=False) is Exit.OK
    assert "healthy  90 s" in capsys.readouterr().out


async def test_one_that_is_red_says_why_and_since_when_and_drives_no_terminal(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon[0].checks = [GREEN, RED]
    path = configured(tmp_path, discovery=daemon[1])
    assert await status(path, ["discovery"], as_json=False) is Exit.UNAVAILABLE
    out = capsys.readouterr().out
    assert "unhealthy  7 s" in out
    assert "frozen\\u001b[2J" in out
    assert "\x1b" not in out


async def test_for_programs(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configured(
        tmp_path, registrar=daemon[1], discovery=free_port(), logshipper=free_port(), logstore=1
    )
    assert await status(path, [], as_json=True) is Exit.UNAVAILABLE
    answers = {each["daemon"]: each for each in json.loads(capsys.readouterr().out)["daemons"]}
    assert list(answers) == ["registrar", "discovery", "logshipper", "logstore"]
    assert answers["registrar"]["state"] == "healthy"
    assert answers["registrar"]["checks"] == [GREEN]
    assert answers["registrar"]["status"] == {"version": "1"}
    assert answers["logstore"]["state"] == "unreachable"
    assert answers["logstore"]["why"].startswith("Connection refused")


async def test_what_is_not_registered_and_what_is_rejected_is_shown_with_the_reason(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"service": "shop_prod", "port": 20_001, "id": "c0ffee" * 10}
    daemon[0].held = {
        "containers": [
            {**about, "name": "one", "state": "registered", "why": "/shop_prod/1.2.3.4-20001"},
            {**about, "name": "two", "state": "refused", "why": "no port is left: all 50"},
            {**about, "name": "evil\x1b[2J", "state": "out", "why": "drained by ann", "port": None},
        ],
        "rejected": [{"key": "/shop_prod/x\ny", "reason": "is no instance key"}],
    }
    path = configured(tmp_path, registrar=daemon[1], discovery=daemon[1])
    assert await status(path, ["registrar", "discovery"], as_json=False) is Exit.OK
    out = capsys.readouterr().out
    assert "NOT REGISTERED" in out
    assert "one" not in out
    assert "two" in out
    assert "no port is left: all 50" in out
    assert "evil\\u001b[2J" in out
    assert "/shop_prod/x\\ny" in out
    assert "\x1b" not in out
    assert await status(path, ["registrar"], as_json=True) is Exit.OK
    (answer,) = json.loads(capsys.readouterr().out)["daemons"]
    assert answer["status"] == daemon[0].held


async def test_what_is_not_as_etcd_says_is_shown(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon[0].held = {
        "kept": [{"key": "/shop_prod/10.0.0.1-80", "since_seconds": 300.5, "failures": 2}],
        "resources": [
            {"name": "app", "held": "0123456789ab", "dest": "/etc/app.conf"},
            {"name": "free", "held": "", "dest": "/etc/free.conf"},
        ],
    }
    daemon[0].checks = [{**GREEN, "name": "nginx push", "why": "peers go by reload: no socket"}]
    path = configured(tmp_path, discovery=daemon[1])
    assert await status(path, ["discovery"], as_json=False) is Exit.OK
    out = " ".join(capsys.readouterr().out.split())
    assert "nginx push: peers go by reload: no socket" in out
    assert "/shop_prod/10.0.0.1-80 5 min 2" in out
    assert "app 0123456789ab /etc/app.conf discovery rollback app --release" in out
    assert "free" not in out


async def test_the_worst_logs_are_shown_and_the_others_are_not(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def log(name: str, **told: Any) -> dict[str, Any]:
        return {"container": "c0ffee" * 10, "name": name, "trouble": "", **told}

    late = [log(f"late{n:02d}", lag_bytes=2048, lag_seconds=100.0 + n) for n in range(20)]
    fine = log("fine", lag_bytes=10, lag_seconds=0.2, lost_bytes={}, rejected=0)
    evil = log("evil\x1b[2J", trouble="Permission denied", lag_bytes=3 * 2**20)
    ended = [log("ended", lost_bytes={"rotated": 5000, "removed": 7})]
    daemon[0].held = {
        "sinks": [
            {"sink": "main", "trouble": "", "logs": [fine, *late, evil], "ended": ended},
            {"sink": "dead", "trouble": "503", "logs": [log("waits", lag_bytes=5, lag_seconds=9)]},
        ]
    }
    path = configured(tmp_path, logshipper=daemon[1])
    assert await status(path, ["logshipper"], as_json=False) is Exit.OK
    out = capsys.readouterr().out
    rows = [row.split()[0] for row in out.partition("CONTAINER")[2].splitlines()[1:]]
    assert rows[:4] == ["ended", "waits", "evil\\u001b[2J", "late19"]
    assert rows[-1] == "..."
    assert "and 13 more: --json shows all" in out
    assert "4.9 KiB rotated, 7 B removed" in out
    assert "3.0 MiB" in out
    assert "2.0 KiB  119 s" in out
    assert "fine" not in out
    assert "\x1b" not in out
    assert await status(path, ["logshipper"], as_json=True) is Exit.OK
    assert "fine" in capsys.readouterr().out


@pytest.mark.parametrize(
    "odd",
    [[], {"sinks": 1}, {"sinks": [1]}, {"sinks": [{"logs": [{"lost_bytes": 3, "rejected": "x"}]}]}],
)
async def test_logs_that_a_stranger_tells_of_are_passed_over(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str], odd: Any
) -> None:
    daemon[0].held = odd
    path = configured(tmp_path, logshipper=daemon[1])
    assert await status(path, ["logshipper"], as_json=False) is Exit.OK
    assert "TROUBLE" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "held",
    [
        [],
        {"containers": 7, "rejected": {}},
        {"containers": [1, {}], "rejected": [[]]},
        {"kept": [{}]},
    ],
)
async def test_what_a_stranger_holds_is_passed_over(
    held: object,
    daemon: tuple[FakeDaemon, int],
    tmp_path: Path,
) -> None:
    daemon[0].held = held
    path = configured(tmp_path, registrar=daemon[1], discovery=daemon[1])
    assert await status(path, ["registrar", "discovery"], as_json=False) is Exit.OK


async def test_a_mistake_in_one_section_hides_no_other_daemon(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configured(tmp_path, registrar=daemon[1], logstore=1)
    path.write_text(path.read_text() + "\nretention_day = 3\n")
    assert await status(path, ["registrar", "logstore"], as_json=False) is Exit.UNAVAILABLE
    _, registrar, logstore = capsys.readouterr().out.splitlines()
    assert "healthy" in registrar
    assert "misconfigured" in logstore
    assert "did you mean retention_days?" in logstore


@pytest.mark.parametrize("body", [b"It works!", b"[1]", b"[" * 100_000, b'{"healthy": "\xff"}'])
async def test_something_else_that_listens_there_is_no_daemon(
    body: bytes,
    daemon: tuple[FakeDaemon, int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    daemon[0].body = body
    path = configured(tmp_path, registrar=daemon[1])
    assert await status(path, ["registrar"], as_json=False) is Exit.UNAVAILABLE
    assert "something else listens there" in capsys.readouterr().out


async def test_one_that_serves_by_another_certificate_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, other = (Authority(tmp_path / name).issue(name) for name in ("ours", "other"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(other.cert_file, other.key_file)
    server = TestServer(web.Application())
    await server.start_server(ssl=context)
    path = tmp_path / "w.toml"
    path.write_text(
        f'[logstore]\nlisten = "127.0.0.1:{server.port}"\ncert_file = "{ours.cert_file}"\n'
        f'key_file = "{ours.key_file}"\n'
    )
    assert await status(path, ["logstore"], as_json=False) is Exit.UNAVAILABLE
    said = capsys.readouterr().out
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert "another certificate" in said
    assert "not permitted" not in said
    await server.close()


async def test_an_unknown_daemon_is_named(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no daemon 'registrat'; there are registrar, discovery"):
        await status(configured(tmp_path), ["registrat"], as_json=False)


def test_since_is_the_first_of_what_fails_or_the_last_of_what_holds() -> None:
    def since(healthy: bool, *checks: tuple[bool, float]) -> float | None:
        listed = [{**GREEN, "healthy": held, "since_seconds": age} for held, age in checks]
        body = json.dumps({"healthy": healthy, "checks": listed}).encode()
        return told("x", "", body, None).since_seconds

    assert since(True, (True, 90.0), (True, 5.0)) == 5.0
    assert since(False, (True, 1.0), (False, 7.0), (False, 8.0)) == 8.0
    assert since(False) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.4, "0 s"), (119, "119 s"), (121, "2 min"), (7_200, "2 h"), (2e6, "23 d")],
)
def test_times_as_people_say_them(seconds: float | None, text: str) -> None:
    assert lasted(seconds) == text


async def test_dead_letters_that_wait_are_shown_with_what_sends_them(
    daemon: tuple[FakeDaemon, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon[0].held = {
        "sinks": [
            {"sink": "main", "dead_letters": {"letters": 3, "bytes": 4096}},
            {"sink": "none", "dead_letters": {"letters": 0, "bytes": 0}},
            {"sink": "old"},
            {"sink": "odd", "dead_letters": ["nonsense"]},
            {"sink": "odder", "dead_letters": {"letters": "many"}},
        ]
    }
    path = configured(tmp_path, logshipper=daemon[1])
    assert await status(path, ["logshipper"], as_json=False) is Exit.OK
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if "dead-letter replay" in line]
    assert row.split()[:4] == ["main", "3", "4.0", "KiB"]
    assert row.endswith("logshipper dead-letter replay --sink main")
