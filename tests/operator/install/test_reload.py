"""What an uninstall does with the Nginx that served by our file: a real one, its refusal, none."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from discovery.builtin.config import NginxConfig
from wharfinger.operator.install import applying, looking
from wharfinger.operator.install.model import Found, Plan, Record, Reload, Remove
from wharfinger.operator.install.removal import removal
from wharfinger.operator.install.root import Root
from wharfinger.operator.parts.nginx import NginxServer
from wharfinger.operator.parts.process import until

EDGE = frozenset({"edge"})
FOLDER, FILE = "/var/lib/wharfinger/discovery", "/srv/nginx/ours.conf"
RELOAD = Reload(("nginx", "-t"), ("nginx", "-s", "reload"), "why")


def planned(*, purge: bool, reload: Reload | None = RELOAD, files: tuple[str, ...] = ()) -> Plan:
    found = Found(record=Record("1", EDGE))
    data = {"discovery": (FOLDER, *files)}
    return removal(EDGE, found, purge=purge, data=data, reload=reload)


def test_nginx_is_told_when_its_file_went_and_only_then() -> None:
    steps = planned(purge=True, files=(FILE,)).steps
    assert steps[-1] == RELOAD
    assert Remove(FILE, "is what discovery has written") in steps[:-1]
    for other in (
        planned(purge=True, files=(FILE,), reload=None),
        planned(purge=True),
        planned(purge=False, files=(FILE,)),
    ):
        assert RELOAD not in other.steps


def look(nginx: NginxServer, root: Path = Path("/"), **section: Any) -> Reload | None:
    """What is found where this Nginx is configured."""
    commands = {"check_cmd": f"{nginx.command} -t", "reload_cmd": f"{nginx.command} -s reload"}
    config = NginxConfig(dest=nginx.include, **{**commands, **section})
    return looking.reload(Root(root), SimpleNamespace(discovery=SimpleNamespace(nginx=config)))


def apply(folder: Path, step: Reload | None) -> list[str]:
    assert step is not None
    left = applying.apply(Plan((step,)), Root(folder), lambda _: None, lambda _: None)
    return [str(each) for each in left]


async def answer(nginx: NginxServer) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", nginx.port)
    except OSError:
        return "nobody"
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    told = await reader.read()
    writer.close()
    return told.decode().rpartition("\r\n")[2]


@pytest.mark.real
async def test_a_nginx_that_runs_serves_without_it(
    nginx_server: NginxServer, tmp_path: Path
) -> None:
    nginx = nginx_server
    nginx.include.write_text(f"server {{ listen 127.0.0.1:{nginx.port}; return 200 ours; }}\n")
    await nginx.reload()
    await until(lambda: serves(nginx, "ours"), timeout_seconds=10, what="the file serves")
    nginx.include.unlink()
    assert apply(tmp_path, look(nginx)) == []
    await until(lambda: serves(nginx, "nobody"), timeout_seconds=10, what="it serves no more")
    # Of the root folder of an image none runs.
    assert look(nginx, tmp_path) is None


@pytest.mark.real
async def test_one_that_needs_it_serves_on_and_that_is_told(
    nginx_server: NginxServer, tmp_path: Path
) -> None:
    nginx = nginx_server
    nginx.include.write_text("upstream shop_prod { server 127.0.0.1:9; }\n")
    (nginx.include.parent / "own.conf").write_text(
        f"server {{ listen 127.0.0.1:{nginx.port}; location = / {{ return 200 own; }}"
        " location / { proxy_pass http://shop_prod; } }\n"
    )
    await nginx.reload()
    await until(lambda: serves(nginx, "own"), timeout_seconds=10, what="the user's own serves")
    nginx.include.unlink()
    [told] = apply(tmp_path, look(nginx))
    assert "was not reloaded" in told
    assert "host not found in upstream" in told
    assert "-s reload" in told
    assert await serves(nginx, "own")
    # A check of one staged file could only fail; whether all is sound Nginx itself finds out.
    found = look(nginx, check_cmd="check {{.src}}", reload_cmd="false")
    assert found == Reload((), ("false",), "has Nginx serve without what was removed")
    assert "false ended with 1" in apply(tmp_path, found)[0]
    assert (
        "there is no wharfinger-none here"
        in apply(tmp_path, Reload((), ("wharfinger-none",), ""))[0]
    )


async def serves(nginx: NginxServer, text: str) -> bool:
    return await answer(nginx) == text
