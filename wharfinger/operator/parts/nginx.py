"""A private Nginx: its own configuration, logs, temporary files and port, in one folder."""

import asyncio
import contextlib
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from wharfinger.errors import Unavailable
from wharfinger.files import write_atomically
from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.process import Process, free_port, until

MODULE_FOLDERS: Final = (Path("/usr/lib/nginx/modules"), Path("/usr/share/nginx/modules"))
LUA_MODULES: Final = ("ndk_http_module.so", "ngx_http_lua_module.so")

_CONFIG = """\
{modules}{user}daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
worker_processes 2;
worker_rlimit_nofile 16384;

events {{
    worker_connections 4096;
}}

http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/temp/body;
    proxy_temp_path {folder}/temp/proxy;
    fastcgi_temp_path {folder}/temp/fastcgi;
    uwsgi_temp_path {folder}/temp/uwsgi;
    scgi_temp_path {folder}/temp/scgi;
    server_names_hash_bucket_size 128;
    include {folder}/conf.d/*.conf;
}}
"""


class NginxServer:
    """One Nginx, whose servers and upstreams are what lies in its `conf.d`.

    Attributes:
        folder: where everything of it is.
        port: a free port for what the included files listen on.
        include: the file that discovery writes.
        command: how an operator's command line calls this very Nginx (`-t`, `-s reload`).
        process: the master process, for signals.
        error_log: what Nginx complains of.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        lua: bool = False,
        process: Callable[..., Process] = Process,
    ) -> None:
        """Prepares a server; nothing runs before `start`.

        Args:
            folder: for this server alone.
            port: a free one unless given.
            lua: loads Debian's Lua module.
            process: makes the master process, which may be to run in namespaces of its own.
        """
        self.folder = folder.resolve()
        self.port = port or free_port()
        self.include = self.folder / "conf.d" / "wharfinger.conf"
        self.error_log = self.folder / "error.log"
        self._lua = lua
        # -e: before it has read its configuration it would write to the system's log.
        self._words = (
            *("nginx", "-p", str(self.folder), "-e", str(self.error_log)),
            *("-c", str(self.folder / "nginx.conf")),
        )
        self.command = shlex.join(self._words)
        self.process = process(self._words, log=self.folder / "nginx.log")

    async def start(self, *, timeout_seconds: float = 30.0) -> None:
        """Starts it and waits until it can be told to reload.

        Raises:
            Unavailable: it ended or was not ready in time; with the end of its log.
        """
        self._write_config()
        (self.folder / "nginx.pid").unlink(missing_ok=True)
        try:
            await self.process.start(self._has_written_its_pid, timeout_seconds=timeout_seconds)
        except Unavailable as error:
            raise Unavailable(f"{error}\n{self.errors()}") from error

    async def test(self) -> str:
        """`nginx -t`; gives nothing when the configuration is good.

        Raises:
            Unavailable: it is not; with Nginx's reason.
        """
        return await output(*self._words, "-t")

    async def reload(self) -> None:
        """`nginx -s reload`; returns when the signal is sent, as that command does.

        Raises:
            Unavailable: the configuration is bad, or Nginx does not run.
        """
        await output(*self._words, "-s", "reload")

    async def stop(self) -> None:
        """Ends it at once, and its workers even when the master was killed; the logs stay."""
        if not self.process.running and self.process.exit_code is None:
            return  # never started
        await self.process.terminate()
        for worker in self._workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        await until(self._no_workers, timeout_seconds=10.0, what="the last worker ends")
        await asyncio.to_thread(shutil.rmtree, self.folder / "temp", ignore_errors=True)
        (self.folder / "nginx.pid").unlink(missing_ok=True)

    def errors(self, characters: int = 2000) -> str:
        """The end of its error log."""
        with contextlib.suppress(OSError):
            return self.error_log.read_text(encoding="utf-8", errors="replace")[-characters:]
        return ""

    def _write_config(self) -> None:
        for name in ("conf.d", "temp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(
            modules="".join(f"load_module {path};\n" for path in self._modules()),
            # Its folder may be closed to www-data, whom the workers would become.
            user="user root;\n" if os.geteuid() == 0 else "",
            folder=self.folder,
        )
        # At once: a check that somebody makes meanwhile would read half of it.
        write_atomically(self.folder / "nginx.conf", config.encode())

    def _modules(self) -> list[Path]:
        if not self._lua:
            return []
        for folder in MODULE_FOLDERS:
            found = [folder / name for name in LUA_MODULES]
            if all(path.exists() for path in found):
                return found
        raise Unavailable("Nginx's Lua module is missing: apt-get install libnginx-mod-http-lua")

    async def _has_written_its_pid(self) -> bool:
        with contextlib.suppress(OSError):
            # Its own id may be another in there than here; `start` took an older file away.
            return bool((self.folder / "nginx.pid").read_text(encoding="ascii").strip())
        return False

    def _workers(self) -> list[psutil.Process]:
        """What is left of its process group; a group's id is not given again while it has any."""
        found = []
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                if process.info["name"] == "nginx" and os.getpgid(process.pid) == self.process.pid:
                    found.append(process)
        return [p for p in found if p.status() != psutil.STATUS_ZOMBIE]

    async def _no_workers(self) -> bool:
        return not self._workers()
