"""`wharfinger logs`: search the log store, and follow it, from a terminal."""

import argparse
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from wharfinger.errors import ConfigError, Exit, Finding, Rejected, Unavailable
from wharfinger.logtext import RESET, harmless, moment
from wharfinger.operator import settings, terminal
from wharfinger.operator.verbs import Verbs, add_shown
from wharfinger.text import printable, shortened

# The store answers or gives up in 30 s; an open tail has a ping every 15 s.
SEARCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
TAIL_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=45.0)
MAX_LIMIT: Final = 10_000
MAX_EVENT_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for.

    Attributes:
        words: of the store's query language.
        app: only of this application.
        env: only of this environment.
        since: `1h`, `30m`, `2d`, or a time (RFC 3339); empty for all that is kept.
        limit: lines at most, the newest.
        follow: then show each new line as it comes.
        as_json: a line of JSON each.
    """

    words: tuple[str, ...] = ()
    app: str = ""
    env: str = ""
    since: str = ""
    limit: int = 100
    follow: bool = False
    as_json: bool = False

    def parameters(self, now: datetime) -> dict[str, str]:
        """As the store's API takes them.

        Raises:
            Rejected: `since` is no time.
        """
        asked = {"q": " ".join(self.words), "app": self.app, "env": self.env}
        asked |= {"from": moment(self.since, now) if self.since else ""}
        return {name: text for name, text in asked.items() if text}


def add_to(verbs: Verbs) -> None:
    """Adds `logs` to the command."""
    parser = verbs.add("logs", _logs, "search the log store, and follow", interrupted=None)
    add_shown(parser)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="all must be there; `-- -not`, '\"a phrase\"', app:shop and '/regex/' work too",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="show new lines as they come")
    parser.add_argument("--app", default="", help="of this application alone")
    parser.add_argument("--env", default="", help="of this environment alone")
    parser.add_argument("--since", default="", metavar="TIME", help="30m, 1h, 2d, or RFC 3339")
    parser.add_argument(
        "--limit", type=_limit, default=100, metavar="N", help="the newest N lines (100)"
    )
    parser.add_argument("--url", metavar="URL", help="of the store, if not [logstore] listen")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="if not [logstore] read_token_file"
    )


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"give a number from 1 to {MAX_LIMIT}")
    return int(text)


async def _logs(parsed: argparse.Namespace) -> Exit:
    question = Question(
        words=tuple(parsed.words),
        app=parsed.app,
        env=parsed.env,
        since=parsed.since,
        limit=parsed.limit,
        follow=parsed.follow,
        as_json=parsed.json,
    )
    return await logs(question, path=parsed.config, url=parsed.url, token_file=parsed.token_file)


async def logs(
    question: Question, *, path: Path | None, url: str | None, token_file: Path | None
) -> Exit:
    """Shows what was found, oldest first, and what comes.

    Args:
        question: what is asked for.
        path: the configuration file.
        url: of the store, in place of the configured one.
        token_file: holds a token that may read, in place of the configured one.

    Raises:
        Unavailable: the store cannot be reached, or went away.
        Rejected: it cannot understand the question.
        ConfigError: it wants a token that we do not have.
    """
    parameters = question.parameters(datetime.now(UTC))
    config = settings.section("logstore", settings.daemons()["logstore"], path)
    token_file = token_file or config.read_token_file
    headers = {}
    if token_file is not None:
        headers["Authorization"] = f"Bearer {settings.first_token(token_file)}"
    store = _Store((url or f"http://{config.listen}").rstrip("/"), headers)
    if not question.follow:
        _show(question, await store.search(parameters, question.limit))
        return Exit.OK
    async with store.tail(parameters) as coming:
        # The tail was opened first: what falls between the two is in both, and shown once.
        found = await store.search(parameters, question.limit)
        _show(question, found)
        shown = {hit.get("id") for hit in found}
        async for hit in coming:
            if hit.get("id") not in shown:
                _show(question, [hit])
    return Exit.OK


def line(hit: Mapping[str, Any], *, colours: bool) -> str:
    """A hit as people read it: time, service, container, text; nothing in it drives a terminal."""
    service = "_".join(str(hit[name]) for name in ("app", "env") if hit.get(name))
    container = hit.get("container_name") or str(hit.get("container", ""))[:12]
    where = printable(" ".join(str(part) for part in (service, container) if part)[:300])
    # Nanoseconds tell lines apart in the store; milliseconds are enough for the eye.
    when = printable(re.sub(r"(\.\d{3})\d*", r"\1", str(hit.get("time", "")))[:40])
    if colours:
        when, where = f"\x1b[2m{when}{RESET}", f"\x1b[36m{where}{RESET}"
    return f"{when} {where} {harmless(str(hit.get('message', '')), colours=colours)}\n"


class _Store:
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self.headers = headers

    async def search(self, parameters: Mapping[str, str], limit: int) -> list[dict[str, Any]]:
        asked = {**parameters, "limit": str(limit)}
        async with self._asked("search", asked, SEARCH_TIMEOUT) as response:
            try:
                found = msgspec.json.decode(await response.read())
                hits: list[dict[str, Any]] = found["hits"]
            except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
                raise Unavailable(f"{self.url}: something else listens there") from None
        if found.get("more"):
            terminal.complain(f"these are the newest {limit}; there are more: --limit, --since")
        return hits[::-1]

    @asynccontextmanager
    async def tail(
        self, parameters: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """New lines as they are committed, from the moment on that the block begins."""
        # The past is the search's matter.
        asked = {name: text for name, text in parameters.items() if name != "from"}
        async with self._asked("tail", asked, TAIL_TIMEOUT) as response:
            events = self._events(response)
            await anext(events)  # the greeting
            yield self._hits(events)

    async def _hits(self, events: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
        async for event in events:
            kind, _, data = event.partition("data: ")
            if "event: dropped" in kind:
                terminal.complain(f"{data[:20]} lines left out: too many to follow")
            elif data:
                yield msgspec.json.decode(data, type=dict[str, Any])
        raise Unavailable(f"log store {self.url}: it ended the stream")

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        """Server-sent events as text (HTML standard, 9.2); a comment is one as well."""
        held = bytearray()
        async for part in response.content.iter_any():
            held += part
            while (end := held.find(b"\n\n")) >= 0:
                yield held[:end].decode(errors="replace")
                del held[: end + 2]
            if len(held) > MAX_EVENT_BYTES:
                raise Unavailable(f"{self.url}: an event of more than {MAX_EVENT_BYTES} bytes")

    @asynccontextmanager
    async def _asked(
        self, what: str, parameters: Mapping[str, str], patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with (
                aiohttp.ClientSession(timeout=patience, headers=self.headers) as session,
                # Elsewhere our token has no business.
                session.get(
                    f"{self.url}/api/{what}", params=parameters, allow_redirects=False
                ) as response,
            ):
                await self._require_ok(response)
                yield response
        except BrokenPipeError:
            raise  # stdout's: the reader has seen enough
        except TimeoutError as error:
            raise Unavailable(f"log store {self.url}: it does not answer") from error
        except aiohttp.InvalidURL as error:
            fix = "write http://HOST:PORT"
            raise ConfigError([Finding(f"--url {self.url}", "is no address", fix)]) from error
        except aiohttp.ClientConnectorError as error:
            why = settings.connection_problem(error)
            raise Unavailable(f"log store {self.url}: {why}") from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
            raise Unavailable(f"log store {self.url}: it closed the connection") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"log store {self.url}: {type(error).__name__}: {error}") from error

    async def _require_ok(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:  # noqa: PLR2004
            return
        body = await response.read()
        said = shortened(body.decode(errors="replace").strip(), 300)
        match response.status:
            case 400:
                raise Rejected(_complaint(body) or said)
            case 401:
                fix = "name a file with a token that may read: --token-file FILE"
                raise ConfigError([Finding(self.url, "the token is missing or wrong", fix)])
            case status:
                raise Unavailable(f"log store {self.url}: status {status}: {said}")


def _complaint(body: bytes) -> str:
    """What the store says is wrong with a question, and how to write it."""
    try:
        told = msgspec.json.decode(body, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return "; ".join(told[name] for name in ("error", "fix") if told.get(name))


def _show(question: Question, hits: list[dict[str, Any]]) -> None:
    for hit in hits:
        if question.as_json:
            terminal.show_line(hit)
        else:
            terminal.write(line(hit, colours=sys.stdout.isatty()))
