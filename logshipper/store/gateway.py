"""The log store's wiring when another engine holds the lines: the page and the API above it."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

from logshipper.store.config import Config
from logshipper.store.http import access
from logshipper.store.http.access import Tokens
from logshipper.store.http.api import Api
from logshipper.store.http.closed import Closed
from logshipper.store.http.pages import Pages
from logshipper.store.metrics import Metrics
from logshipper.store.model import DEFAULT_TENANT
from logshipper.store.query.backends import choice
from logshipper.store.query.backends.remote import Remote
from wharfinger.errors import ConfigError, Finding, WharfingerError
from wharfinger.health import Check
from wharfinger.lifecycle import Scope

_WATCH_SECONDS: Final = 10.0
_READERS: Final = 4


class Gateway:
    """Answers from another engine, and takes no lines.

    Args:
        config: all that it reads of the file.
        scope: what the lifecycle lends.
    """

    def __init__(self, config: Config, scope: Scope) -> None:
        self._config = config
        self._scope = scope
        self._reading = _tokens(config)
        self._readers = ThreadPoolExecutor(_READERS, "reader")
        section = config.logstore.backend
        self.backend = choice.make(section, self._readers)
        closed = Closed(section.type, section.url)
        api = Api(
            self.backend,
            Metrics(scope.metrics),
            lambda: self._reading,
            tell=self._tell_failure,
        )
        scope.add_routes(api.routes())
        scope.add_routes(Pages(closed.version, api.denied).routes())
        scope.add_routes(closed.routes())

    async def start(self) -> None:
        """Begins to look whether the engine is there; nobody waits for it."""
        await self._scope.enter(self._open())
        check = self._scope.health.check("back end")
        self._scope.spawn("watch back end", self._watch(check))

    async def drain(self) -> None:
        """Nothing waits here."""

    def status(self) -> dict[str, Any]:
        """Where the lines are."""
        section = self._config.logstore.backend
        return {"backend": section.type, "url": section.url, "tenants": dict(section.tenants)}

    async def reload(self, config: Config) -> None:
        """Swaps in tokens.

        Raises:
            ConfigError: a token file cannot be used; nothing was changed.
        """
        self._reading = _tokens(config)
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


async def findings(config: Config) -> list[Finding]:
    """What stands in the way of good answers from the other engine."""
    with ThreadPoolExecutor(1) as executor:
        try:
            backend: Remote = choice.make(config.logstore.backend, executor)
        except ConfigError as error:
            return list(error.findings)
        try:
            await backend.reach()
            return await backend.findings()
        except WharfingerError as error:
            return [Finding("logstore.backend.url", str(error), "is it running, is url right?")]
        finally:
            await backend.close()


def _tokens(config: Config) -> Tokens:
    tokens = access.load(config.logstore.read_token_file, "logstore.read_token_file")
    places = config.logstore.backend.tenants
    wanted = tokens.tenants or {DEFAULT_TENANT}
    missing = sorted(wanted - places.keys())
    if missing and (places or len(wanted) > 1):
        # Else they would all see the one place that there is without the table.
        problem = f"has nothing for {', '.join(missing)}, who may read by read_token_file"
        raise ConfigError([Finding("logstore.backend.tenants", problem, "name what each may see")])
    return tokens
