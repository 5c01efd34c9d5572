"""The v2 API of etcd, as far as moving away from it takes: a tree read, single keys deleted."""

from collections.abc import Iterator
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import msgspec

from wharfinger.errors import ConfigError, Conflict, Finding, Rejected, Unavailable
from wharfinger.operator import settings
from wharfinger.operator.registrator import Entry
from wharfinger.text import shortened

TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
# etcd 2: error/error.go.
KEY_NOT_FOUND: Final = 100
COMPARE_FAILED: Final = 101


class Node(msgspec.Struct, frozen=True):
    """A key or a folder (etcd 2: api.md)."""

    key: str = "/"
    value: str = ""
    dir: bool = False
    nodes: "tuple[Node, ...]" = ()
    modifiedIndex: int = 0  # noqa: N815 - the API's name


class _Answer(msgspec.Struct, frozen=True):
    node: Node | None = None
    errorCode: int = 0  # noqa: N815 - the API's name
    message: str = ""


class EtcdV2:
    """One endpoint of the v2 API.

    Args:
        url: `http://HOST:PORT`, perhaps with `USER:PASSWORD@`.

    Every method raises Unavailable (etcd does not answer) or ConfigError (the URL is none).
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def entries(self, prefix: str) -> list[Entry]:
        """Every key below a prefix; none where it does not exist."""
        answer = await self._ask("GET", prefix, recursive="true", quorum="true")
        if answer.errorCode == KEY_NOT_FOUND:
            return []
        if answer.node is None:
            raise Unavailable(f"etcd v2 says of {prefix}: {_said(answer)}")
        return list(_leaves(answer.node))

    async def delete(self, entry: Entry) -> None:
        """Deletes an entry; one that is gone already is fine.

        Raises:
            Conflict: it was changed since it was read.
        """
        answer = await self._ask("DELETE", entry.key, prevIndex=str(entry.revision))
        if answer.errorCode == COMPARE_FAILED:
            raise Conflict(f"{entry.key} was changed meanwhile")
        if answer.errorCode not in (0, KEY_NOT_FOUND):
            raise Unavailable(f"etcd v2 says of {entry.key}: {_said(answer)}")

    async def _ask(self, method: str, key: str, **query: str) -> _Answer:
        url = f"{self._url}/v2/keys{quote(key)}"
        try:
            async with self._session.request(
                method, url, params=query, allow_redirects=False
            ) as response:
                body = await response.read()
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            fix = "write http://HOST:PORT"
            raise ConfigError([Finding("--v2", "is no address", fix)]) from error
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(f"etcd v2: {settings.connection_problem(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"etcd v2: {type(error).__name__}") from error
        try:
            return msgspec.json.decode(body, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            why = f"status {response.status}: {shortened(body.decode(errors='replace'), 100)!a}"
            fix = "etcd 3.4 serves the v2 API with --enable-v2 only"
            raise Rejected(f"no v2 API answers there ({why}); {fix}") from None


def _leaves(node: Node) -> Iterator[Entry]:
    pending: list[Any] = [node]
    while pending:
        each = pending.pop()
        pending.extend(each.nodes)
        if not each.dir:
            yield Entry(each.key, each.value, each.modifiedIndex)


def _said(answer: _Answer) -> str:
    return f"error {answer.errorCode}: {shortened(answer.message, 100)!a}"
