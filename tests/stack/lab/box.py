"""All of the platform that runs on one host of the lab: etcd, Docker, Nginx and the daemons."""

import base64
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import aiohttp

from tests.stack.lab.host import PROGRAMS, Host
from tests.stack.lab.namespaces import InsideProcess
from wharfinger.errors import Unavailable
from wharfinger.operator.parts.etcd import EtcdPorts, EtcdServer
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until

DAEMON_PORTS: Final = {"registrar": 7201, "discovery": 7202, "logshipper": 7203, "logstore": 7280}
ETCD: Final = EtcdPorts(2379, 2380, 2381)
SITE: Final = "shop.example"
SERVICE: Final = "shop_prod"
TOKEN: Final = "lab-token-1234567890"
START_SECONDS: Final = 60.0

_CONFIG = """\
[host]
name = "{host.name}"
ip = "{host.ip}"
state_dir = "{host.state}"
runtime_dir = "{host.run_dir}"

[etcd]
endpoints = {endpoints}

[docker]
url = "{host.docker.url}"

[registrar]
port_range = "{ports[0]}-{ports[1]}"

[[logshipper.sinks]]
url = "http://{store}:7280"
token_file = "{host.folder}/token"
"""
_EDGE = """
[discovery]
confdir = "{host.folder}/discovery"

[discovery.nginx]
dest = "{nginx.include}"
check_cmd = "{nginx.command} -t"
reload_cmd = "{nginx.command} -s reload"
"""
_STORE = """
[logstore]
listen = "0.0.0.0:7280"
data_dir = "{host.folder}/logs"
ingest_token_file = "{host.folder}/token"
read_token_file = "{host.folder}/token"
"""


