"""What people ask of this host's registrar, by whatever way: drain and undrain, step by step."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec

from registrar.drained import DRAINED, meant
from registrar.drains.absences import Absences
from registrar.drains.departures import Departures, Leaving, Tell
from registrar.model import Out, Ready, Verdict
from registrar.registry.registry import Registry
from wharfinger.errors import Rejected
from wharfinger.text import shortened

LOOK_SECONDS: Final = 0.05
MAX_TIMEOUT_SECONDS: Final = 86_400.0
DEFAULT_TIMEOUT_SECONDS: Final = 60.0
MAX_NAME_LENGTH: Final = 400
MAX_BY_LENGTH: Final = 64

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


class Requests:
    """Carries out what is asked.

    Every method raises Rejected where there is no such instance, Conflict where there are
    several, and Unavailable where Docker, etcd or the disk do not answer.

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

    async def drain(self, asked: Asked, by: str) -> list[Leaving]:
        """Keeps out what is meant, from now on and over restarts; gives what leaves with it."""
        if asked.host is not None:
            self._require_this(asked.host)
            return await self._absences.drain_host(by)
        return [await self._absences.drain(self._meant(asked.instance or ""), by)]

    async def depart(self, asked: Asked, leaving: Sequence[Leaving], tell: Tell) -> None:
        """Sees what was drained to its end.

        Raises:
            Behind: not every discovery serves without it.
        """
        await self._departures.depart(
            leaving, tell, timeout_seconds=asked.timeout_seconds, wait=asked.wait
        )
        if asked.wait:
            await self._absences.departed(leaving)
        tell({"step": "done"})

    async def undrain(self, asked: Asked) -> tuple[list[str], bool]:
        """Lets in what is meant; gives the ids of the containers, and whether it was drained."""
        if asked.host is not None:
            self._require_this(asked.host)
            was = await self._absences.undrain_host()
            return list(self._verdicts()), was
        container_id = self._meant(asked.instance or "")
        return [container_id], await self._absences.undrain(container_id)

    async def come_back(self, asked: Asked, ids: list[str], tell: Tell, *, was: bool) -> None:
        """Waits until what was undrained is in etcd; a step with `error` says that it is not."""
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
        return meant(name, self._absences.candidates()).id

    def _require_this(self, host: str) -> None:
        if host != self._host:
            shown = shortened(host, 80)
            why = f"this is host {self._host!a}, not {shown!a}: ask the registrar there"
            raise Rejected(why)
