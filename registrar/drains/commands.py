"""What the registrar does on request, over its control socket: drain, undrain, hold a stop."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from registrar.drains.absences import Absences
from registrar.drains.departures import Behind, Step, Tell
from registrar.drains.requests import Asked, Requests
from wharfinger.container import CONTAINER_ID, SIGRTMAX
from wharfinger.control import peer
from wharfinger.errors import Conflict, Rejected, Unavailable, WharfingerError
from wharfinger.jsontext import encode_line
from wharfinger.text import printable

# Who sends a body so slowly means no good.
BODY_SECONDS: Final = 10.0
_SIGNAL: Final = re.compile(r"[0-9]{1,2}", re.ASCII)

T = TypeVar("T")


class Commands:
    """The routes of the control socket.

    Args:
        requests: carries out what people ask for.
        absences: holds stops.
    """

    def __init__(self, requests: Requests, absences: Absences) -> None:
        self._requests = requests
        self._absences = absences

    def routes(self) -> list[web.RouteDef]:
        """For the control socket."""
        return [
            web.post("/v1/drain", self._drain),
            web.post("/v1/undrain", self._undrain),
            web.post("/v1/containers/{id}/stopping", self._stopping),
        ]

    async def _drain(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        leaving = await _answered(self._requests.drain(asked, _who(request, asked)))
        return await _streamed(request, lambda tell: self._requests.depart(asked, leaving, tell))

    async def _undrain(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        ids, was = await _answered(self._requests.undrain(asked))
        return await _streamed(
            request, lambda tell: self._requests.come_back(asked, ids, tell, was=was)
        )

    async def _stopping(self, request: web.Request) -> web.StreamResponse:
        container_id, signal = request.match_info["id"], request.query.get("signal", "")
        if not CONTAINER_ID.fullmatch(container_id):
            raise _problem(web.HTTPBadRequest, "the id is not 64 hexadecimal digits")
        if not _SIGNAL.fullmatch(signal) or not 0 < int(signal) <= SIGRTMAX:
            raise _problem(web.HTTPBadRequest, f"signal is not a number from 1 to {SIGRTMAX}")
        hold = await self._absences.hold(container_id, int(signal))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(b"hold %d\n" % (0 if hold is None else hold.seconds))
        if hold is not None:
            # Others may wait for the same, and go on when this one's connection is cut.
            await asyncio.wait([hold.departure])
        await response.write_eof()
        return response


async def _asked(request: web.Request) -> Asked:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
        asked = msgspec.json.decode(body, type=Asked)
    except TimeoutError:
        raise _problem(web.HTTPRequestTimeout, "the body did not come") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _problem(web.HTTPBadRequest, str(error)) from error
    if (asked.instance is None) == (asked.host is None):
        raise _problem(web.HTTPBadRequest, "name either an instance or a host")
    return asked


def _who(request: web.Request, asked: Asked) -> str:
    try:
        uid, name = peer(request)
    except Unavailable as error:
        raise _problem(web.HTTPServiceUnavailable, str(error)) from error
    # Root may speak for whoever called sudo; everybody else is who the kernel says.
    return printable(asked.by or name) if uid == 0 else name


async def _answered(work: Awaitable[T]) -> T:
    try:
        return await work
    except Conflict as error:
        raise _problem(web.HTTPConflict, str(error)) from error
    except Rejected as error:
        raise _problem(web.HTTPNotFound, str(error)) from error
    except WharfingerError as error:
        why = f"nothing was changed: {error}"
        raise _problem(web.HTTPServiceUnavailable, why) from error


def _problem(kind: type[web.HTTPException], why: str) -> web.HTTPException:
    return kind(body=encode_line({"error": why}) + b"\n", content_type="application/json")


async def _streamed(
    request: web.Request, work: Callable[[Tell], Awaitable[None]]
) -> web.StreamResponse:
    """Answers with a line of JSON for each step as it is told; the last may be an error."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    steps: asyncio.Queue[Step | None] = asyncio.Queue()

    async def whole() -> None:
        try:
            await work(steps.put_nowait)
        except Behind as error:
            steps.put_nowait({"error": str(error), "behind": list(error.hosts)})
        except WharfingerError as error:
            steps.put_nowait({"error": str(error)})
        finally:
            steps.put_nowait(None)

    async with asyncio.TaskGroup() as group:
        working = group.create_task(whole())
        try:
            # Whoever hangs up ends the waiting and nothing else: what was kept is kept.
            with contextlib.suppress(ConnectionError):
                while (step := await steps.get()) is not None:
                    await response.write(encode_line(step) + b"\n")
                await response.write_eof()
        finally:
            working.cancel()
    return response
