"""Who may, as it stands: rules from the configuration and its files, which are read again."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from logshipper.store.access import keyfile, rules, tokens
from logshipper.store.access.audit import Audit
from logshipper.store.access.door import Door
from logshipper.store.access.rates import Rates
from logshipper.store.access.tokens import Tokens
from logshipper.store.config import LogstoreConfig
from logshipper.store.http.guard import Guard
from logshipper.store.metrics import Metrics
from wharfinger import certificate, servertls
from wharfinger.expiry import Validity
from wharfinger.health import Check
from wharfinger.rereading import Rereading
from wharfinger.scope import Scope
from wharfinger.servertls import Replaceable, TlsFiles

_LOOK_SECONDS: Final = 1.0
_CHECK: Final = "token files"
# A mount that hangs says nothing of a token that was taken away.
_STALE_SECONDS: Final = 30.0

_Read = tuple[Tokens, Tokens, Tokens]  # that may write, read, give orders


class Who:
    """The door and all that stands behind it.

    Args:
        section: what the configuration says.
        scope: what the lifecycle lends.
        metrics: what to count.

    Attributes:
        door: tells who has come.
        guard: stands in front of every question.
        audit: notes them.
        sending: bytes of each sender.

    Raises:
        ConfigError: a file cannot be used.
    """

    def __init__(self, section: LogstoreConfig, scope: Scope, metrics: Metrics) -> None:
        self._scope = scope
        self._token_files = self._watched_tokens(section)
        self.door = Door(rules.make(section, *self._token_files.first()), keyfile.fresh())
        self.audit = Audit(
            scope.events.emit, metrics, scope.health.check("audit"), section.audit_file
        )
        self.sending = Rates(section.ingest_bytes_per_second)
        self._asking = Rates(section.read_requests_per_second)
        self.guard = Guard(self.door, self.audit, metrics, self._asking)
        self._validity: Validity | None = None
        self._tls_files = self._watched_certificate(section.tls)
        scope.application.middlewares.append(self.guard.front)
        scope.application.on_response_prepare.append(self.guard.prepared)

    async def start(self, folder: Path) -> None:
        """Begins to watch the files.

        Args:
            folder: keeps the key of the sessions; it must exist.
        """
        try:
            self.door.sessions = await asyncio.to_thread(keyfile.kept, folder)
        except OSError as error:
            # Those of this process serve as well; only a restart signs everybody out.
            self._scope.events.emit("sessions not kept", "warning", why=error.strerror)
        await self._scope.enter(self.audit.running())
        looking = self._scope.health.check("file watch", stale_after_seconds=_STALE_SECONDS)
        self._scope.spawn("watch files", self._watch(looking))

    async def reload(self, section: LogstoreConfig) -> None:
        """Swaps in what the configuration says now.

        Raises:
            ConfigError: a token file cannot be used; nothing was changed.
        """
        files = self._watched_tokens(section)
        read = await asyncio.to_thread(_tokens, section)
        self._token_files.end()
        self._token_files = files
        self._scope.health.check(_CHECK).ok()
        self.door.rules = rules.make(section, *read)
        self.sending.per_second = section.ingest_bytes_per_second
        self._asking.per_second = section.read_requests_per_second
        self.audit.use(section.audit_file)
        self.guard.recheck()

    async def _watch(self, looking: Check) -> None:
        """Takes up changed files; ends the answers to those who may no longer read."""
        while True:
            looking.ok()
            await asyncio.sleep(_LOOK_SECONDS)
            if await self._token_files.look():
                known = self.door.rules
                self._scope.events.emit(
                    "tokens read again",
                    writing=len(known.writing.known),
                    reading=len(known.reading.known),
                )
            if self._tls_files is not None and await self._tls_files.look():
                self._scope.events.emit("certificate read again")
            self._look_at_expiry()
            self.guard.recheck()

    def _watched_tokens(self, section: LogstoreConfig) -> Rereading[_Read]:
        def use(read: _Read) -> None:
            self.door.rules = rules.make(section, *read)

        files = (section.ingest_token_file, section.read_token_file, section.admin_token_file)
        paths = [path for path in files if path is not None]
        check = self._scope.health.check(_CHECK)
        return Rereading(paths, lambda: _tokens(section), use, check)

    def _watched_certificate(
        self, files: TlsFiles | None
    ) -> Rereading[tuple[ssl.SSLContext, Validity | None]] | None:
        if files is None:
            return None

        def read() -> tuple[ssl.SSLContext, Validity | None]:
            return servertls.load(files), certificate.validity_of(files.cert_file)

        def use(found: tuple[ssl.SSLContext, Validity | None]) -> None:
            serving.latest, self._validity = found

        check = self._scope.health.check("certificate")
        watched = Rereading(files.paths, read, use, check)
        context, self._validity = watched.first()
        self._scope.tls = serving = Replaceable(context)
        self._look_at_expiry()
        return watched

    def _look_at_expiry(self) -> None:
        """One that has ended is served all the same: there is no better one, but clients go."""
        if (validity := self._validity) is None:
            return
        check = self._scope.health.check("certificate expiry")
        now = datetime.now(UTC)
        remark = validity.remark(now)
        fix = "put a new pair into its place: no restart is needed"
        match validity.standing(now):
            case "ended":
                check.fail(f"{remark}, and clients refuse it; {fix}")
            case "near":
                check.fail(f"{remark}; {fix}")
            case _:
                check.ok(remark)


def _tokens(section: LogstoreConfig) -> _Read:
    return (
        tokens.load(section.ingest_token_file, "logstore.ingest_token_file"),
        tokens.load(section.read_token_file, "logstore.read_token_file"),
        tokens.load(section.admin_token_file, "logstore.admin_token_file"),
    )
