"""The push socket of a running Nginx: peers in, what it holds out."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wharfinger.errors import Conflict, Rejected, Unavailable

MAX_ANSWER_BYTES: Final = 65_536
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]{1,5})\r\n", re.IGNORECASE)
_TOLD: Final = re.compile(rb"([0-9]{1,20}) ([0-9a-f]{16}) ([0-9]{1,10}) ([0-9]{1,10})\n")
_COUNTED: Final = re.compile(rb"([0-9]{1,20})\n")
_OK, _CONFLICT = 200, 409


@dataclass(frozen=True, slots=True)
class Told:
    """What Nginx said of itself.

    Attributes:
        stamp: of the latest push that its shared memory holds; 0 after a restart.
        generation: of the configuration of the worker that answered.
        worker_pid: of that worker.
        master_pid: of its master; another one after a restart.
    """

    stamp: int
    generation: str
    worker_pid: int
    master_pid: int


class PushSocket:
    """A connection to one worker, made anew whenever that worker is gone.

    Args:
        path: where Nginx listens.
        timeout_seconds: for each question, from connecting to the end of its answer.
    """

    def __init__(self, path: Path, *, timeout_seconds: float) -> None:
        self.path = path
        self._timeout_seconds = timeout_seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def state(self) -> Told:
        """What Nginx holds.

        Raises:
            Unavailable: nobody answers, or not in time.
            Rejected: whoever answers is no Nginx with our file.
        """
        return _told(*await self._answer(b"GET /state"))

    async def send(self, texts: Mapping[str, str], *, stamp: int, full: bool) -> Told:
        """Hands peers over; when it returns, each further request sees them, in every worker.

        Args:
            texts: of each service, in the balancer's format.
            stamp: higher than any before.
            full: no other service has any.

        Raises:
            Conflict: Nginx holds a later stamp.
            Unavailable: nobody answers, or not in time: the peers may or may not be there.
            Rejected: Nginx does not take them.
        """
        lines = [f"{'full' if full else 'part'} {stamp}"]
        lines += [f"{name} {text}" for name, text in texts.items()]
        status, answer = await self._answer(b"POST /peers", ("\n".join(lines) + "\n").encode())
        if status == _CONFLICT:
            raise Conflict(f"Nginx holds a later push: {_shown(answer)}")
        return _told(status, answer)

    async def forget_failures(self) -> Told:
        """Has every worker take each peer for good, whatever it has seen of it.

        Raises:
            Unavailable: nobody answers, or not in time.
            Rejected: Nginx does not know how.
        """
        return _told(*await self._answer(b"POST /forget"))

    async def requests(self, service: str) -> int:
        """How many requests a service has had since Nginx was started.

        Args:
            service: `<APP>_<ENV>`.

        Raises:
            Unavailable: nobody answers, or not in time.
            Rejected: Nginx does not know how.
        """
        status, answer = await self._answer(b"GET /requests?service=" + service.encode("ascii"))
        match = _COUNTED.fullmatch(answer)
        if status != _OK or match is None:
            raise Rejected(f"Nginx answers {status}: {_shown(answer)}")
        return int(match[1])

    async def closed(self, *, within_seconds: float) -> bool:
        """Waits until the worker ends the connection, which it does when it stops."""
        if self._streams is None:
            await asyncio.sleep(within_seconds)
            return True
        try:
            async with asyncio.timeout(within_seconds):
                await self._streams[0].read(1)
        except TimeoutError:
            return False
        except OSError:
            pass
        self.close()
        return True

    async def refused(self) -> bool:
        """Whether a socket is there that nobody listens on."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                _, writer = await asyncio.open_unix_connection(self.path)
                writer.close()
                await writer.wait_closed()
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            return False
        return False

    def close(self) -> None:
        """Lets go of the connection; the next question makes another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _answer(self, question: bytes, body: bytes = b"") -> tuple[int, bytes]:
        request = b"%b HTTP/1.1\r\nHost: push\r\nContent-Length: %d\r\n\r\n" % (question, len(body))
        try:
            async with asyncio.timeout(self._timeout_seconds):
                if self._streams is not None:
                    # Its worker may have gone since; a push that comes twice does no harm.
                    with contextlib.suppress(OSError, EOFError):
                        return await self._asked(request + body)
                    self.close()
                return await self._asked(request + body)
        except TimeoutError:
            self.close()
            why = f"{self.path}: no answer within {self._timeout_seconds:g} s"
            raise Unavailable(why) from None
        except (OSError, EOFError) as error:
            self.close()
            why = getattr(error, "strerror", None) or "closed without an answer"
            raise Unavailable(f"{self.path}: {why}") from None
        except BaseException:
            self.close()  # half an answer must not be taken for the next one's
            raise

    async def _asked(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self.path, limit=MAX_ANSWER_BYTES)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise Rejected(f"{self.path}: no answer of ours") from None
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None:
            self.close()
            raise Rejected(f"{self.path}: {_shown(head)} is no answer of ours")
        answer = await reader.readexactly(int(length[1]))
        return int(status[1]), answer


def _told(status: int, answer: bytes) -> Told:
    match = _TOLD.fullmatch(answer)
    if status != _OK or match is None:
        raise Rejected(f"Nginx answers {status}: {_shown(answer)}")
    return Told(int(match[1]), match[2].decode(), int(match[3]), int(match[4]))


def _shown(answer: bytes) -> str:
    return ascii(answer[:80].decode("ascii", "replace").strip())
