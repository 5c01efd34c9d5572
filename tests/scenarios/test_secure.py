"""The whole site over TLS, with users and tokens: it works, is renewed, and strangers are told."""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.stack.answers import confirmed, until_answered
from tests.stack.dockerd import DockerDaemon
from tests.stack.pki import IP
from tests.stack.securesite import BUNDLES, MEMBERS, Site, secure_site
from wharfinger.errors import Exit
from wharfinger.operator.demo.traffic import posting
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(240)]

SHOP = "shop.example"
PATIENCE_SECONDS = 40.0


@pytest.fixture
async def site(
    tmp_path: Path, docker_daemon: DockerDaemon, nginx_server: NginxServer
) -> AsyncIterator[Site]:
    # Nginx would hide a lost request by asking another upstream; here each one shall count.
    (nginx_server.include.parent / "once.conf").write_text("proxy_next_upstream off;\n")
    async with secure_site(tmp_path, docker_daemon, nginx_server) as made:
        yield made


async def run_shop(site: Site, name: str) -> None:
    labels = {"app": "shop", "env": "prod", "host": SHOP, "drain": "1"}
    flags = [f"--label=wharfinger.{key}={value}" for key, value in labels.items()]
    await site.docker.run("run", "--detach", "--network=host", f"--name={name}", *flags, "shop")


async def until_served(site: Site, count: int) -> None:
    url = f"http://{IP}:{site.nginx.port}/"
    await until_answered(url, SHOP, count, timeout_seconds=PATIENCE_SECONDS)

    async def reached() -> bool:
        return confirmed(json.loads((await site.ask("discovery", "/status"))[1]))

    await until(reached, timeout_seconds=PATIENCE_SECONDS, what="no older worker answers")


async def until_found(site: Site, word: str, count: int) -> None:
    last = 0

    async def reached() -> bool:
        nonlocal last
        last = await site.found(word)
        return last >= count

    await until(reached, timeout_seconds=PATIENCE_SECONDS, what=f"{count} lines are found")
    assert last == count


def serial(site: Site) -> str:
    """Of the certificate that the store shows to a new connection."""
    address = (IP, site.ports["logstore"])
    pem = ssl.get_server_certificate(address, ca_certs=str(site.authority.folder / "ca.crt"))
    return pem.strip()


async def renewed_under_load(site: Site) -> None:
    """Another pair for everybody, and each member of etcd begun anew, so that all dial again."""
    before = serial(site)
    await site.authority.ask("renew", "box", "edge", "logs", *MEMBERS)
    for member in site.cluster.members:
        await member.process.kill()
        await member.start()

    async def shown() -> bool:
        return (await asyncio.to_thread(serial, site)) != before

    await until(shown, timeout_seconds=PATIENCE_SECONDS, what="the store shows its new one")
    await site.until_ready()


async def test_a_site_over_tls_works_and_is_renewed_under_load_without_a_loss(site: Site) -> None:
    await site.start("logstore")
    await asyncio.gather(*(site.start(name) for name in BUNDLES if name != "logstore"))
    await asyncio.gather(run_shop(site, "one"), run_shop(site, "two"))
    await until_served(site, 2)
    await site.until_ready()
    async with posting(f"http://{IP}:{site.nginx.port}/order?item=kestrel", SHOP) as traffic:
        await traffic.more(50)
        await renewed_under_load(site)
        await traffic.more(50)
        config = ("--config", str(site.config("registrar")))
        await site.wharfinger("drain", "one", *config)
        await traffic.more(50)
        await site.wharfinger("undrain", "one", *config)
        await until_served(site, 2)
    assert traffic.failures == {}
    for daemon in site.daemons.values():
        assert "permission denied" not in daemon.log.read_text()
    await until_found(site, "kestrel", traffic.answered)
    await orders_over_the_store(site)
    store = ("--url", f"https://{IP}:{site.ports['logstore']}")
    ca = ("--ca-file", str(site.bundle("ops").file("ca.crt")))
    read = ("--token-file", str(site.bundle("ops").file("read.token")))
    shown = await site.wharfinger("logs", "kestrel", "--limit", "3", *store, *ca, *read)
    assert shown.count("kestrel") == 3
    said = await site.wharfinger("logs", "kestrel", *store, *read, code=Exit.CONFIG)
    assert "certificate" in said
    write = ("--token-file", str(site.bundle("box").file("ingest.token")))
    said = await site.wharfinger("logs", "x", *store, *ca, *write, code=Exit.CONFIG)
    assert "token" in said
    await nothing_secret_is_shown(site)


async def orders_over_the_store(site: Site) -> None:
    """Who may read sees the fleet; the administrator's token drains by the store's own user."""
    path = "/api/fleet"
    assert (await site.ask("logstore", path))[0] == 401
    assert (await site.ask("logstore", path, site.token("box", "ingest")))[0] in {401, 403}
    status, text = await site.ask("logstore", path, site.token("ops", "read"))
    assert status == 200
    assert len(json.loads(text)["services"]["shop_prod"]["instances"]) == 2
    url = f"https://{IP}:{site.ports['logstore']}{path}/orders"
    trusted = ssl.create_default_context(cafile=site.authority.folder / "ca.crt")
    async with aiohttp.ClientSession() as session:
        for kind, expected in (("read", 403), ("admin", 202)):
            headers = {"Authorization": f"Bearer {site.token('ops', kind)}"}
            wish = {"verb": "drain", "host": "box"}
            async with session.post(url, json=wish, headers=headers, ssl=trusted) as answer:
                assert answer.status == expected, await answer.text()


