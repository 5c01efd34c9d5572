"""A private registry of images: Debian's docker-registry, on loopback."""

import asyncio
import json
import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from wharfinger.operator.parts.process import Process, free_port

_TIMEOUT: Final = aiohttp.ClientTimeout(total=1.0)
_ANSWERS: Final = frozenset({200, 401})


class RegistryServer:
    """One of them; what it holds is kept over a restart.

    Attributes:
        address: `127.0.0.1:PORT`, with which names of its images begin.
        data: its files.
        process: for signals and its log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        http: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Prepares a server; nothing runs before `start`.

        Args:
            folder: for all its files.
            host: the address it listens on.
            http: further settings of its section `http`, such as `tls`.
            more: further sections of its configuration, such as `auth`.
            ca_file: whom to believe that it answers, where it speaks TLS.
        """
        self.address = f"{host}:{free_port(host)}"
        self.data = folder / "data"
        self._folder = folder
        self._ca_file = ca_file
        self._config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.data)}},
            "http": {"addr": self.address, "secret": "of this one alone", **(http or {})},
            **(more or {}),
        }
        self.process = Process(
            ["docker-registry", "serve", folder / "config.yml"], log=folder / "registry.log"
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        scheme = "http" if self._ca_file is None else "https"
        return f"{scheme}://{self.address}"

    async def start(self) -> None:
        """Starts it, or one that was killed again, and waits until it answers.

        Raises:
            Unavailable: it does not; with the end of its log.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        (self._folder / "config.yml").write_text(json.dumps(self._config), encoding="utf-8")
        await self.process.start(self._answers)

    async def stop(self) -> None:
        """Ends it and takes away what it held."""
        await self.process.kill()
        await asyncio.to_thread(shutil.rmtree, self.data, ignore_errors=True)

    async def _answers(self) -> bool:
        tls: ssl.SSLContext | bool = True
        if self._ca_file is not None:
            tls = ssl.create_default_context(cafile=self._ca_file)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.get(f"{self.url}/v2/", ssl=tls) as answer,
            ):
                return answer.status in _ANSWERS
        except (aiohttp.ClientError, OSError):
            return False
