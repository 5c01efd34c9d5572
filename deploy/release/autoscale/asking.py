"""Asks hosts' daemons what is asked of a service's instances: `/usage` of each."""

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
import msgspec

from deploy.release.autoscale.rates import Counter, Look
from wharfinger.text import printable, shortened

TIMEOUT_SECONDS: Final = 3.0
ASKED_AT_ONCE: Final = 32
# A host of a few thousand instances.
MAX_BYTES: Final = 1 << 20


class _Used(msgspec.Struct):
    address: str
    service: str
    cpu_seconds: float | None = None
    at: float = 0.0


class _Usage(msgspec.Struct):
    """What a registrar tells."""

    instances: tuple[_Used, ...]


class _Requests(msgspec.Struct):
    """What a discovery tells."""

    requests: float | None = None
    at: float = 0.0
    why: str = ""


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Who is asked.

    Attributes:
        registrars: HOST:PORT of those with instances, by the host's name.
        edges: HOST:PORT of discoveries, by the host's name.
    """

    registrars: Mapping[str, str]
    edges: Mapping[str, str]


def address(ip: str, host: str, port: int) -> str:
    """Where a daemon of a host is asked; by the host's name where it tells no address."""
    try:
        six = ipaddress.ip_address(ip).version == 6  # noqa: PLR2004
    except ValueError:
        return f"{host}:{port}"
    return f"[{ip}]:{port}" if six else f"{ip}:{port}"


async def look(service: str, whom: Whom) -> Look:
    """Asks everybody at the same time; who does not tell is named in `troubles`.

    Args:
        service: `<APP>_<ENV>`.
        whom: who is asked.
    """
    gate = asyncio.Semaphore(ASKED_AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        asking = _Asking(session, gate)
        used, requests = await asyncio.gather(
            asyncio.gather(*(asking.ask(at, "/usage", _Usage) for at in whom.registrars.values())),
            asyncio.gather(
                *(
                    asking.ask(at, f"/usage?service={service}", _Requests)
                    for at in whom.edges.values()
                )
            ),
        )
    troubles = [
        *_troubles("registrar", whom.registrars, used),
        *_troubles("discovery", whom.edges, requests),
    ]
    counted = {}
    for host, told in zip(whom.edges, requests, strict=True):
        if isinstance(told, str):
            continue
        if told.requests is None:
            troubles.append(f"the discovery of {host}: {_shown(told.why or 'counts nothing')}")
        else:
            counted[host] = Counter(told.requests, told.at)
    return Look(
        cpu=_cpu(service, (told for told in used if not isinstance(told, str))),
        requests=counted,
        edges=tuple(whom.edges),
        troubles=tuple(troubles),
    )


def _cpu(service: str, told: Iterable[_Usage]) -> dict[str, Counter]:
    return {
        each.address: Counter(each.cpu_seconds, each.at)
        for usage in told
        for each in usage.instances
        if each.service == service and each.cpu_seconds is not None
    }


def _troubles(daemon: str, whom: Mapping[str, str], told: Iterable[object]) -> list[str]:
    return [
        f"the {daemon} of {host} at {whom[host]}: {why}; is [{daemon}] listen open to this host?"
        for host, why in zip(whom, told, strict=True)
        if isinstance(why, str)
    ]


@dataclass(frozen=True, slots=True)
class _Asking:
    session: aiohttp.ClientSession
    gate: asyncio.Semaphore

    async def ask(self, at: str, path: str, kind: type[T]) -> T | str:
        """What is told there; or why nothing is."""
        async with self.gate:
            try:
                # A redirect would lead to where nobody has sent us.
                async with self.session.get(f"http://{at}{path}", allow_redirects=False) as answer:
                    if answer.status != 200:  # noqa: PLR2004
                        return f"it answers {answer.status}"
                    body = await answer.content.read(MAX_BYTES + 1)
                    while chunk := await answer.content.read(MAX_BYTES + 1 - len(body)):
                        body += chunk
            except TimeoutError:
                return f"no answer within {TIMEOUT_SECONDS:g} s"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return _shown(str(error) or type(error).__name__)
        if len(body) > MAX_BYTES:
            return f"it answers with more than {MAX_BYTES} bytes"
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return f"it tells something else: {_shown(str(error))}"


def _shown(text: str) -> str:
    return printable(shortened(text))
