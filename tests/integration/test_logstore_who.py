"""The log store as a process, for others: TLS whose files change, certificates, who sees what."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from logshipper.sinkconfig import BulkConfig
from tests.integration.test_logstore import Server
from tests.logshipper.sending import Sending
from tests.stack.tls import Authority
from wharfinger.operator import status
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until

TOKEN = "0123456789abcdef0123456789abcdef"
OPS = {"Authorization": f"Bearer {TOKEN}"}


class Guarded(Server):
    """A log store with tokens, a certificate, or both."""

    authority: Authority

    async def healthy(self) -> dict[str, str]:
        """The reason of each check that is red."""
        async with self.client.get(f"{self.url}/healthz") as answer:
            checks = (await answer.json())["checks"]
        return {check["name"]: check["why"] for check in checks if not check["healthy"]}

    async def status(self, path: str, **options: Any) -> int:
        async with self.client.get(f"{self.url}{path}", **options) as answer:
            await answer.read()
            return answer.status


@contextlib.asynccontextmanager
async def guarded(folder: Path, *, tls: bool = True, **settings: object) -> AsyncIterator[Guarded]:
    """Over TLS `folder` has the certificate in force, and its authority."""
    authority = Authority(folder)
    pair = authority.issue("first", "127.0.0.1")
    for path, name in ((pair.cert_file, "cert"), (pair.key_file, "key")):
        shutil.copy(path, folder / name)
    (folder / "tokens").write_text(f"{TOKEN} default ops\n")
    context = ssl.create_default_context(cafile=authority.ca_file)
    connector = aiohttp.TCPConnector(ssl=context)
    timeout = aiohttp.ClientTimeout(total=60)
    if tls:
        settings |= {"cert_file": folder / "cert", "key_file": folder / "key"}
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as client:
        made = Guarded(folder, client, **settings)
        made.authority = authority
        if tls:
            made.url = made.url.replace("http://", "https://")
        await made.start()
        yield made
        await made.process.kill()


async def shown(store: Guarded) -> str:
    """The name in the certificate that a new connection gets."""
    port = int(store.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=store.authority.ca_file)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    subject = writer.get_extra_info("peercert")["subject"]
    writer.close()
    await writer.wait_closed()
    return str(dict(part[0] for part in subject)["commonName"])


async def test_a_certificate_is_changed_while_it_runs(tmp_path: Path) -> None:
    async with guarded(tmp_path) as store:
        assert await shown(store) == "first"
        async with store.client.get(f"{store.url}/api/tail") as tail:
            await tail.content.readuntil(b"\n\n")
            other = store.authority.issue("second", "127.0.0.1")
            shutil.copy(other.cert_file, tmp_path / "cert")  # its key is missing yet

            async def refused() -> bool:
                return "do not belong together" in (await store.healthy()).get("certificate", "")

            await until(refused, timeout_seconds=20, what="health says so")
            assert await shown(store) == "first"
            shutil.copy(other.key_file, tmp_path / "key")

            async def taken() -> bool:
                return await shown(store) == "second"

            await until(taken, timeout_seconds=20, what="the new certificate is shown")
            assert await store.healthy() == {}
            await store.bulk({"1": "after"})
            assert b"after" in await tail.content.readuntil(b"\n\n")


async def test_a_certificate_that_has_ended_is_red_until_there_is_another(tmp_path: Path) -> None:
    """It fits its key and is taken: clients refuse it, and nobody else would tell."""
    async with guarded(tmp_path) as store:
        assert await store.healthy() == {}

        async def put(name: str, ends: datetime | None = None) -> None:
            pair = store.authority.issue(name, "127.0.0.1", ends=ends)
            shutil.copy(pair.cert_file, tmp_path / "cert")
            shutil.copy(pair.key_file, tmp_path / "key")

        await put("past", datetime.now(UTC) - timedelta(days=1))

        async def red() -> bool:
            why = (await store.healthy()).get("certificate expiry", "")
            return "ended at" in why and "no restart is needed" in why

        await until(red, timeout_seconds=20, what="health says so")
        await put("good")

        async def green() -> bool:
            return await store.healthy() == {}

        await until(green, timeout_seconds=20, what="health says so no more")


async def test_what_speaks_to_it_over_tls(tmp_path: Path) -> None:
    """The shipper's sink, curl, and the operator's command, which reads the same configuration."""
    async with guarded(
        tmp_path,
        retention_days=3650,
        ingest_token_file=tmp_path / "tokens",
        read_token_file=tmp_path / "tokens",
    ) as store:
        config = BulkConfig(
            url=store.url, token_file=tmp_path / "tokens", ca_file=store.authority.ca_file
        )
        (tmp_path / "tokens").write_text(f"{TOKEN}\n")
        sending = Sending(config, tmp_path)
        assert (await sending.sink.send(sending.documents("over tls"))).accepted == 1
        await sending.delivery.close()
        curl = await asyncio.to_thread(
            subprocess.run,
            ["curl", "-sS", "--cacert", store.authority.ca_file, "-u", f"x:{TOKEN}",
             "--data-binary", '{"message":"by curl"}\n', f"{store.url}/insert/jsonline"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert curl.stdout.startswith("{")
        async with store.client.get(f"{store.url}/api/search", headers=OPS) as answer:
            found = {hit["message"] for hit in (await answer.json())["hits"]}
        assert found == {"over tls", "by curl"}
        path = tmp_path / "wharfinger.toml"
        path.write_text(
            f'[logstore]\nlisten = "{store.url.removeprefix("https://")}"\n'
            f'cert_file = "{tmp_path / "cert"}"\nkey_file = "{tmp_path / "key"}"\n'
        )
        [told] = await status.asked_all(path, {"logstore": status.settings.daemons()["logstore"]})
        assert told.state == "healthy", told.why
        assert told.status["daemon"] == "logstore"


async def test_certificates_in_place_of_tokens(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "clients", "clients")
    async with guarded(
        tmp_path, client_ca_file=authority.ca_file, user_tenants='{"alice": "team-a"}'
    ) as store:
        assert await store.status("/healthz") == 200
        assert await store.status("/metrics") == 200
        assert await store.status("/status") == 200  # from this host
        for path in ("/api/search", "/", "/_bulk"):
            assert await store.status(path) == 403, path
        answer = await store.client.post(f"{store.url}/_bulk", data=b"{}")
        assert answer.status == 403
        pair = authority.issue("alice")
        context = ssl.create_default_context(cafile=store.authority.ca_file)
        context.load_cert_chain(pair.cert_file, pair.key_file)
        async with store.client.get(f"{store.url}/api/whoami", ssl=context) as told:
            assert await told.json() == {
                "tenant": "team-a", "name": "alice", "may": ["read", "write"],
            }  # fmt: skip
        foreign = store.authority.issue("mallory")
        context = ssl.create_default_context(cafile=store.authority.ca_file)
        context.load_cert_chain(foreign.cert_file, foreign.key_file)
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await store.status("/api/search", ssl=context)


async def test_who_sees_what_goes_on_in_the_daemon(tmp_path: Path) -> None:
    async with guarded(tmp_path, tls=False, read_token_file=tmp_path / "tokens") as store:
        assert await store.status("/status") == 200
        forwarded = {"X-Forwarded-For": "9.9.9.9"}
        assert await store.status("/status", headers=forwarded) == 401
        assert await store.status("/events", headers=forwarded) == 401
        assert await store.status("/status", headers={**forwarded, **OPS}) == 200
        assert await store.status("/status", headers={"Host": "evil.example"}) == 401
        for path in ("/healthz", "/readyz", "/metrics"):
            assert await store.status(path, headers=forwarded) == 200
        (tmp_path / "tokens").write_text(f"{TOKEN} default ops\nanother-token-1 team-a\n")
        other = {**forwarded, "Authorization": "Bearer another-token-1"}

        async def told() -> bool:
            return await store.status("/status", headers=other) == 403

        await until(
            told, timeout_seconds=20, what="a token of another tenant is known, and refused"
        )
        # What goes on ends for who may no longer see it.
        async with store.client.get(
            f"{store.url}/events", headers={**forwarded, **OPS}, timeout=aiohttp.ClientTimeout(60)
        ) as events:
            assert await events.content.readline()
            (tmp_path / "tokens").write_text("another-token-1 team-a\n")
            async with asyncio.timeout(20):
                with contextlib.suppress(aiohttp.ClientError):
                    while await events.content.readline():
                        pass


PROXY = """
server {{
    listen 127.0.0.1:{port};
    location / {{
        auth_basic logs;
        auth_basic_user_file {users};
        proxy_pass {url};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-User $remote_user;
        proxy_set_header Authorization "";
    }}
}}
"""


@pytest.mark.real
async def test_behind_a_proxy_that_signs_people_in(
    tmp_path: Path, nginx_server: NginxServer
) -> None:
    """Nginx as the README has it: it replaces the header, and hands live lines on at once."""
    (tmp_path / "users").write_text("alice:{PLAIN}secret\nbob:{PLAIN}secret\n")
    (tmp_path / "users").chmod(0o644)
    async with guarded(
        tmp_path, tls=False, trusted_proxies="127.0.0.1/32", user_header="X-Forwarded-User",
        user_tenants='{"alice": "default"}', user_tenant="",
    ) as store:  # fmt: skip
        nginx_server.include.write_text(
            PROXY.format(port=nginx_server.port, users=tmp_path / "users", url=store.url)
        )
        await nginx_server.reload()
        front = f"http://127.0.0.1:{nginx_server.port}"
        alice = {"Authorization": aiohttp.encode_basic_auth("alice", "secret")}
        bob = {"Authorization": aiohttp.encode_basic_auth("bob", "secret")}

        async def up() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with store.client.get(f"{front}/api/whoami", headers=alice) as answer:
                    return answer.status == 200
            return False

        await until(up, timeout_seconds=20, what="Nginx serves the store")
        forged = {**alice, "X-Forwarded-User": "mallory", "X-Forwarded-For": "6.6.6.6"}
        async with store.client.get(f"{front}/api/whoami", headers=forged) as answer:
            assert (await answer.json())["name"] == "alice"
        async with store.client.get(f"{front}/api/search", headers=bob) as answer:
            assert answer.status == 403
        async with store.client.get(f"{front}/api/search") as answer:
            assert answer.status == 401
        async with store.client.get(f"{front}/status") as answer:
            assert answer.status == 401
        async with store.client.get(f"{front}/api/tail", headers=alice) as tail:
            await tail.content.readuntil(b"\n\n")
            await store.bulk({"1": "live through the proxy"})
            assert b"live through" in await tail.content.readuntil(b"\n\n")


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": "0.0.0.0:7280"},
        {"cert_file": "/nowhere", "key_file": "/nowhere"},
        {"user_header": "X-User"},
        {"read_token_file": "/nowhere"},
    ],
)
async def test_what_cannot_be_is_refused_with_78(tmp_path: Path, settings: dict[str, str]) -> None:
    given = {"data_dir": str(tmp_path), **settings}
    flags = [part for k, v in given.items() for part in ("--set", f"logstore.{k}={v}")]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "logshipper.store", "run", *flags],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 78
    assert "logstore." in done.stderr
