"""`wharfinger drain` and `undrain`: asks this host's registrar, and shows how far it is."""

import argparse
import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from rich.console import Console
from rich.status import Status
from rich.text import Text

from wharfinger.cli import Parser
from wharfinger.control import socket_path
from wharfinger.drainsteps import described
from wharfinger.errors import Exit, Rejected, Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import HOSTS, INSTANCES, HostKey
from wharfinger.kv import KeyValue, ranges_of
from wharfinger.operator import remote, settings, terminal
from wharfinger.operator.services import entries, named
from wharfinger.operator.verbs import Verbs, add_shown
from wharfinger.sections import EtcdConfig, HostConfig
from wharfinger.text import printable, shortened

REGISTRAR: Final = "registrar"
ANSWER_SECONDS: Final = 20.0
LOOK_UP_SECONDS: Final = 5.0
# A step of a whole host names thousands of instances.
MAX_STEP_BYTES: Final = 2**24
MAX_TIMEOUT_SECONDS: Final = 86_400
INTERRUPTED: Final = "interrupted; what was drained stays so: ask again, or undrain it"
# In flight nothing may come for as long as a drain lasts; a dead registrar closes the connection.
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        verb: `drain` or `undrain`.
        name: an instance in any way that people name it, or this host.
        timeout_seconds: for the removal and the acknowledgements.
        wait: for more than the removal.
        as_json: a line of JSON for each step.
    """

    verb: str
    name: str
    timeout_seconds: float
    wait: bool = True
    as_json: bool = False


def add_to(verbs: Verbs) -> None:
    """Adds `drain` and `undrain` to the command."""
    out = "take an instance, or all of this host, out until undrained"
    _add_flags(verbs.add("drain", _drain, out, interrupted=INTERRUPTED))
    _add_flags(verbs.add("undrain", _drain, "let it back in"))


def _add_flags(parser: Parser) -> None:
    add_shown(parser)
    parser.add_argument(
        "name",
        metavar="INSTANCE|HOST",
        help="a container's name or id, IP:PORT, or key; or this host's name",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="for the removal and the acknowledgements (60)",
    )
    parser.add_argument(
        "--remote",
        action="store_true",
        help="on whatever host it is: an order through etcd to the registrar there",
    )
    parser.add_argument("--no-wait", action="store_true", help="for no acknowledgement")


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= MAX_TIMEOUT_SECONDS:
        why = f"give seconds, more than 0 and at most {MAX_TIMEOUT_SECONDS}"
        raise argparse.ArgumentTypeError(why)
    return found


async def _drain(parsed: argparse.Namespace) -> Exit:
    if parsed.remote:
        return await _order(parsed)
    wish = Wish(
        verb=parsed.verb,
        name=parsed.name,
        timeout_seconds=parsed.timeout,
        wait=not parsed.no_wait,
        as_json=parsed.json,
    )
    return await drain(wish, path=parsed.config)


async def _order(parsed: argparse.Namespace) -> Exit:
    def show(step: str) -> None:
        if parsed.json:
            terminal.show_line({"step": step})
        else:
            terminal.write(f"{step}\n")

    async with Etcd(settings.etcd(parsed.config)) as etcd:
        return await remote.give(
            etcd,
            parsed.verb,
            parsed.name,
            by=_asker(),
            timeout_seconds=parsed.timeout,
            show=show,
        )


async def drain(wish: Wish, *, path: Path | None) -> Exit:
    """Has it done, and shows each step.

    Args:
        wish: what is asked for.
        path: the configuration file.

    Returns:
        OK when it is done; TRY_LATER when some discoveries did not acknowledge in time.

    Raises:
        Unavailable: the registrar cannot be reached, or it is another one that must be asked.
        Rejected: there is no such instance, or several.
    """
    host: HostConfig = settings.section("host", HostConfig, path)
    what = "host" if wish.name == host.name else "instance"
    asked = {
        what: wish.name,
        "timeout_seconds": wish.timeout_seconds,
        "wait": wish.wait,
        "by": _asker(),
    }
    shown = _Progress(wish)
    with shown:
        try:
            async with _posted(host, f"/v1/{wish.verb}", asked) as response:
                return await _followed(response, shown)
        except (Unavailable, _NotHere) as error:
            where = await _elsewhere(settings.etcd(path), wish.name)
            if where:
                raise Unavailable(f"{error}; {_directions(wish, where, host.name)}") from error
            # Etcd may not tell, or be away; that much is so in any case.
            told = f"{error}; what is on another host: there, or here with --remote"
            if isinstance(error, _NotHere):
                raise Rejected(told) from error
            raise Unavailable(told) from error


def hosts_of(name: str, items: Mapping[str, KeyValue]) -> list[str]:
    """The hosts that an instance, or a host itself, of that name is on.

    Args:
        name: as people write it.
        items: what stands in etcd.
    """
    found = set()
    for key in items:
        if key.startswith(HOSTS):
            try:
                if HostKey.parse(key) == HostKey(name, REGISTRAR):
                    found.add(name)
            except Rejected:
                continue
    found.update(one.host for one in named(name, entries(items)) if one.host)
    return sorted(found)


class _NotHere(Exception):
    """This host's registrar knows no such instance."""


