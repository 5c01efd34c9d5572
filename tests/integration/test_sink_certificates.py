"""Certificates of a sink, as a shipper that runs has them: a real rsyslog over TLS, no Docker."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.stack.rsyslog import Rsyslog
from tests.stack.shipper import ShipperProcess
from tests.stack.tls import Authority, KeyPair
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(240)]

# Of a certificate that lives for about an hour: to be told of, and too late for that.
SOON = timedelta(minutes=12)
NEAR = timedelta(minutes=5)


@dataclass(slots=True)
class Site:
    """A shipper of one file of the host's, and where its lines go."""

    authority: Authority
    rsyslog: Rsyslog
    shipper: ShipperProcess
    pair: KeyPair
    log: Path

    def print(self, line: str) -> None:
        with self.log.open("a") as file:
            file.write(f"{line}\n")

    async def until_stored(self, *lines: str) -> None:
        async def stored() -> bool:
            return len(self.rsyslog.received) >= len(lines)

        await until(stored, timeout_seconds=60, what=f"{len(lines)} lines in rsyslog")
        assert self.rsyslog.messages == list(lines)

    async def check(self, name: str) -> tuple[bool, str]:
        told = json.loads((await self.shipper.ask("healthz"))[1])["checks"]
        (found,) = [each for each in told if each["name"] == name]
        return found["healthy"], found["why"]

    async def until_check(self, name: str, *, healthy: bool, why: str = "") -> str:
        told = ""

        async def so() -> bool:
            nonlocal told
            state, told = await self.check(name)
            return state is healthy and why in told

        await until(so, timeout_seconds=60, what=f"{name} {healthy} {why}")
        return told

    async def read_again(self) -> int:
        text = self.shipper.process.log.read_text()
        return text.count("certificates read again")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    authority = Authority(tmp_path / "ca")
    rsyslog = Rsyslog(tmp_path / "rsyslog", authority)
    shipper = ShipperProcess(tmp_path)
    pair = authority.issue("shipper")
    log = tmp_path / "app.log"
    log.write_text("one\n")
    shipper.config.write_text(
        f'[host]\nname = "h1"\nstate_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n'
        f'[docker]\nurl = "unix://{tmp_path}/none.sock"\n'
        f'[logshipper]\nlisten = "{shipper.listen}"\npoll_seconds = 1\n'
        '[[logshipper.sinks]]\ntype = "syslog"\ntransport = "tls"\n'
        f'address = "127.0.0.1:{rsyslog.port}"\nca_file = "{authority.ca_file}"\n'
        f'cert_file = "{pair.cert_file}"\nkey_file = "{pair.key_file}"\n'
        f'[[logshipper.files]]\npaths = ["{log}"]\n'
    )
    await rsyslog.start()
    await shipper.process.start(lambda: listens(shipper), timeout_seconds=30)
    yield Site(authority, rsyslog, shipper, pair, log)
    await shipper.process.terminate()
    await rsyslog.process.terminate()


async def listens(shipper: ShipperProcess) -> bool:
    try:
        return (await shipper.ask("healthz"))[0] in {200, 503}
    except OSError:
        return False


async def test_a_renewed_pair_needs_no_signal_and_a_bad_one_stops_nothing(site: Site) -> None:
    await site.until_stored("one")
    key = site.pair.key_file.read_bytes()
    site.pair.key_file.write_bytes(key[:40])
    why = await site.until_check("certificates main", healthy=False)
    assert "logshipper.sinks.main.cert_file" in why
    site.print("two")
    await site.until_stored("one", "two")
    sink: dict[str, Any] = json.loads((await site.shipper.ask("status"))[1])["sinks"][0]
    assert sink["certificates"]["trouble"] == why
    assert site.shipper.process.log.read_text().count('check="certificates main"') == 2
    assert await site.read_again() == 0
    site.authority.issue("shipper")
    await site.until_check("certificates main", healthy=True)
    assert await site.read_again() == 1
    site.print("three")
    await site.until_stored("one", "two", "three")


async def test_the_end_of_a_certificate_of_either_side_is_told_before_it_comes(site: Site) -> None:
    assert await site.until_check("certificate expiry main", healthy=True) == ""
    site.authority.issue("shipper", ends=datetime.now(UTC) + SOON)
    await site.until_check("certificate expiry main", healthy=True, why="cert_file")
    site.authority.issue("shipper", ends=datetime.now(UTC) + NEAR)
    await site.until_check("certificate expiry main", healthy=False, why="no restart is needed")
    site.authority.issue("shipper")
    await site.until_check("certificate expiry main", healthy=True)
    await site.rsyslog.process.terminate()
    site.authority.issue("syslog", "127.0.0.1", ends=datetime.now(UTC) + SOON)
    await site.rsyslog.start()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "logshipper", "check", "--config", site.shipper.config,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = (await process.communicate())[0].decode()
    place = f"the certificate of 127.0.0.1:{site.rsyslog.port} ends at "
    assert f"warning: logshipper.sinks.main: {place}" in said
    # What was sent last is half a minute ago, and then a probe asks.
    await site.until_check("certificate expiry main", healthy=True, why=place)
