"""Asks the other daemons of this host how they are, for those that do not speak to etcd."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Never

import aiohttp
import msgspec

from wharfinger.errors import Rejected
from wharfinger.hostrecord import Beside, text, troubles

ASK_SECONDS: Final = 5.0
SAME_LIFE_SECONDS: Final = 5.0
TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0)
UNREACHABLE: Final = "unreachable"
# Any process of this host may listen in a daemon's place, and the registrar must outlive what it
# says: no more than this is read, nothing is unpacked, and nobody is followed elsewhere.
MAX_BYTES: Final = 2**20
_PLAIN: Final = {"Accept-Encoding": "identity"}
_LONGEST_LIFE_SECONDS: Final = 1e9
# What is no JSON, or no such JSON, is a ValueError; a time that no calendar has may overflow.
_NO_ANSWER: Final = (aiohttp.ClientError, OSError, ValueError, OverflowError, RecursionError)


class _Check(msgspec.Struct, frozen=True):
    name: str
    healthy: bool
    why: str


class _Healthz(msgspec.Struct, frozen=True):
    daemon: str
    healthy: bool
    checks: list[_Check]


class _Status(msgspec.Struct, frozen=True):
    version: str
    since_seconds: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_LIFE_SECONDS)]


class Neighbours:
    """What the log shipper and the log store of this host say, if they run here.

    They need no etcd, and are given no user there only to say how they are. One that has never
    answered may not be installed: only what was seen in this life is missed.

    Args:
        urls: where each of them would answer.

    Attributes:
        told: by name.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self.told: dict[str, Beside] = {}

    async def run(self) -> Never:
        """Asks for ever."""
        while True:
            # Their certificate is for others: what is asked here goes no farther than this host.
            connector = aiohttp.TCPConnector(ssl=False)
            async with aiohttp.ClientSession(
                timeout=TIMEOUT, connector=connector, headers=_PLAIN, auto_decompress=False
            ) as session:
                await asyncio.gather(*(self._ask(session, name) for name in self._urls))
            await asyncio.sleep(ASK_SECONDS)

    async def _ask(self, session: aiohttp.ClientSession, name: str) -> None:
        url = self._urls[name]
        try:
            health = await _health(session, url, name)
            status = msgspec.json.decode(await _body(session, f"{url}/status"), type=_Status)
            since = _began(status.since_seconds, self.told.get(name))
        # Anybody may listen there: what comes is not taken for a daemon's, and does us no harm.
        except Rejected as error:
            self._miss(name, str(error))
        except _NO_ANSWER as error:
            self._miss(name, f"does not answer: {type(error).__name__}")
        else:
            red = [(check.name, check.why) for check in health.checks if not check.healthy]
            self.told[name] = Beside(
                health="healthy" if health.healthy else "unhealthy",
                version=text(status.version),
                since=since,
                troubles=troubles(red),
            )

    def _miss(self, name: str, why: str) -> None:
        if (before := self.told.get(name)) is not None:
            gone = msgspec.structs.replace(before, health=UNREACHABLE, troubles=(text(why),))
            self.told[name] = gone


def _began(since_seconds: float, before: Beside | None) -> str:
    began = datetime.fromtimestamp(time.time() - since_seconds, UTC)
    if before is not None and before.since:
        # It is reckoned anew each time, and must not be news by a second.
        held = datetime.fromisoformat(before.since)
        if abs((began - held).total_seconds()) <= SAME_LIFE_SECONDS:
            return before.since
    return began.isoformat(timespec="seconds")


async def _health(session: aiohttp.ClientSession, url: str, name: str) -> _Healthz:
    health = msgspec.json.decode(await _body(session, f"{url}/healthz"), type=_Healthz)
    if health.daemon != name:
        raise Rejected("somebody else has its port")
    return health


async def _body(session: aiohttp.ClientSession, url: str) -> bytes:
    body = b""
    async with session.get(url, allow_redirects=False) as response:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_BYTES:
                raise Rejected(f"it answers more than {MAX_BYTES} bytes")
    return body
