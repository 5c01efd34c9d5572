"""What operations tail: /healthz, /readyz, /metrics, /status and /events on one address."""

import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from wharfinger.address import parse_address
from wharfinger.errors import ConfigError, Finding
from wharfinger.events import Events
from wharfinger.health import Health
from wharfinger.jsontext import encode_line
from wharfinger.jsontext import encode_page as encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Endpoints", "encode_json", "json_answer", "parse_address", "serving"]

DAEMON_HEADER: Final = "Wharfinger-Daemon"
START_HEADER: Final = "Wharfinger-Start"
"""When this life began, in milliseconds since 1970: the numbers of its events count from there."""

# Nothing here is a page, whatever a browser makes of a hostile text in it.
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Endpoints:
    """The read-only HTTP side of a daemon; nothing here changes anything.

    Args:
        name: the daemon's.
        health: its checks.
        events: its events.
        metrics: its registry.
        status: gives all that the daemon holds right now.
        ready: whether start-up is complete and no stop has begun.
        started: whether start-up is complete; until then /healthz is red.
        began: when this life began, Unix time in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        health: Health,
        events: Events,
        metrics: CollectorRegistry,
        status: Callable[[], dict[str, Any]],
        ready: Callable[[], bool],
        started: Callable[[], bool] = lambda: True,
        began: float = 0.0,
    ) -> None:
        self._name = name
        self._health = health
        self._events = events
        self._metrics = metrics
        self._status = status
        self._ready = ready
        self._started = started
        self._began = began

    def routes(self) -> "Sequence[web.RouteDef]":
        """The routes, for an aiohttp application."""
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._serve_metrics),
            web.get("/status", self._serve_status),
            # HEAD would wait for ever for a body that it may not have.
            web.get("/events", self._serve_events, allow_head=False),
        ]

    async def _healthz(self, _request: web.Request) -> web.Response:
        report = self._health.report()
        # A daemon that has made no check yet would be green by having nothing to say.
        healthy = report.healthy and self._started()
        why = report.why if self._started() else f"start-up is not complete; {report.why}"
        return json_answer(
            {"daemon": self._name, "healthy": healthy, "why": why, "checks": report.checks},
            status=200 if healthy else 503,
        )

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready, report = self._ready(), self._health.report()
        why = report.why if ready else "start-up is not complete, or a stop has begun"
        good = ready and report.healthy
        return json_answer({"ready": good, "why": why}, status=200 if good else 503)

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._metrics),
            headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST},
        )

    async def _serve_status(self, _request: web.Request) -> web.Response:
        return json_answer(self._status())

    async def _serve_events(self, request: web.Request) -> web.StreamResponse:
        try:
            since, after = _since(request.query.get("since", ""))
        except ValueError:
            return json_answer({"error": "since is an event's seq or an RFC 3339 time"}, status=400)
        response = web.StreamResponse(
            headers={
                **_HEADERS,
                "Content-Type": "application/x-ndjson",
                "X-Accel-Buffering": "no",
                DAEMON_HEADER: self._name,
                START_HEADER: f"{self._began * 1000:.0f}",
            }
        )
        await response.prepare(request)
        async for event in self._events.follow(since):
            if after is None or datetime.fromisoformat(str(event["time"])) >= after:
                await response.write(encode_line(event) + b"\n")
        return response


@asynccontextmanager
async def serving(
    address: str, application: web.Application, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serves the application on HOST:PORT until the block ends, over TLS if that is given.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    # Streams such as /events never end by themselves: a stop must not wait for them, and one
    # whose reader went away must not wait for the next event to notice.
    # Who takes packed bodies unpacks them within a limit of its own; aiohttp's unpacking takes
    # a stream that was cut short for a whole one.
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=0.1,
        handler_cancellation=True,
        auto_decompress=False,
        logger=_server_log(),
    )
    try:
        await runner.setup()
        try:
            host, port = parse_address(address)
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            why = f"cannot listen there: {error.strerror}"
            fix = "another process holds it, or the address is not this host's"
            raise ConfigError([Finding(address, why, fix)]) from error
        except ValueError as error:  # also a host name that IDNA cannot encode
            raise ConfigError([Finding(address, str(error), "write it HOST:PORT")]) from error
        yield
    finally:
        await runner.cleanup()


def _server_log() -> logging.Logger:
    """What the server complains of, but for requests that are none: those are answered with 400.

    Anybody who can connect could fill the log with tracebacks.
    """
    logger = logging.getLogger("aiohttp.server.wharfinger")
    if not logger.filters:
        logger.addFilter(lambda record: not isinstance(_error(record), HttpProcessingError))
    return logger


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _since(text: str) -> tuple[int, datetime | None]:
    """An event's number, or a time.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return 0, None
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text), None
    # In a query + means a blank, so the + of a zone arrives as one.
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", text) if "T" in text.upper() else text
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        message = "a time without a zone"
        raise ValueError(message)
    return 0, moment


def json_answer(value: object, status: int = 200) -> web.Response:
    """An answer of the read side: never kept, never taken for a page."""
    body = encode_json(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=_HEADERS)