class Box:
    """One host, member of the etcd cluster; perhaps an edge, perhaps where the store is.

    Attributes:
        host: where it runs.
        etcd: its member.
        nginx: its Nginx, if it is an edge; POSTs are never tried twice.
        daemons: the daemons that it has, by name.
        config: the file of all of them.
        ports: first and last that its containers are given; no other host has them.
    """

    def __init__(self, host: Host, hosts: Sequence[Host], *, lua: bool | None, store: Host) -> None:
        """Prepares it; `host.power_on` starts it all.

        Args:
            host: where it runs.
            hosts: all of the cluster.
            lua: whether its Nginx has its Lua module; None where it is no edge.
            store: where the log store is.
        """
        self.host = host
        self.ports = (20_000 + 100 * hosts.index(host), 20_099 + 100 * hosts.index(host))
        self.config = host.folder / "wharfinger.toml"
        self.etcd = EtcdServer(
            host.folder / "etcd",
            name=host.name,
            host=host.ip,
            ports=ETCD,
            cluster={each.name: f"http://{each.ip}:{ETCD.peer}" for each in hosts},
            # As from etcd 3.5 on by itself: else a member that was cut off and returns, with a
            # term that nobody has heard of, has the others elect a leader anew.
            arguments=["--pre-vote"],
            process=host.process,
            client=host.session,
        )
        self.nginx: NginxServer | None = None
        if lua is not None:
            self.nginx = NginxServer(host.folder / "nginx", 80, lua=lua, process=host.process)
        names = ["registrar", "logshipper"]
        names += ["discovery"] * (self.nginx is not None) + ["logstore"] * (host is store)
        self._write_config([f"{each.ip}:{ETCD.client}" for each in hosts], store)
        self.daemons = {name: self._daemon(name) for name in names}
        host.boot += [partial(self.etcd.start, wait=False), host.docker.start]
        if self.nginx is not None:
            host.boot.append(partial(self._start_nginx, self.nginx))
        host.boot += [partial(self._start_daemon, name) for name in names]

    async def ask(self, daemon: str, path: str, **more: Any) -> tuple[int, Any]:
        """Asks a daemon as somebody on its host does; the status and the JSON answered.

        Raises:
            aiohttp.ClientError: it does not answer.
        """
        url = f"http://127.0.0.1:{DAEMON_PORTS[daemon]}{path}"
        async with self.host.session() as session, session.get(url, **more) as answer:
            return answer.status, json.loads(await answer.read())

    async def metric(self, daemon: str, name: str) -> float:
        """The sum of a daemon's metric over its labels.

        Raises:
            aiohttp.ClientError: it does not answer.
        """
        url = f"http://127.0.0.1:{DAEMON_PORTS[daemon]}/metrics"
        async with self.host.session() as session, session.get(url) as answer:
            text = await answer.text()
        found = re.findall(rf"^wharfinger_{daemon}_{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    async def ready(self, daemon: str) -> bool:
        """Whether it says that its start is complete and it is well."""
        try:
            return (await self.ask(daemon, "/readyz"))[0] == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def until_ready(self, seconds: float = START_SECONDS) -> None:
        """Waits until all of its daemons are ready.

        Raises:
            Unavailable: one is not; with the end of its log.
        """
        for name, daemon in self.daemons.items():
            try:
                what = f"{name} on {self.host.name} is ready"
                await until(lambda n=name: self.ready(n), timeout_seconds=seconds, what=what)  # type: ignore[misc]
            except Unavailable as error:
                raise Unavailable(f"{error}\n{daemon.log_tail(40)}") from error

    async def restart(self, daemon: str, environment: Mapping[str, str] | None = None) -> None:
        """Ends a daemon in good order and starts it anew, as an upgrade does; waits for it."""
        await self.daemons[daemon].terminate(30.0)
        self.daemons[daemon] = self._daemon(daemon, environment)
        await self.daemons[daemon].start(lambda: self.ready(daemon), timeout_seconds=START_SECONDS)

    async def keys(self) -> dict[str, str]:
        """The instances of the shop that its member of etcd holds, whether it has a leader or not.

        Raises:
            aiohttp.ClientError: it does not answer.
        """
        found = await self._range()
        return {_plain(each["key"]): _plain(each["value"]) for each in found}

    async def revisions(self) -> dict[str, int]:
        """When each of these keys was written last.

        Raises:
            aiohttp.ClientError: its member does not answer.
        """
        return {_plain(each["key"]): int(each["mod_revision"]) for each in await self._range()}

    async def _range(self) -> list[dict[str, str]]:
        first, end = (
            base64.b64encode(p.encode()).decode() for p in (f"/{SERVICE}/", f"/{SERVICE}0")
        )
        body = json.dumps({"key": first, "range_end": end, "serializable": True})
        url = f"http://{self.etcd.endpoint}/v3/kv/range"
        async with self.host.session() as session, session.post(url, data=body) as answer:
            found: list[dict[str, str]] = json.loads(await answer.read()).get("kvs", [])
        return found

    async def leads(self) -> bool:
        """Whether its member of etcd believes to lead; False where it does not answer."""
        url = f"http://{self.etcd.endpoint}/v3/maintenance/status"
        try:
            async with self.host.session() as session, session.post(url, data=b"{}") as answer:
                told = json.loads(await answer.read())
                return bool(told["leader"] == told["header"]["member_id"])
        except (aiohttp.ClientError, TimeoutError, KeyError):
            return False

    async def listening(self) -> set[str]:
        """The instances that really listen on it, by the kernel's word."""
        told = await self.host.run("ss", "--listening", "--tcp", "--numeric", "--no-header")
        ports = {int(port) for port in re.findall(r":(\d+) +\S+ *$", told, re.MULTILINE)}
        return {f"{self.host.ip}:{p}" for p in ports if self.ports[0] <= p <= self.ports[1]}

    async def run_shop(self, name: str, *more: str, image: str = "shop") -> None:
        """Starts an instance of the shop, as a user does."""
        labels = {"app": "shop", "env": "prod", "host": SITE}
        flags = [f"--label=wharfinger.{key}={value}" for key, value in labels.items()]
        flags += ["--network=host", f"--name={name}", "--restart=always", *more]
        await self.host.docker.run("run", "--detach", *flags, image)

    async def operator(self, *arguments: str) -> str:
        """`wharfinger ARGUMENTS...` on the host; gives what it printed.

        Raises:
            Unavailable: it failed; with what it said.
        """
        verb, *rest = arguments
        program = PROGRAMS / "wharfinger"
        return await self.host.run(program, verb, "--config", self.config, *rest)

    async def as_shipped(self) -> None:
        """Has its Nginx try a POST once more where no connection came about, as it does by itself.

        Raises:
            Unavailable: it does not reload.
        """
        if self.nginx is not None:
            (self.nginx.include.parent / "lab.conf").write_text("")
            await self.host.run("sh", "-c", f"{self.nginx.command} -s reload")

    def written(self) -> list[str]:
        """Every line that Docker has on this host's disk, of containers that are not removed."""
        files = self.host.docker.data_root.glob("containers/*/*-json.log*")
        return [json.loads(line)["log"] for file in files for line in file.read_text().splitlines()]

    async def _start_nginx(self, nginx: NginxServer) -> None:
        # What systemd-tmpfiles makes at a boot (deploy/systemd/tmpfiles.conf), for the push socket.
        (self.host.run_dir / "nginx").mkdir(mode=0o700, exist_ok=True)
        await nginx.start()

    async def _start_daemon(self, name: str) -> None:
        await self.daemons[name].start()

    def _daemon(self, name: str, environment: Mapping[str, str] | None = None) -> InsideProcess:
        own = {k: v for k, v in os.environ.items() if not k.startswith("WHARFINGER_")}
        return self.host.process(
            [PROGRAMS / name, "run", "--config", self.config],
            log=self.host.folder / f"{name}.log",
            name=name,
            environment={**own, **(environment or {})},
        )

    def _write_config(self, endpoints: list[str], store: Host) -> None:
        host = self.host
        text = _CONFIG.format(
            host=host, endpoints=json.dumps(endpoints), ports=self.ports, store=store.ip
        )
        (host.folder / "discovery").mkdir(parents=True)
        if self.nginx is not None:
            text += _EDGE.format(host=host, nginx=self.nginx)
            self.nginx.include.parent.mkdir(parents=True)
            (self.nginx.include.parent / "lab.conf").write_text("proxy_next_upstream off;\n")
        if host is store:
            text += _STORE.format(host=host)
        (host.folder / "token").write_text(f"{TOKEN}\n")
        self.config.write_text(text)


def _plain(text: str) -> str:
    return base64.b64decode(text).decode()
