"""Syslog over TCP, TLS and UDP; the protocol has no acknowledgement, so TCP's own is asked for."""

import asyncio
import contextlib
import errno
import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from logshipper.encoding import Encoding
from logshipper.model import Refusal, Verdict
from logshipper.sinkconfig import SyslogConfig
from logshipper.sinks.certificates import Certificates
from logshipper.sinks.encoding.syslog import SyslogEncoding, framed
from logshipper.sinks.reach import CONNECT_TIMEOUT_SECONDS, closed, let_in, reachable
from wharfinger.errors import Unavailable

# How often the kernel is asked whether the other side has it all.
LOOK_SECONDS: Final = 0.005
TOO_LONG_STATUS: Final = 413


@dataclass(frozen=True, slots=True)
class Connection:
    """One of them.

    Attributes:
        reader: what the server says: nothing but its end.
        writer: to it.
        tls: what it was made with; None for plain TCP.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    tls: ssl.SSLContext | None


class Syslog:
    """One syslog server over connections.

    A batch is done when the server's kernel has every byte of it and the connection still stands.
    What the server itself has not read then is lost with it: syslog cannot say more.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.

    Raises:
        ConfigError: a certificate cannot be used.
    """

    remote = True
    limit_documents = 10_000

    def __init__(self, config: SyslogConfig) -> None:
        self._config = config
        self.encoding: Encoding = SyslogEncoding(config.facility, config.structured_data_id)
        self._host, self._port = _place(config.address)
        self.certificates = Certificates(config) if config.transport == "tls" else None
        self._idle: list[Connection] = []

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents.

        Raises:
            Unavailable: it is not known whether they have arrived.
        """
        limit = self._config.request_timeout_seconds
        try:
            # A new connection has limits of its own: a short one here would never see it made.
            async with self._connection() as connection, asyncio.timeout(limit):
                connection.writer.write(framed(documents))
                await _arrived(connection.reader, connection.writer)
        except TimeoutError as error:
            raise Unavailable(f"{self._config.address} took nothing for {limit:g} s") from error
        except (OSError, Unavailable) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            renewed = await self._renewed()
            raise Unavailable(
                f"{self._config.address} cannot be reached: {why}{renewed}"
            ) from error
        return Verdict(len(documents))

    async def reach(self) -> None:
        """Looks whether it is there."""
        if self.certificates is None:
            await reachable(self._host, self._port)
        else:
            await self.certificates.reach(self._host, self._port)

    def refresh(self) -> None:
        """Reads its certificates again."""
        if self.certificates is not None:
            self.certificates.refresh()

    async def close(self) -> None:
        """Closes its connections."""
        while self._idle:
            await closed(self._idle.pop().writer)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        await self._part_with_old()
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                break
            connection.writer.transport.abort()
        else:
            connection = await self._connected()
        try:
            yield connection
        except BaseException:
            connection.writer.transport.abort()
            raise
        self._idle.append(connection)

    async def _part_with_old(self) -> None:
        """Ends connections that were made with certificates which have been renewed since.

        Nothing is under way on one that is idle: the server has what was sent, and reads it before
        it comes to the end.
        """
        while old := [each for each in self._idle if each.tls is not self._latest]:
            self._idle.remove(old[0])
            await closed(old[0].writer)

    @property
    def _latest(self) -> ssl.SSLContext | None:
        return None if self.certificates is None else self.certificates.latest

    async def _connected(self) -> Connection:
        tls, began_at = self._latest, time.monotonic()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_connection(self._host, self._port, ssl=tls)
        except TimeoutError as error:
            raise Unavailable(f"no connection within {CONNECT_TIMEOUT_SECONDS:g} s") from error
        if tls is not None:
            try:
                # The kernel of a server that is about to refuse us takes lines all the same.
                await let_in(reader, time.monotonic() - began_at)
            except BaseException:
                writer.transport.abort()
                raise
        return Connection(reader, writer, tls)

    async def _renewed(self) -> str:
        if self.certificates is None:
            return ""
        return await asyncio.to_thread(self.certificates.renewed)


async def _arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits until the other side's kernel has confirmed every byte (tcp(7), SIOCOUTQ).

    Asks the transport itself instead of `drain`: with a high-water mark of zero, uvloop's TLS
    stops a writer for a small write and never lets it go on.
    """
    descriptor = writer.get_extra_info("socket").fileno()
    while writer.transport.get_write_buffer_size() or _unconfirmed_bytes(descriptor):
        if reader.at_eof() or writer.is_closing():
            break
        await asyncio.sleep(LOOK_SECONDS)
    if reader.at_eof() or writer.is_closing():
        raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")


def _unconfirmed_bytes(descriptor: int) -> int:
    (waiting,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4))
    return int(waiting)


class SyslogDatagrams:
    """One syslog server over UDP (RFC 5426): a message each, and no word of what arrives.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.
    """

    remote = False
    certificates = None
    limit_documents = 1000

    def __init__(self, config: SyslogConfig) -> None:
        self._config = config
        self.encoding: Encoding = SyslogEncoding(config.facility, config.structured_data_id)
        self._place = _place(config.address)
        self._socket: socket.socket | None = None

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents.

        Raises:
            Unavailable: this host cannot send them, or nobody listens on the other.
        """
        try:
            return await asyncio.to_thread(self._send, documents)
        except OSError as error:
            await self.close()
            why = error.strerror or str(error)
            raise Unavailable(f"{self._config.address} cannot be reached: {why}") from error

    async def reach(self) -> None:
        """A datagram finds out nothing."""

    def refresh(self) -> None:
        """Has no secrets."""

    async def close(self) -> None:
        """Closes its socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, documents: Sequence[bytes]) -> Verdict:
        if self._socket is None:
            found = socket.getaddrinfo(*self._place, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, address = found[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.settimeout(self._config.request_timeout_seconds)
            self._socket.connect(address)
        refused = []
        limit = self._config.max_datagram_bytes
        for document in documents:
            if len(document) > limit:
                refused.append(
                    Refusal(document, TOO_LONG_STATUS, f"longer than {limit} bytes: no datagram")
                )
                continue
            self._socket.send(document)
        return Verdict(len(documents) - len(refused), (), tuple(refused))


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