@asynccontextmanager
async def _posted(
    host: HostConfig, target: str, body: object
) -> AsyncIterator[aiohttp.ClientResponse]:
    path = socket_path(host, REGISTRAR)
    try:
        connector = aiohttp.UnixConnector(path=os.fspath(path))
        async with aiohttp.ClientSession(
            connector=connector, timeout=TIMEOUT, read_bufsize=MAX_STEP_BYTES
        ) as session:
            async with asyncio.timeout(ANSWER_SECONDS):
                response = await session.post(f"http://{REGISTRAR}{target}", json=body)
            async with response:
                await _require_ok(response)
                yield response
    except TimeoutError as error:
        raise Unavailable(f"the registrar at {path} does not answer") from error
    except aiohttp.ClientConnectorError as error:
        why = _unreachable(error, host)
        raise Unavailable(f"the registrar at {path} cannot be reached: {why}") from error
    except aiohttp.ClientError as error:
        raise Unavailable(f"the registrar at {path} cut the connection: {error!r}") from error


def _unreachable(error: aiohttp.ClientConnectorError, host: HostConfig) -> str:
    match error.os_error:
        case PermissionError():
            group = host.control_group
            fix = f"be in group {group!a}" if group else "set host.control_group"
            return f"permission denied: run as root, or {fix}"
        case FileNotFoundError():
            return "there is no such socket: does it run? is host.runtime_dir right?"
        case _:
            return settings.connection_problem(error)


async def _require_ok(response: aiohttp.ClientResponse) -> None:
    if response.status == 200:  # noqa: PLR2004
        return
    said = await response.read()
    try:
        why = str(msgspec.json.decode(said, type=dict[str, str])["error"])
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        why = f"status {response.status}: {shortened(said.decode(errors='replace'), 300)}"
    match response.status:
        case 404:
            raise _NotHere(why)
        case 400 | 409:
            raise Rejected(why)
        case _:
            raise Unavailable(f"registrar: {why}")


async def _followed(response: aiohttp.ClientResponse, shown: "_Progress") -> Exit:
    async for line in response.content:
        try:
            step = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(f"the registrar answers nonsense: {error}") from error
        shown.take(step)
        if "error" in step:
            if step.get("behind"):
                shown.complain(str(step["error"]))
                return Exit.TRY_LATER
            raise Unavailable(str(step["error"]))
        if step.get("step") == "done":
            return Exit.OK
    raise Unavailable("the registrar went away meanwhile; what was drained stays so: ask again")


async def _elsewhere(config: EtcdConfig, name: str) -> list[str]:
    """The hosts that know the name; nobody where etcd cannot tell."""
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS), Etcd(config) as etcd:
            items = (await etcd.list_ranges(ranges_of([HOSTS, INSTANCES]))).items
    except (TimeoutError, WharfingerError):
        return []
    return hosts_of(name, items)


def _directions(wish: Wish, hosts: Iterable[str], here: str) -> str:
    where = " or ".join(hosts)
    if where == here:
        return f"{wish.name!a} is on this host: start its registrar"
    command = f"wharfinger {wish.verb} {wish.name}"
    what = "another host" if where == wish.name else f"on host {where}"
    return f"{wish.name!a} is {what}: run `{command}` there, or here `{command} --remote`"


def _asker() -> str:
    return os.environ.get("SUDO_USER", "")[:64] or _user()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


class _Progress:
    """Shows steps: a line for each that is done, on a terminal a spinner for what is waited for."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._console = Console(highlight=False)
        self._spinner: Status | None = None
        self._stack = ExitStack()

    def __enter__(self) -> None:
        if not self._wish.as_json and self._console.is_terminal:
            status = self._console.status(Text("asking the registrar"))
            self._spinner = self._stack.enter_context(status)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, step: Mapping[str, Any]) -> None:
        """Shows one step."""
        if self._wish.as_json:
            terminal.show_line(step)
            return
        done, waiting = described(step)
        if self._spinner is None:
            for text in (done or waiting).splitlines():
                terminal.write(f"{printable(text)}\n")
            return
        for text in done.splitlines():
            self._console.print(Text(printable(text)))
        if waiting:
            self._spinner.update(Text(printable(waiting)))

    def complain(self, text: str) -> None:
        """Says why it is not all well, beside the output."""
        self._stack.close()
        terminal.complain(text)
