"""A whole site over TLS: every certificate, token and user is made by `wharfinger pki` alone."""

import asyncio
import json
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.stack.pki import IP, PROGRAM, Authority, Bundle, SecureCluster
from wharfinger.operator.demo import reserved
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import Process, free_port, until

MEMBERS = ("m1", "m2", "m3")
# Whose bundle each daemon has.
BUNDLES = {"registrar": "box", "logshipper": "box", "discovery": "edge", "logstore": "logs"}
PATIENCE_SECONDS = 30.0

_CONFIG = """\
[host]
name = "{host}"
ip = "{ip}"
state_dir = "{folder}/state-{host}"
runtime_dir = "{run}/{host}"

[etcd]
endpoints = {endpoints}
ca_file = "{pki}/ca.crt"
cert_file = "{pki}/host.crt"
key_file = "{pki}/host.key"

[docker]
url = "{docker}"

[registrar]
listen = "{ip}:{registrar}"
port_range = "{pool}"
lease_ttl_seconds = 15

[discovery]
listen = "{ip}:{discovery}"
confdir = "{folder}/discovery"

[discovery.nginx]
dest = "{nginx_include}"
listen = {nginx}
check_cmd = "{nginx_command} -t"
reload_cmd = "{nginx_command} -s reload"

[logshipper]
listen = "{ip}:{logshipper}"
poll_seconds = 1

[[logshipper.sinks]]
type = "bulk"
url = "https://{ip}:{logstore}"
ca_file = "{pki}/ca.crt"
token_file = "{pki}/ingest.token"

[logstore]
listen = "{ip}:{logstore}"
data_dir = "{folder}/lines"
min_free_bytes = 0
cert_file = "{pki}/host.crt"
key_file = "{pki}/host.key"
ingest_token_file = "{pki}/ingest.tokens"
read_token_file = "{pki}/read.tokens"
admin_token_file = "{pki}/admin.tokens"

[logstore.fleet]
enabled = true
"""


@dataclass(slots=True)
class Site:
    """Everything that runs, and questions to it."""

    folder: Path
    run: Path
    authority: Authority
    cluster: SecureCluster
    docker: DockerDaemon
    nginx: NginxServer
    pool: range
    ports: dict[str, int] = field(default_factory=dict)
    daemons: dict[str, Process] = field(default_factory=dict)

    def config(self, daemon: str) -> Path:
        return self.folder / f"{daemon}.toml"

    def bundle(self, name: str) -> Bundle:
        return self.authority.bundle(name)

    def token(self, name: str, kind: str) -> str:
        return self.bundle(name).file(f"{kind}.token").read_text().splitlines()[0]

    def write(self, daemon: str, **changed: str) -> None:
        """Writes a daemon's configuration; `changed` replaces lines by their beginnings."""
        name = BUNDLES[daemon]
        text = _CONFIG.format(
            host=name,
            ip=IP,
            folder=self.folder,
            run=self.run,
            endpoints=json.dumps(self.cluster.endpoints),
            pki=self.bundle(name).folder,
            docker=self.docker.url,
            pool=f"{self.pool.start}-{self.pool[-1]}",
            nginx_include=self.nginx.include,
            nginx_command=self.nginx.command,
            **self.ports,
        )
        for found, put in changed.items():
            assert found in text
            text = text.replace(found, put)
        self.config(daemon).write_text(text)

    async def start(self, daemon: str, *, ready: bool = True, **changed: str) -> None:
        """Starts it; waits until it is ready, or only until it answers."""
        self.write(daemon, **changed)
        condition = self.ready if ready else self.answers
        await self.daemons[daemon].start(
            lambda: condition(daemon), timeout_seconds=PATIENCE_SECONDS
        )

    async def ready(self, daemon: str) -> bool:
        try:
            return (await self.ask(daemon, "/readyz"))[0] == 200
        except (aiohttp.ClientError, OSError):
            return False

    async def answers(self, daemon: str) -> bool:
        try:
            return (await self.ask(daemon, "/healthz"))[0] in {200, 503}
        except (aiohttp.ClientError, OSError):
            return False

    async def ask(self, daemon: str, path: str, token: str = "", **options: Any) -> tuple[int, str]:
        scheme = "https" if daemon == "logstore" else "http"
        url = f"{scheme}://{IP}:{self.ports[daemon]}{path}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        trusted = ssl.create_default_context(cafile=self.authority.folder / "ca.crt")
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, ssl=trusted, **options) as answer,
        ):
            return answer.status, await answer.text()

    async def red(self, daemon: str) -> str:
        """Why it is red; empty when it is not."""
        try:
            told = json.loads((await self.ask(daemon, "/healthz"))[1])
        except (aiohttp.ClientError, OSError):
            return ""
        return "; ".join(f"{c['name']}: {c['why']}" for c in told["checks"] if not c["healthy"])

    async def until_red(self, daemon: str, *words: str) -> str:
        """Waits until health is red and says all these words; gives all that it says."""
        why = ""

        async def says() -> bool:
            nonlocal why
            why = await self.red(daemon)
            return all(word in why for word in words)

        try:
            await until(says, timeout_seconds=PATIENCE_SECONDS, what=f"it says {words}")
        except Exception as error:
            raise AssertionError(f"{daemon} says {why!r}, not {words}") from error
        return why

    async def until_ready(self, *daemons: str) -> None:
        for daemon in daemons or tuple(self.daemons):
            await until(
                lambda daemon=daemon: self.ready(daemon),  # type: ignore[misc]
                timeout_seconds=PATIENCE_SECONDS,
                what=f"{daemon} is ready",
            )

    async def found(self, word: str) -> int:
        """How many lines with that word the store holds."""
        path = f"/api/export?q={word}"
        status, text = await self.ask("logstore", path, self.token("ops", "read"))
        assert status == 200, text
        return len(text.splitlines())

    async def wharfinger(self, *words: str, code: int = 0) -> str:
        """Runs the operator's command; gives all that it says."""
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
        assert process.returncode == code, f"{process.returncode}: {said}"
        return said


@asynccontextmanager
async def secure_site(
    folder: Path, docker: DockerDaemon, nginx: NginxServer
) -> AsyncIterator[Site]:
    """Members of etcd with users run; the daemons do not as yet."""
    authority = Authority(folder / "authority")
    await authority.ask("init")
    bundles = {name: await authority.issue(name, "etcd", "--ip", IP) for name in MEMBERS}
    cluster = SecureCluster(folder, bundles)
    pool = reserved.free_pool()
    # pytest's own folders are too deep for the path of a socket.
    run = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    site = Site(folder, run, authority, cluster, docker, nginx, pool)
    site.ports = {name: free_port() for name in BUNDLES} | {"nginx": nginx.port}
    for name in ("discovery", "lines"):
        (folder / name).mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WHARFINGER_")}
    before = reserved.ports()
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, run, ignore_errors=True)
        stack.callback(lambda: reserved.give_back(set(pool) - before))
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        await authority.issue("box", "host", "--services", "shop_prod")
        await authority.issue("edge", "edge")
        await authority.issue("ops", "admin")
        await authority.issue("logs", "store", "--ip", IP)
        await authority.ask("users", "--endpoints", ",".join(cluster.endpoints))
        for daemon in BUNDLES:
            site.daemons[daemon] = Process(
                [PROGRAM.parent / daemon, "run", "--config", site.config(daemon)],
                log=folder / f"{daemon}.log",
                name=daemon,
                environment=environment,
            )
            stack.push_async_callback(site.daemons[daemon].terminate, 30.0)
        yield site
