"""What a real Nginx is asked, and how its answer is told from an older worker's."""

import asyncio
import time
from pathlib import Path

import pytest

from discovery.builtin.config import NginxConfig
from discovery.model import Snapshot
from discovery.nginx.running import Nginx
from discovery.resources.render import compile_template, render
from discovery.resources.resources import BUILTIN_TEMPLATE, Resource
from discovery.resources.views import Rendered
from wharfinger.errors import Rejected
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until

pytestmark = pytest.mark.real


def builtin(server: NginxServer, revision: int) -> Rendered:
    config = NginxConfig(listen=server.port)
    resource = Resource("nginx", BUILTIN_TEMPLATE, server.include, nginx=config)
    rendered = render(resource, compile_template(BUILTIN_TEMPLATE), Snapshot(revision))
    marked = rendered.content + f"# {revision}\n".encode()
    generation = f"{revision:016x}"
    return Rendered(marked.replace(rendered.generation.encode(), generation.encode()), generation)


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def reloaded(server: NginxServer, rendered: Rendered) -> float:
    server.include.write_bytes(rendered.content)
    began = now()
    await server.reload()
    return began


@pytest.mark.parametrize("visible", [True, False], ids=["by its workers", "by its answers"])
async def test_after_confirmation_no_older_worker_answers(
    nginx_server: NginxServer, tmp_path: Path, visible: bool
) -> None:
    proc = Path("/proc") if visible else tmp_path
    nginx = Nginx(nginx_server.port, confirm_timeout_seconds=20, proc=proc)
    for revision in range(1, 6):
        rendered = builtin(nginx_server, revision)
        began = await reloaded(nginx_server, rendered)
        await nginx.confirm(rendered, began)
        answers = await asyncio.gather(*(nginx.ask() for _ in range(30)))
        assert {answer.generation for answer in answers if answer} == {rendered.generation}
        assert None not in answers


async def test_what_was_not_reloaded_is_not_confirmed(nginx_server: NginxServer) -> None:
    nginx = Nginx(nginx_server.port, confirm_timeout_seconds=20)
    first, second = builtin(nginx_server, 1), builtin(nginx_server, 2)
    await nginx.confirm(first, await reloaded(nginx_server, first))
    impatient = Nginx(nginx_server.port, confirm_timeout_seconds=0.2)
    with pytest.raises(Rejected, match=f"generation {first.generation} answers"):
        await impatient.confirm(second, now())


async def test_workers_from_before_are_seen_as_such(nginx_server: NginxServer) -> None:
    nginx = Nginx(nginx_server.port, confirm_timeout_seconds=20)
    rendered = builtin(nginx_server, 1)
    await nginx.confirm(rendered, await reloaded(nginx_server, rendered))
    impatient = Nginx(nginx_server.port, confirm_timeout_seconds=0.2)
    # As if another reload began now, after which these very workers still accepted.
    with pytest.raises(Rejected, match="older workers still accept"):
        await impatient.confirm(rendered, now() + 1)


async def test_nobody_and_strangers_do_not_count(nginx_server: NginxServer) -> None:
    nginx = Nginx(nginx_server.port, confirm_timeout_seconds=0.2)
    assert await nginx.ask() is None
    assert not await nginx.running()
    nginx_server.include.write_text(
        f"server {{ listen {nginx_server.port}; return 200 'ffffffffffffffff 1\\n and more'; }}"
    )
    await nginx_server.reload()
    await until(nginx.running, timeout_seconds=20, what="the stranger listens")
    assert await nginx.ask() is None
    with pytest.raises(Rejected, match="nothing answers"):
        await nginx.confirm(builtin(nginx_server, 1), now())


async def test_an_address_of_127_0_0_0_8_shares_the_port_with_the_users_servers(
    nginx_server: NginxServer,
) -> None:
    own = nginx_server.include.with_name("own.conf")
    nginx = Nginx(nginx_server.port, confirm_timeout_seconds=20)
    for listen in (f"{nginx_server.port} default_server", f"127.0.0.1:{nginx_server.port}"):
        own.write_text(f"server {{ listen {listen}; return 200 own; }}")
        rendered = builtin(nginx_server, len(listen))
        began = await reloaded(nginx_server, rendered)
        await nginx.confirm(rendered, began)
