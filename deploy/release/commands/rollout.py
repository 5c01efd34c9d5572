"""A rollout from its lock to its last word: on record, done by the engine, ended on record."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.release.app.model import App, Environment
from deploy.release.commands.site import Site, declared, service_of
from deploy.release.engine import RolloutFailed, Target
from deploy.release.records import choice
from deploy.release.records.holder import ourselves
from deploy.release.records.lock import Held, Lock
from deploy.release.records.record import Numbered, Record, State, Verb, text
from deploy.release.records.releases import Releases
from wharfinger.errors import Unavailable, WharfingerError
from wharfinger.text import quantity

# An interrupted command has this long to say so in etcd.
LAST_WORDS_SECONDS: Final = 5.0
CUT_OFF: Final = "cut off"
# What whoever reads that it broke off types next.
AGAIN: Final = "`deploy status {environment}` tells what runs; the same command again goes on"
# Where nothing of it runs yet, a rollback without a name would take away what serves.
OR_BACK: Final = f"{AGAIN}, `deploy rollback {{environment}} rN` goes back to what ran"
# Of a take-down; what it is about need not be in wharf.yaml, so that `deploy status` refuses it.
GOES_ON: Final = "what is not stopped yet runs on; the same command again goes on"
_FURTHER: Final[Mapping[Verb, str]] = {"up": OR_BACK, "promote": OR_BACK, "down": GOES_ON}

History = Sequence[Numbered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall run from now on.

    Attributes:
        release: `r12`.
        image: `REPOSITORY@sha256:...`.
        replicas: how many instances; None: as many as there are to be.
        source: the environment that it is promoted from.
        approval: the words of whoever approved it.
        waived: why it goes there without the evidence that is asked for.
        reason: why there shall be so many instances, where a rule says it.
    """

    release: str
    image: str
    replicas: int | None = None
    source: str = ""
    approval: str = ""
    waived: str = ""
    reason: str = ""

    @property
    def digest(self) -> str:
        """`sha256:...`."""
        return self.image.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One environment's, for one verb.

    Attributes:
        site: whatever is outside.
        app: of wharf.yaml.
        environment: one of its.
        verb: what is asked for.
        wait_seconds: how long another may have the lock before we give up.
    """

    site: Site
    app: App
    environment: Environment
    verb: Verb
    wait_seconds: float = 0.0

    async def run(self, choose: Callable[[History], Awaitable[Wanted]]) -> Numbered:
        """Does it; gives its record.

        Args:
            choose: says under the lock what shall run, given what was; or refuses.

        Raises:
            LockHeld: somebody else changes this environment.
            LockLost: the lock was lost meanwhile, and the work was stopped where it was.
            RolloutFailed: it does not run.
            NoRoom: for so many there; nothing is on record.
            Unavailable: etcd or the engine is away.
        """
        service = service_of(self.app, self.environment)
        holder = ourselves(self.site.by, self.site.config.host.name, self.verb, self.site.now())
        lock = Lock(
            self.site.etcd,
            service,
            holder,
            progress=self.site.progress,
            wait_seconds=self.wait_seconds,
        )

        async def work(held: Held) -> Numbered:
            releases = Releases(self.site.etcd, service, on_remark=self.site.progress.step)
            history = await self._without_cut_off(releases, held)
            return await self._do(releases, held, history, await choose(history))

        return await lock.hold(work)

    async def _without_cut_off(self, releases: Releases, held: Held) -> History:
        history = await releases.history()
        left = choice.cut_off(history)
        for each in left:
            record = each.record
            asked = f"{record.verb} of {record.release} by {record.by or 'somebody'} at {record.at}"
            self.site.progress.step(f"the {asked} was cut off: it ends as failed, and we go on")
            await releases.end(held, each, record.over("failed", self.site.now(), CUT_OFF))
        return await releases.history() if left else history

    async def _do(
        self, releases: Releases, held: Held, history: History, wanted: Wanted
    ) -> Numbered:
        target = self._target(history, wanted)
        engine = self.site.engine_of(self.app, self.environment)
        await engine.require_room(target)
        begun = await releases.begin(held, self._record(wanted, target))
        what = f"{self.verb} of {target.release} in {self.environment.name}"
        self.site.progress.step(f"{what}: {self._shown(target)}")
        try:
            if self.verb == "down":
                await engine.down(self.site.progress)
            else:
                change = engine.scale if self.verb == "scale" else engine.up
                await change(target, self.site.progress)
        except asyncio.CancelledError as stop:
            why = str(stop.args[0]) if stop.args else CUT_OFF
            await self._last_words(releases, held, begun, "failed", why)
            raise
        except RolloutFailed as error:
            state: State = "rolled back" if error.restored else "failed"
            await self._end(releases, held, begun, state, str(error))
            told = f"{what} {self._outcome(history, error)}: {error}"
            raise RolloutFailed(told, restored=error.restored) from error
        except WharfingerError as error:
            await self._end(releases, held, begun, "failed", str(error))
            if not isinstance(error, Unavailable):
                raise
            next_step = _FURTHER.get(self.verb, AGAIN).format(environment=self.environment.name)
            raise Unavailable(f"{what} failed: {error}\n  {next_step}") from error
        except Exception as error:
            why = f"a bug: {type(error).__name__}: {error}"
            await self._last_words(releases, held, begun, "failed", why)
            raise
        try:
            return await self._end(releases, held, begun, "succeeded", "")
        except asyncio.CancelledError:
            # All is done, but to say so.
            await self._last_words(releases, held, begun, "succeeded", "")
            raise

    def _target(self, history: History, wanted: Wanted) -> Target:
        count = declared(self.environment)
        if not self.environment.everywhere:
            count = choice.replicas(history, count)
            if (rule := self.environment.autoscale) is not None:
                count = min(max(count, rule.least), rule.most)
        return Target(
            app=self.app,
            environment=self.environment,
            image=wanted.image,
            release=wanted.release,
            replicas=count if wanted.replicas is None else wanted.replicas,
            settled=choice.is_settled(history),
            unproven=choice.unproven(history),
        )

    def _record(self, wanted: Wanted, target: Target) -> Record:
        return Record(
            release=wanted.release,
            image=wanted.image,
            digest=wanted.digest,
            state="running",
            at=self.site.now(),
            by=self.site.by,
            verb=self.verb,
            source=wanted.source,
            replicas=target.replicas,
            declared=declared(self.environment),
            engine=self.environment.engine.value,
            approval=text(wanted.approval),
            waived=text(wanted.waived),
            reason=text(wanted.reason),
        )

    async def _end(
        self, releases: Releases, held: Held, begun: Numbered, state: State, why: str
    ) -> Numbered:
        ended = begun.record.over(state, self.site.now(), why)
        await releases.end(held, begun, ended)
        return Numbered(begun.number, ended)

    def _shown(self, target: Target) -> str:
        if self.verb == "down":
            return "each instance is drained, stopped and taken away"
        return f"{_instances(self.environment, target)} of {target.image}"

    def _outcome(self, history: History, error: RolloutFailed) -> str:
        """What whoever is woken by it wants to know first: whether anything serves."""
        before = choice.serving(history)
        if error.restored:
            return "was rolled back" + (f", {before.release} runs as before" if before else "")
        if choice.taken_down(history) is not None:
            return "failed, and the environment had been taken down before"
        if before is None:
            return "failed, and nothing had succeeded there before"
        # Without a name a rollback goes on to where it went, and where nothing else is left than a
        # part of what ran, to the one before that.
        way = f"`deploy rollback {self.environment.name} {before.release}`"
        return f"failed, and {before.release} is not back ({way})"

    async def _last_words(
        self, releases: Releases, held: Held, begun: Numbered, state: State, why: str
    ) -> None:
        """Ends the record where there is little time; the next rollout does it otherwise."""
        with contextlib.suppress(WharfingerError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._end(releases, held, begun, state, why)


def _instances(environment: Environment, target: Target) -> str:
    if environment.everywhere:
        return "one on each host"
    return quantity(target.replicas, "instance")
