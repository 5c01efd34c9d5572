"""Decides how Nginx learns of its peers, and keeps its shared memory at the latest ones."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import Counter, Histogram

from discovery.builtin.certificates import Certificates
from discovery.builtin.config import NginxConfig
from discovery.builtin.nginxfile import Seed
from discovery.model import Snapshot
from discovery.nginx import sockets
from discovery.nginx.push import PushSocket, Told
from discovery.nginx.roster import Noted, Roster
from discovery.publish.changes import Outcome
from wharfinger.errors import Conflict, Rejected, Unavailable, WharfingerError
from wharfinger.lifecycle import Scope

LOOK_SECONDS: Final = 1.0
STALE_SECONDS: Final = 0.1
CHECK: Final = "nginx push"


class Pushing:
    """The peers that Nginx has, by push where that works and by reload where it does not.

    Args:
        scope: of the daemon.
        runtime_dir: where the socket is unless the configuration says otherwise.
        on_change: called when the file must be rendered again.
    """

    def __init__(
        self, scope: Scope, runtime_dir: Path, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._scope = scope
        self._runtime_dir = runtime_dir
        self._on_change = on_change
        self._nginx: NginxConfig | None = None
        self.mode = "reload"
        self.why = ""  # peers go by reload although they should be pushed
        self.established = False
        self._roster = Roster()
        self._latest = Noted()
        self._held: Mapping[str, Seed] | None = None
        self._held_stamp = self._sent_stamp = 0
        self._told: Told | None = None
        self._lock = asyncio.Lock()
        self._socket = self._watched = PushSocket(Path("/"), timeout_seconds=1)
        self._pushes = Counter(
            "wharfinger_discovery_pushes",
            "Pushes of peers into Nginx, by whether it confirmed them.",
            ["outcome"],
            registry=scope.metrics,
        )
        self._seconds = Histogram(
            "wharfinger_discovery_push_seconds",
            "From a push to its confirmation.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
            registry=scope.metrics,
        )

    def configure(self, nginx: NginxConfig | None) -> None:
        """Takes another configuration; whether Nginx can be pushed to is seen anew."""
        self._nginx, self.why = nginx, ""
        self._held, self.established = None, False
        self._roster.configure(nginx)
        self.mode = "push" if nginx is not None and nginx.mode != "reload" else "reload"
        self._scope.health.forget(CHECK)
        for one in (self._socket, self._watched):
            one.close()
        if nginx is None or self.mode != "push":
            return
        path = nginx.pushed_at(self._runtime_dir)
        seconds = nginx.push_timeout_seconds
        self._socket = PushSocket(path, timeout_seconds=seconds)
        self._watched = PushSocket(path, timeout_seconds=seconds)
        self._scope.health.check(CHECK).ok()
        try:
            sockets.prepare(path)
        except Rejected as error:
            self.give_up(str(error))

    @property
    def carries(self) -> bool:
        """Whether peers reach Nginx by push now."""
        return self.mode == "push" and not self.why and self._held is not None

    @property
    def on_trial(self) -> bool:
        """Whether it is still to be seen that Nginx can be pushed to, and need not be."""
        auto = self._nginx is not None and self._nginx.mode == "auto"
        return auto and self.mode == "push" and not self.established

    @property
    def latest(self) -> Noted:
        """What was noted last."""
        return self._latest

    @property
    def certificates(self) -> Certificates:
        """Those of the virtual hosts."""
        return self._roster.certificates

    def give_up(self, why: str) -> bool:
        """Falls to plain upstreams where the configuration leaves that open."""
        if self._nginx is None or self._nginx.mode != "auto" or self.mode != "push":
            self.fail(why)
            return False
        self.mode, self._held = "reload", None
        self._scope.health.check(CHECK).ok(f"peers go by reload: {why}")
        self._scope.events.emit("push mode is off", "warning", why=why)
        return True

    def take_back(self) -> None:
        """The plain file was no better: it is not push mode that is at fault."""
        self.mode = "push"

    def note(self, snapshot: Snapshot) -> Noted:
        """Takes in the peers; called in the very step in which the snapshot was taken."""
        self._latest = self._roster.note(
            snapshot,
            push=self.mode == "push",
            socket=self._socket.path,
            peers_by_reload=bool(self.why),
        )
        return self._latest

    async def push(self, noted: Noted) -> str:
        """Has Nginx hold at least these peers, confirmed; says why it does not."""
        if self.mode != "push":
            return ""
        async with self._lock:
            if self._held is not None and self._held_stamp >= noted.stamp:
                return ""
            # Never what is older than the latest: it would go out with a higher stamp than that.
            noted = self._latest
            try:
                with self._seconds.time():
                    await self._send(noted)
            except WharfingerError as error:
                self._held = None
                self._pushes.labels("failed").inc()
                return str(error)
            self._held, self._held_stamp = noted.site.seeds, noted.stamp
            self.established = True
            self._pushes.labels("confirmed").inc()
            return ""

    async def forget_failures(self) -> bool:
        """Whether a Nginx that is pushed to has forgotten which peers have failed."""
        if not self.carries:
            return False
        async with self._lock:
            try:
                await self._socket.forget_failures()
            except WharfingerError:
                return False
        return True

    async def requests(self, service: str) -> int:
        """How many requests a service has had since Nginx was started.

        Raises:
            Unavailable: Nginx does not answer, or counts nothing as it is configured.
            Rejected: whoever answers is no Nginx with our file.
        """
        if self.mode != "push":
            raise Unavailable("peers go by reload: only a Nginx that is pushed to counts requests")
        async with self._lock:
            return await self._socket.requests(service)

    def fail(self, why: str) -> None:
        """From now on peers go by reload, until a push works again."""
        self._held = None
        if not self.why:
            self._scope.events.emit("push failed", "warning", why=why, instead="reload")
        self.why = why
        self._scope.health.check(CHECK).ok(f"peers go by reload: {why}")

    async def run(self) -> None:
        """Notices, for ever, that Nginx was restarted, or takes pushes again."""
        while True:
            if self.mode == "push" and self._latest.stamp:
                await self._look()
                await self._watched.closed(within_seconds=LOOK_SECONDS)
            else:
                await asyncio.sleep(LOOK_SECONDS)

    def status(self) -> dict[str, Any]:
        """How peers reach Nginx."""
        return {
            "mode": self.mode,
            "push": {
                "socket": str(self._socket.path) if self.mode == "push" else "",
                "fallback": self.why,
                "stamp": self._held_stamp if self._held is not None else 0,
                "worker_pid": self._told.worker_pid if self._told else 0,
            },
            "without_certificate": list(self.certificates.missing),
        }

    async def _look(self) -> None:
        expected, latest = self._sent_stamp, self._latest
        held = self._held is not None
        try:
            told = await self._watched.state()
        except WharfingerError:
            await self._unlink_if_stale()
            return
        if held and told.stamp < expected:
            # Its memory is new: a restart. The file's seed serves meanwhile.
            self._scope.events.emit("nginx restarted", "warning", master_pid=told.master_pid)
            self._held = None
        if self._held is None and (self.established or self.why):
            why = await self.push(latest)
            if not why and self.why:
                self.why = ""
                self._scope.health.check(CHECK).ok()
                self._scope.events.emit("push works again")
                self._on_change()

    async def _unlink_if_stale(self) -> None:
        """A killed Nginx leaves its socket behind, and could not start again.

        It tries for two seconds (ngx_open_listening_sockets). One look is not enough: between
        its bind and its listen a sound socket refuses, too.
        """
        path = self._socket.path
        try:
            inode = path.lstat().st_ino
            if not await self._watched.refused():
                return
            await asyncio.sleep(STALE_SECONDS)
            if path.lstat().st_ino != inode or not await self._watched.refused():
                return
            path.unlink()
        except OSError:
            return
        self._scope.events.emit("stale socket removed", "warning", path=str(path))

    async def _send(self, noted: Noted) -> None:
        seeds, held = noted.site.seeds, self._held
        full = held is None
        texts = {n: s.text for n, s in seeds.items() if held is None or held.get(n) is not s}
        if not texts and not full:
            return
        for attempt in range(2):
            stamp = max(noted.stamp, self._sent_stamp + 1)
            # Before it is known to be there: what is noted next must be later in any case.
            self._roster.pass_over(stamp)
            try:
                self._told = await self._socket.send(texts, stamp=stamp, full=full)
            except Conflict:
                if attempt:
                    raise
                # Pushed in a former life whose clock was ahead.
                told = (await self._socket.state()).stamp
                self._sent_stamp = told
            else:
                self._sent_stamp = stamp
                return


def refuses_push(outcome: Outcome, dest: Path) -> bool:
    """Whether it may be push mode that Nginx does not take: not so where nobody runs at all."""
    why = str(outcome.error or "")
    if 'unknown directive "lua' in why:
        return True  # whoever ran the reload command said so
    ours = (str(dest), "lua", "resty", "does not serve generation")
    # Somebody else's broken file would break the plain one as well.
    return not outcome.swapped and any(word in why for word in ours)
