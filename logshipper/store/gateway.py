"""The log store's wiring when another engine holds the lines: the page and the API above it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from logshipper.store.access import tokens
from logshipper.store.access.tokens import Tokens
from logshipper.store.config import Config, LogstoreConfig
from logshipper.store.fleet.fleet import Fleet
from logshipper.store.http.api import Api
from logshipper.store.http.closed import Closed
from logshipper.store.http.pages import Pages
from logshipper.store.http.signin import SignIn
from logshipper.store.metrics import Metrics
from logshipper.store.model import DEFAULT_TENANT
from logshipper.store.query.backends import choice
from logshipper.store.query.backends.remote import Remote
from logshipper.store.query.turns import Turns
from logshipper.store.who import Who
from wharfinger.errors import ConfigError, Finding, WharfingerError
from wharfinger.files import make_folder
from wharfinger.health import Check
from wharfinger.lifecycle import Scope

_WATCH_SECONDS: Final = 10.0
_READERS: Final = 4
_FOLDER_MODE: Final = 0o700


class Gateway:
    """Answers from another engine, and takes no lines.

    Args:
        config: all that it reads of the file.
        scope: what the lifecycle lends.

    Raises:
        ConfigError: a file cannot be used, or a tenant has no place there.
    """

    def __init__(self, config: Config, scope: Scope) -> None:
        self._config = config
        self._scope = scope
        section, metrics = config.logstore, Metrics(scope.metrics)
        self._readers = Turns(_READERS, metrics.waiting.set)
        self.backend = choice.make(section.backend, self._readers)
        self._who = Who(section, scope, metrics)
        if found := unplaced(section, self._who.door.rules.readers):
            raise ConfigError(found)
        closed = Closed(section.backend.type, section.backend.url)
        api = Api(self.backend, metrics, self._who.guard, tell=self._tell_failure)
        scope.add_routes(api.routes())
        fleet = section.fleet.enabled
        scope.add_routes(SignIn(self._who.guard, self._who.audit, fleet=fleet).routes())
        scope.add_routes(Pages(closed.version, api.denied, fleet=fleet).routes())
        scope.add_routes(closed.routes())
        self._fleet: Fleet | None = None
        if fleet:
            self._fleet = Fleet(config, scope, self._who, self.backend)

    async def start(self) -> None:
        """Begins to look whether the engine is there; nobody waits for it.

        Raises:
            ConfigError: there is no folder for the key of the sessions.
        """
        folder = self._config.data_dir
        try:
            make_folder(folder, _FOLDER_MODE)
        except OSError as error:
            why = f"{folder} cannot be written: {error.strerror}"
            raise ConfigError([Finding("logstore.data_dir", why, "name another")]) from None
        await self._scope.enter(self._open())
        await self._who.start(folder)
        if self._fleet is not None:
            await self._fleet.start()
        check = self._scope.health.check("back end")
        self._scope.spawn("watch back end", self._watch(check))

    async def drain(self) -> None:
        """Nothing waits here."""

    def status(self) -> dict[str, Any]:
        """Where the lines are."""
        section = self._config.logstore.backend
        told = {"backend": section.type, "url": section.url, "tenants": dict(section.tenants)}
        return told if self._fleet is None else {**told, "fleet": self._fleet.status()}

    async def reload(self, config: Config) -> None:
        """Swaps in tokens and limits.

        Raises:
            ConfigError: a token file cannot be used; nothing was changed.
        """
        await self._who.reload(config.logstore)
        self._config = config

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.backend.close()
            await asyncio.to_thread(self._readers.shutdown, wait=True, cancel_futures=True)

    async def _watch(self, check: Check) -> None:
        while True:
            try:
                await self.backend.reach()
            except WharfingerError as error:
                check.fail(str(error))
            else:
                check.ok()
            await asyncio.sleep(_WATCH_SECONDS)

    def _tell_failure(self, kind: str, endpoint: str, error: str) -> None:
        self._scope.events.emit(kind, "error", endpoint=endpoint, error=error)


def unplaced(section: LogstoreConfig, reading: Tokens) -> list[Finding]:
    """The tenants that may read, and for whom no place in the other engine is named."""
    wanted: set[str] = {*reading.tenants, *section.user_tenants.values()}
    if section.user_header and section.user_tenant:
        wanted.add(section.user_tenant)
    missing = sorted(each for each in wanted or {DEFAULT_TENANT} if not section.backend.place(each))
    if not missing:
        return []
    problem = f"has nothing for {', '.join(missing)}, who may read"
    return [Finding("logstore.backend.tenants", problem, "name what each may see")]


async def findings(config: Config) -> list[Finding]:
    """What stands in the way of good answers from the other engine."""
    readers = Turns(2)
    try:
        found = unplaced(
            config.logstore,
            tokens.load(config.logstore.read_token_file, "logstore.read_token_file"),
        )
        backend: Remote = choice.make(config.logstore.backend, readers)
    except ConfigError as error:
        return list(error.findings)
    try:
        await backend.reach()
        return [*found, *(await backend.findings())]
    except WharfingerError as error:
        fix = "is it running, is url right?"
        return [*found, Finding("logstore.backend.url", str(error), fix)]
    finally:
        await backend.close()
        readers.shutdown()
