"""A real Nginx with the built-in file in push mode, and nobody but the test to push to it."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from discovery.builtin.config import NginxConfig
from discovery.builtin.nginxfile import Site, pools_of
from discovery.model import Instance, Route, Service, Snapshot
from discovery.nginx.push import PushSocket, Told
from discovery.nginx.running import Nginx
from discovery.resources.render import compile_template, render
from discovery.resources.resources import BUILTIN_TEMPLATE, Resource
from discovery.resources.views import Rendered
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until


def service(name: str, *instances: Instance, host: str = "shop.test") -> Service:
    """A service that answers at that host."""
    app, _, env = name.rpartition("_")
    return Service(name, app, env, instances, (Route(host, "/"),) if host else ())


class PushedNginx:
    """Renders, reloads and pushes, as discovery does.

    Attributes:
        nginx: the server.
        socket: the way into its shared memory.
        stamp: of the latest push.
    """

    def __init__(self, nginx: NginxServer, **config: Any) -> None:
        self.nginx = nginx
        self.folder = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
        self.socket = PushSocket(self.folder / "push.sock", timeout_seconds=5)
        self.config = NginxConfig(listen=nginx.port, **config)
        self.stamp = 0

    def rendered(self, *services: Service, push: bool = True, **site: Any) -> Rendered:
        resource = Resource("nginx", BUILTIN_TEMPLATE, self.nginx.include, nginx=self.config)
        where = Site(push=push, socket=self.socket.path, **site)
        template = compile_template(BUILTIN_TEMPLATE)
        return render(resource, template, Snapshot(1, services), where)

    async def serve(self, *services: Service, push: bool = True, **site: Any) -> Rendered:
        """Has the file served; in push mode its seeds are the first peers."""
        rendered = self.rendered(*services, push=push, **site)
        self.nginx.include.write_bytes(rendered.content)
        await self.nginx.test()
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        await self.nginx.reload()
        reader = Nginx(self.nginx.port, confirm_timeout_seconds=20)

        async def serves() -> bool:
            answer = await reader.ask()
            return answer is not None and answer.generation == rendered.generation

        await until(serves, timeout_seconds=20, what="the new file serves")
        await reader.confirm(rendered, began)
        return rendered

    async def push(self, *services: Service, full: bool = False) -> Told:
        """Pushes these services' peers."""
        self.stamp = max(self.stamp, (await self.socket.state()).stamp) + 1
        pools = pools_of(self.config, services)
        texts = {name: "|".join(pool.pieces) for name, pool in pools.items()}
        return await self.socket.send(texts, stamp=self.stamp, full=full)


@pytest.fixture
async def pushed_nginx(nginx_lua_server: NginxServer) -> AsyncIterator[PushedNginx]:
    """Runs, and serves nothing yet."""
    pushed = PushedNginx(nginx_lua_server)
    yield pushed
    pushed.socket.close()
    shutil.rmtree(pushed.folder)
