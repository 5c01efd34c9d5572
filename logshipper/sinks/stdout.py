"""The shipper's own standard output, which may be read slowly, or never."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Sequence
from typing import Final

from logshipper.encoding import Encoding
from logshipper.model import Verdict
from logshipper.sinkconfig import StdoutConfig
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from wharfinger.errors import Unavailable

STDOUT: Final = 1


class Stdout:
    """Writes lines as fast as they are read, and keeps no thread waiting for that.

    Args:
        config: the sink's.
        descriptor: of what is written to.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.
    """

    remote = False
    certificates = None
    limit_documents = 20_000

    def __init__(self, config: StdoutConfig, descriptor: int = STDOUT) -> None:
        self._config = config
        self._descriptor = descriptor
        self.encoding: Encoding = JsonlineEncoding()
        self._fd = -1
        self._torn = False

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Writes documents.

        Raises:
            Unavailable: nobody reads; what was written of a line is ended before the next.
        """
        data = b"".join(documents)
        if self._torn:
            data = b"\n" + data
        limit = self._config.request_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                await self._write(data)
        except TimeoutError as error:
            raise Unavailable(f"standard output was not read for {limit:g} s") from error
        except OSError as error:
            raise Unavailable(f"standard output cannot be written: {error.strerror}") from error
        return Verdict(len(documents))

    async def reach(self) -> None:
        """It is always there."""

    def refresh(self) -> None:
        """Has no secrets."""

    async def close(self) -> None:
        """Lets it go; the process's own descriptor stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def _write(self, data: bytes) -> None:
        if self._fd < 0:
            self._fd = _opened(self._descriptor)
        write = _writer(self._fd)
        view = memoryview(data)
        while view:
            try:
                view = view[write(view) :]
                self._torn = bool(view)
            except BlockingIOError:
                await _writable(self._fd)


def _opened(descriptor: int) -> int:
    """A description of its own: made non-blocking, the shared one would break whoever has it."""
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return os.dup(descriptor)
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(f"/proc/self/fd/{descriptor}", flags)


def _writer(fd: int) -> Callable[[memoryview], int]:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return lambda view: os.write(fd, view)

    def send(view: memoryview) -> int:
        with socket.socket(fileno=os.dup(fd)) as each:
            return each.send(view, socket.MSG_DONTWAIT)

    return send


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(fd)
