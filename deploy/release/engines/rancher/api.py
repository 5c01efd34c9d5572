"""Rancher's API, asked how a service stands; what changes it is rancher-compose's to send."""

import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from deploy.release.engines.rancher.arrival import Service
from wharfinger.errors import ConfigError, Finding, Unavailable
from wharfinger.text import printable, shortened

VERSION: Final = "v2-beta"
TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
HTTP_OK: Final = 200
_MESSAGE_CHARACTERS: Final = 300


class _Found(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    state: str = ""
    health_state: str | None = None
    transitioning_message: str | None = None


class _Collection(msgspec.Struct, frozen=True):
    data: tuple[_Found, ...] = ()


_DECODER: Final = msgspec.json.Decoder(_Collection)


@dataclass(frozen=True, slots=True)
class Access:
    """How Rancher is reached, as rancher-compose is told: by the environment, never by arguments.

    Attributes:
        url: of the server, or of its API.
        key: name of the API key.
        secret: of it.
    """

    url: str
    key: str = ""
    secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """RANCHER_URL, RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY; None where no address is.

        Raises:
            ConfigError: the address has a password in it; messages show addresses.
        """
        url = environment.get("RANCHER_URL", "")
        if "@" in url.partition("://")[2].partition("/")[0]:
            fix = "set RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY"
            raise ConfigError([Finding("RANCHER_URL", "has a name or a password in it", fix)])
        key, secret = (environment.get(f"RANCHER_{name}_KEY", "") for name in ("ACCESS", "SECRET"))
        return cls(url, key, secret) if url else None

    @property
    def root(self) -> str:
        """Of the API; of one environment where the address names one (`.../projects/1a5`)."""
        url = self.url.rstrip("/")
        for version in ("/v1", "/v2-beta", "/v2"):
            before, found, rest = url.partition(version)
            if found and rest[:1] in ("", "/"):
                return f"{before}/{VERSION}{rest}"
        return f"{url}/{VERSION}"


class Rancher:
    """Asks for a service; an async context manager.

    Args:
        access: to the server.
        stack: name of the stack.
        service: name of the service in it.
    """

    def __init__(self, access: Access, stack: str, service: str) -> None:
        self._access = access
        self._stack = stack
        self._service = service
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        pair = f"{self._access.key}:{self._access.secret}".encode()
        headers = {"Authorization": f"Basic {b64encode(pair).decode()}"}
        self._session = aiohttp.ClientSession(headers=headers, timeout=TIMEOUT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def service(self) -> Service | None:
        """How it stands; None where there is none yet.

        Raises:
            Unavailable: Rancher does not answer, or refuses us.
        """
        stacks = await self._list("stacks", name=self._stack, removed_null="1")
        if not stacks:
            return None
        found = await self._list(
            "services", name=self._service, stackId=stacks[0].id, removed_null="1"
        )
        if not found:
            return None
        message = printable(shortened(found[0].transitioning_message or "", _MESSAGE_CHARACTERS))
        return Service(found[0].state, found[0].health_state or "", message)

    async def _list(self, kind: str, **wanted: Any) -> tuple[_Found, ...]:
        if self._session is None:
            raise RuntimeError("Rancher is asked outside its `async with`")
        url = f"{self._access.root}/{kind}"
        try:
            async with self._session.get(url, params=wanted) as answer:
                body = await answer.read()
                if answer.status != HTTP_OK:
                    raise Unavailable(f"Rancher at {url}: status {answer.status}")
                return _DECODER.decode(body).data
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"Rancher at {url}: {error!r}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable(f"Rancher at {url} answered nonsense: {error}") from error