def secrets_of(site: Site) -> set[str]:
    """Every token, and the body of every key."""
    found = set()
    for path in site.authority.folder.rglob("*"):
        if path.name.endswith(".token"):
            found |= {line for line in path.read_text().splitlines() if "sha256:" not in line}
        elif path.suffix == ".key":
            body = re.sub(r"-----.*?-----|\s", "", path.read_text())
            # What differs from one key to the next: the number itself (RFC 5915).
            found.add(base64.b64encode(base64.b64decode(body)[36:66]).decode())
            found |= {line for line in path.read_text().splitlines() if "-----" not in line}
    return found


async def nothing_secret_is_shown(site: Site) -> None:
    """In no log, no command line, no configuration, no answer."""
    shown = {}
    for path in [*site.folder.glob("*.log"), *site.folder.glob("*.toml")]:
        shown[str(path)] = path.read_text(errors="replace")
    for process in psutil.process_iter(["pid", "cmdline"]):
        shown[f"ps {process.info['pid']}"] = " ".join(process.info["cmdline"] or ())
    for member in site.cluster.members:
        shown[member.name] = member.process.log.read_text(errors="replace")
    for daemon in BUNDLES:
        program = site.daemons[daemon]
        config = await asyncio.create_subprocess_exec(
            *map(str, program.command[:1]), "config", "--config", str(site.config(daemon)),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        shown[f"{daemon} config"] = (await config.communicate())[0].decode()
        token = site.token("ops", "read") if daemon == "logstore" else ""
        for path in ("/status", "/healthz", "/metrics"):
            shown[f"{daemon} {path}"] = (await site.ask(daemon, path, token))[1]
    secret = secrets_of(site)
    assert len(secret) > 10
    for where, text in shown.items():
        assert text or where.startswith("ps "), where
        found = [each for each in secret if each in text]
        assert found == [], where


async def test_who_does_not_belong_is_refused_and_told_why(site: Site, tmp_path: Path) -> None:
    await site.authority.ask("issue", "other", "--role", "host")
    stranger = await asyncio.to_thread(lambda: tmp_path / "stranger")
    other = type(site.authority)(stranger)
    await other.ask("init", "--name", "Another CA")
    foreign = await other.issue("edge", "edge")
    await site.start("logstore")
    edge, box = site.bundle("edge"), site.bundle("box")
    ca = f'ca_file = "{edge.file("ca.crt")}"'
    pair = f'cert_file = "{edge.file("host.crt")}"\nkey_file = "{edge.file("host.key")}"'
    for changed, words in (
        ({ca: f'ca_file = "{foreign.file("ca.crt")}"'}, ("not signed by the CA in etcd.ca_file",)),
        ({pair: ""}, ("etcd.cert_file",)),
        (
            {
                pair: f'cert_file = "{foreign.file("host.crt")}"\n'
                f'key_file = "{foreign.file("host.key")}"'
            },
            ("etcd.cert_file",),
        ),
        (
            {pair: pair.replace(str(edge.folder), str(box.folder))},
            ("as user box: permission denied",),
        ),
    ):
        await site.start("discovery", ready=False, **changed)
        await site.until_red("discovery", "etcd watch", *words)
        await site.daemons["discovery"].terminate(30.0)
    # One that ends: red before, refused afterwards, and well again with the next one.
    await site.authority.ask("renew", "edge", "--lifetime", "40s")
    await site.start("discovery", ready=False)
    await site.until_red("discovery", "etcd certificate", "ends at", "no restart is needed")

    async def served_all_the_same() -> bool:
        return (await site.red("discovery")).startswith("etcd certificate")

    await until(served_all_the_same, timeout_seconds=PATIENCE_SECONDS, what="nothing else is red")
    await site.authority.ask("renew", "edge", "--lifetime", "1s")
    await site.until_red("discovery", "etcd certificate", "ended at")
    for member in site.cluster.members:
        await member.process.kill()
    await asyncio.gather(*(member.start() for member in site.cluster.members))
    await site.until_red("discovery", "etcd watch", "ended at", "put a new pair")
    await site.authority.ask("renew", "edge", "--lifetime", "1y")
    await site.until_ready("discovery")
    # A revoked one: its user is gone with the next question.
    await site.start("registrar")
    await site.authority.ask("revoke", "box")
    await site.authority.ask("users", "--endpoints", ",".join(site.cluster.endpoints))
    await site.until_red("registrar", "registry", "as user box: permission denied")
    # The shipper's token went from the store's list with it, once the store has that.
    await site.authority.ask("issue", "logs", "--role", "store", "--ip", IP)

    async def read_again() -> bool:
        # A shipper that is sooner has all taken, and nothing to be refused for.
        return "tokens read again" in site.daemons["logstore"].log.read_text()

    await until(read_again, timeout_seconds=PATIENCE_SECONDS, what="the store has the list")
    await site.start("logshipper", ready=False)
    await run_shop(site, "one")
    await site.until_red("logshipper", "sink main", "answered 401", "is token_file right?")
    await site.daemons["logshipper"].terminate(30.0)
    trust = f'ca_file = "{box.file("ca.crt")}"\ntoken_file'
    await site.start(
        "logshipper",
        ready=False,
        **{trust: f'ca_file = "{foreign.file("ca.crt")}"\ntoken_file'},
    )
    await site.until_red("logshipper", "sink main", "not to be trusted")
    await site.authority.ask("renew", "logs", "--lifetime", "1m")
    await site.until_red("logstore", "certificate expiry", "ends at")
    # It would wait for a sink that takes what it has.
    await site.daemons["logshipper"].kill()
