"""Which member of the cluster a session talks to: the first that answers and has a leader."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc

from wharfinger import certificate
from wharfinger.errors import Unavailable
from wharfinger.etcd.connection import Connection, channel_to
from wharfinger.sections import EtcdConfig

# RFC 8305, section 5: how long to wait for one address before the next is tried beside it.
STAGGER_SECONDS: Final = 0.25

Probe = Callable[[Connection], Awaitable[None]]


class Dialer:
    """Makes connections.

    Args:
        config: endpoints and TLS files; the files are read at each dial, so that renewed
            certificates are taken up.
        probe: raises Unavailable if a connection's peer cannot serve.
        shuffle: puts the endpoints in the order of trying; a thousand hosts shall not all
            choose the first.
    """

    def __init__(
        self,
        config: EtcdConfig,
        probe: Probe,
        *,
        shuffle: Callable[[list[str]], None] = random.shuffle,
    ) -> None:
        self._config = config
        self._probe = probe
        self._order = list(config.endpoints)
        shuffle(self._order)

    def avoid(self, endpoint: str) -> None:
        """Tries this one last from now on."""
        if endpoint in self._order:
            self._order.remove(endpoint)
            self._order.append(endpoint)

    async def dial(self) -> Connection:
        """The first connection whose peer can serve; a slow one does not hold up the next.

        Raises:
            Unavailable: none can; the message says of each why not.
        """
        credentials = await asyncio.to_thread(credentials_of, self._config)
        order, running = list(self._order), set[asyncio.Task[Connection]]()
        problems: list[str] = []
        try:
            while order or running:
                if order:
                    running.add(asyncio.create_task(self._reach(order.pop(0), credentials)))
                wait = STAGGER_SECONDS if order else None
                done, running = await asyncio.wait(
                    running, timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                winner = await _first_good(done, problems)
                if winner is not None:
                    return winner
        finally:
            await _abandon(running)
        problems += await asyncio.to_thread(_ended, self._config)
        raise Unavailable("; ".join(problems) or "etcd.endpoints is empty")

    async def _reach(
        self, endpoint: str, credentials: grpc.ChannelCredentials | None
    ) -> Connection:
        connection = Connection(endpoint, channel_to(endpoint, credentials))
        try:
            await self._probe(connection)
        except BaseException:
            await connection.close()
            raise
        return connection


def credentials_of(config: EtcdConfig) -> grpc.ChannelCredentials | None:
    """Reads the TLS files; None without TLS.

    Raises:
        Unavailable: a file cannot be read; the message names its key.
    """
    if config.ca_file is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_read("etcd.ca_file", config.ca_file),
        private_key=_read("etcd.key_file", config.key_file),
        certificate_chain=_read("etcd.cert_file", config.cert_file),
    )


def _ended(config: EtcdConfig) -> list[str]:
    """What a server says of a certificate that has ended is no more than that it refuses it."""
    if config.cert_file is None:
        return []
    validity, now = certificate.validity_of(config.cert_file), datetime.now(UTC)
    if validity is None or validity.standing(now) != "ended":
        return []
    return [f"etcd.cert_file {config.cert_file} {validity.remark(now)}: put a new pair there"]


def _read(key: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{key} {path} cannot be read: {error.strerror}") from error


async def _first_good(
    done: set[asyncio.Task[Connection]], problems: list[str]
) -> Connection | None:
    winner: Connection | None = None
    for task in done:
        error = task.exception()
        if error is None:
            if winner is None:
                winner = task.result()
            else:
                await task.result().close()
        elif isinstance(error, Unavailable):
            problems.append(str(error))
        else:
            raise error
    return winner


async def _abandon(running: Iterable[asyncio.Task[Connection]]) -> None:
    for task in running:
        task.cancel()
    for outcome in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(outcome, Connection):
            await outcome.close()
