"""What the demo plays on: private parts and the four daemons, below one temporary folder."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from wharfinger.errors import Unavailable
from wharfinger.operator.demo import reserved, stale
from wharfinger.operator.demo.console import Show
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.etcd import EtcdServer
from wharfinger.operator.parts.leftovers import mounts
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import Process, free_port
from wharfinger.operator.parts.registry import RegistryServer

DAEMONS: Final = ("registrar", "discovery", "logstore", "logshipper")
HOST_NAME: Final = "shop.example"
NEEDED: Final = (
    *("etcd", "nginx", "dockerd", "docker", "busybox"),
    *("docker-compose", "docker-registry"),
)
# Debian keeps daemons in sbin, which a user's PATH often lacks.
SYSTEM_PATHS: Final = "/usr/local/sbin:/usr/sbin:/sbin"

_CONFIG = """\
[host]
name = "demo"
ip = "127.0.0.1"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"

[etcd]
endpoints = ["{etcd}"]

[docker]
url = "unix://{docker_socket}"

[registrar]
listen = "127.0.0.1:{registrar}"
port_range = "{pool}"

[discovery]
listen = "127.0.0.1:{discovery}"
confdir = "{folder}/discovery"

[discovery.nginx]
dest = "{nginx_include}"
listen = {nginx}
check_cmd = "{nginx_command} -t"
reload_cmd = "{nginx_command} -s reload"

[logshipper]
listen = "127.0.0.1:{logshipper}"

[[logshipper.sinks]]
type = "bulk"
url = "http://127.0.0.1:{logstore}"

[logstore]
listen = "127.0.0.1:{logstore}"
data_dir = "{folder}/logs"
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs, and where it answers.

    Attributes:
        environment: of programs on the stage: settings of this machine's own daemons are not its.
        registry: of images; it is started by who needs it.
    """

    folder: Path
    config: Path
    environment: Mapping[str, str]
    etcd: EtcdServer
    docker: DockerDaemon
    nginx: NginxServer
    registry: RegistryServer
    ports: dict[str, int]
    daemons: dict[str, Process]

    def url(self, part: str) -> str:
        """The address of a daemon or of Nginx."""
        return f"http://127.0.0.1:{self.ports[part]}"

    async def ready(self, daemon: str) -> bool:
        """Whether the daemon says of itself that it is ready."""
        return await answers(f"{self.url(daemon)}/readyz")

    async def start_daemon(self, daemon: str) -> None:
        """Starts a daemon the way an operator would, and waits until it is ready."""
        process = self.daemons[daemon]
        # Nginx comes last, because until there is a service it has nothing to serve.
        await process.start(lambda: self.ready(daemon), timeout_seconds=60)


async def answers(url: str) -> bool:
    """Whether a GET is answered with 200 within a second."""
    timeout = aiohttp.ClientTimeout(total=1)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return response.status == 200  # noqa: PLR2004
    except (aiohttp.ClientError, TimeoutError):
        return False


def require_programs() -> None:
    """Refuses to begin on a machine where something is missing.

    Raises:
        Unavailable: with all that is missing.
    """
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{SYSTEM_PATHS}"
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}; `make setup` installs them")
    if os.geteuid() != 0:
        raise Unavailable("root is needed, for dockerd and for the containers' files: use sudo")


@asynccontextmanager
async def raised(show: Show) -> AsyncIterator[Stage]:
    """Starts the private etcd, dockerd and Nginx; whatever runs is ended with the block.

    Raises:
        Unavailable: a part did not start; with the end of its log.
    """
    await _remove_stale(show)
    pool = reserved.free_pool()
    folder, owner = stale.make_folder(pool)
    try:
        async with AsyncExitStack() as stack:
            stage = _stage(folder, pool)
            async with show.step("private etcd, dockerd and Nginx start") as step:
                for part in (stage.etcd, stage.docker, stage.nginx):
                    stack.push_async_callback(part.stop)
                    await part.start()
                step.tell(f"all below {folder}; what runs on this machine is not touched")
            stack.push_async_callback(stage.registry.stop)
            for daemon in stage.daemons.values():
                stack.push_async_callback(daemon.terminate, 30.0)
            yield stage
    finally:
        # The registrar reserves its range on the whole machine; the machine gets it back.
        reserved.give_back(set(pool) - set(owner.reserved))
        shutil.rmtree(folder, ignore_errors=True)


async def _remove_stale(show: Show) -> None:
    for folder, owner in await asyncio.to_thread(stale.found):
        try:
            await asyncio.to_thread(stale.remove, folder, owner)
        except Unavailable as error:
            show.say(f"a demo that was killed has left {folder}: {error}", "bold red")
        else:
            show.say(f"a demo that was killed had left {folder} and what ran there: removed")


def left_behind(folder: Path) -> list[str]:
    """Processes, mounts and files that still have to do with a stage that was struck."""
    found = [f"folder {folder}"] if folder.exists() else []
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and process.info["pid"] != os.getpid():
            found.append(f"process {process.info['pid']}: {line[:120]}")
    found.extend(f"mount {point}" for _, point, *_ in mounts() if str(folder) in point)
    return found


def _stage(folder: Path, pool: range) -> Stage:
    etcd = EtcdServer(folder / "etcd")
    docker = DockerDaemon(folder / "docker")
    ports = {name: free_port() for name in (*DAEMONS, "nginx")}
    nginx = NginxServer(folder / "nginx", ports["nginx"])
    config = folder / "wharfinger.toml"
    for name in ("state", "run", "discovery", "logs"):
        (folder / name).mkdir()
    # Nginx would hide a lost request by asking another upstream; here each one shall count.
    nginx.include.parent.mkdir(parents=True)
    (nginx.include.parent / "demo.conf").write_text("proxy_next_upstream off;\n", encoding="ascii")
    config.write_text(
        _CONFIG.format(
            folder=folder,
            etcd=etcd.endpoint,
            docker_socket=docker.socket,
            pool=f"{pool.start}-{pool[-1]}",
            nginx_include=nginx.include,
            nginx_command=nginx.command,
            **ports,
        ),
        encoding="utf-8",
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WHARFINGER_")}
    daemons = {
        name: Process(
            [program(name), "run", "--config", config],
            log=folder / f"{name}.log",
            name=name,
            environment=environment,
        )
        for name in DAEMONS
    }
    registry = RegistryServer(folder / "registry")
    return Stage(folder, config, environment, etcd, docker, nginx, registry, ports, daemons)


def program(name: str) -> Path:
    """One that was installed beside this one, as an operator would call it."""
    return Path(sys.executable).parent / name
