"""What the registrar does on request, over its control socket: drain, undrain, hold a stop."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from registrar.drained import DRAINED, meant
from registrar.drains.absences import Absences
from registrar.drains.departures import Behind, Departures, Leaving, Step, Tell
from registrar.model import Out, Ready, Verdict
from registrar.registry.registry import Registry
from wharfinger.container import CONTAINER_ID, SIGRTMAX
from wharfinger.control import peer
from wharfinger.errors import Conflict, Rejected, Unavailable, WharfingerError
from wharfinger.jsontext import encode_line
from wharfinger.text import printable, shortened

# Who sends a body so slowly means no good.
BODY_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.05
MAX_TIMEOUT_SECONDS: Final = 86_400.0
DEFAULT_TIMEOUT_SECONDS: Final = 60.0
MAX_NAME_LENGTH: Final = 300
MAX_BY_LENGTH: Final = 64
_SIGNAL: Final = re.compile(r"[0-9]{1,2}", re.ASCII)

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `drain` and `undrain`.

    Attributes:
        instance: which container, in any way that `drains.meant` understands.
        host: this host, whole, in place of one instance.
        timeout_seconds: for what etcd and the discoveries have to do.
        wait: for more than the removal.
        by: who asks, where root asks for somebody.
    """

    instance: _Name | None = None
    host: _Name | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_TIMEOUT_SECONDS)] = (
        DEFAULT_TIMEOUT_SECONDS
    )
    wait: bool = True
    by: Annotated[str, msgspec.Meta(max_length=MAX_BY_LENGTH)] = ""


class Commands:
    """The routes of the control socket.

    Args:
        host: this host's name.
        absences: who is kept out.
        departures: carries departures out.
        registry: what etcd holds of this host.
        verdicts: the latest plan's, by container id.
    """

    def __init__(
        self,
        host: str,
        absences: Absences,
        departures: Departures,
        registry: Registry,
        verdicts: Callable[[], Mapping[str, tuple[Verdict, ...]]],
    ) -> None:
        self._host = host
        self._absences = absences
        self._departures = departures
        self._registry = registry
        self._verdicts = verdicts

    def routes(self) -> list[web.RouteDef]:
        """For the control socket."""
        return [
            web.post("/v1/drain", self._drain),
            web.post("/v1/undrain", self._undrain),
            web.post("/v1/containers/{id}/stopping", self._stopping),
        ]

    async def _drain(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        by = _who(request, asked)
        if asked.host is not None:
            self._require_this(asked.host)
            leaving = await _kept(self._absences.drain_host(by))
        else:
            container_id = self._meant(asked.instance or "")
            leaving = [await _kept(self._absences.drain(container_id, by))]
        return await _streamed(request, lambda tell: self._depart(asked, leaving, tell))

    async def _undrain(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        if asked.host is not None:
            self._require_this(asked.host)
            was = await _kept(self._absences.undrain_host())
            ids = list(self._verdicts())
        else:
            ids = [self._meant(asked.instance or "")]
            was = await _kept(self._absences.undrain(ids[0]))
        return await _streamed(request, lambda tell: self._return(asked, ids, tell, was=was))

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

    async def _depart(self, asked: Asked, leaving: list[Leaving], tell: Tell) -> None:
        await self._departures.depart(
            leaving, tell, timeout_seconds=asked.timeout_seconds, wait=asked.wait
        )
        tell({"step": "done"})

    async def _return(self, asked: Asked, ids: list[str], tell: Tell, *, was: bool) -> None:
        tell({"step": "undrained", "was_drained": was})
        deadline = time.monotonic() + asked.timeout_seconds
        while asked.wait and self._any_is_coming(ids):
            if time.monotonic() > deadline:
                tell({"error": "not all of them are back in etcd; see `wharfinger status`"})
                return
            await asyncio.sleep(LOOK_SECONDS)
        held = self._registry.by_container
        instances = sorted(key.address for each in ids for key in held.get(each, ()))
        tell({"step": "registered", "instances": instances})
        absent = {each: self._why(each) for each in ids if each not in held}
        tell({"step": "done", "not_registered": absent})

    def _any_is_coming(self, ids: Iterable[str]) -> bool:
        """Whether one is about to be registered, or has not been judged since."""
        held, out, verdicts = {*self._registry.instances}, self._absences.out(), self._verdicts()
        for verdict in (each for one in ids if one not in out for each in verdicts.get(one, ())):
            match verdict:
                case Ready(instance) if instance.key not in held:
                    return True
                case Out(why) if why.startswith(DRAINED):
                    return True
        return False

    def _why(self, container_id: str) -> str:
        several = self._verdicts().get(container_id, ())
        return "; ".join(dict.fromkeys(each.why for each in several if each.why))

    def _meant(self, name: str) -> str:
        try:
            return meant(name, self._absences.candidates()).id
        except Conflict as error:
            raise _problem(web.HTTPConflict, str(error)) from error
        except Rejected as error:
            raise _problem(web.HTTPNotFound, str(error)) from error
        except Unavailable as error:
            raise _problem(web.HTTPServiceUnavailable, str(error)) from error

    def _require_this(self, host: str) -> None:
        if host != self._host:
            shown = shortened(host, 80)
            why = f"this is host {self._host!a}, not {shown!a}: ask the registrar there"
            raise _problem(web.HTTPNotFound, why)


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


async def _kept(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except WharfingerError as error:
        raise _problem(web.HTTPServiceUnavailable, f"nothing was changed: {error}") from error


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
