"""`wharfinger status`: how each daemon of this host is, by its own word."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from wharfinger.config import Section
from wharfinger.errors import ConfigError, Exit, Rejected
from wharfinger.operator import settings, terminal, worstlogs
from wharfinger.operator.verbs import Verbs, add_shown

TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0)
TITLES: Final = ("DAEMON", "LISTEN", "STATE", "SINCE", "WHY")
ABSENT_TITLES: Final = ("CONTAINER", "ID", "SERVICE", "PORT", "NOT REGISTERED", "WHY")
REJECTED_TITLES: Final = ("KEY IN ETCD", "REJECTED BY DISCOVERY")
KEPT_TITLES: Final = ("KEPT BY DISCOVERY", "GONE FROM ETCD FOR", "PROBES FAILED")
HELD_TITLES: Final = ("RESOURCE", "ROLLED BACK TO", "FILE", "FOLLOWS ETCD AGAIN AFTER")
LETTERS_TITLES: Final = ("SINK", "DEAD LETTERS", "SIZE", "SENT ONCE MORE BY")
HEALTHY: Final = "healthy"
MISCONFIGURED: Final = "misconfigured"
REGISTERED: Final = "registered"
SHOWN_CHARACTERS: Final = 300
SHOWN_ROWS: Final = 200


class Check(msgspec.Struct, frozen=True):
    """One check of a daemon, as /healthz tells it."""

    name: str
    healthy: bool
    why: str = ""
    since_seconds: float = 0.0


class _Health(msgspec.Struct, frozen=True):
    healthy: bool
    why: str = ""
    checks: tuple[Check, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt of one daemon.

    Attributes:
        daemon: its name.
        listen: where it was asked.
        state: healthy, unhealthy, unreachable or misconfigured.
        since_seconds: for how long it has been so; None when nobody knows.
        why: what is wrong.
        checks: each of them.
        status: what it holds, as /status tells it.
    """

    daemon: str
    listen: str
    state: str
    since_seconds: float | None = None
    why: str = ""
    checks: tuple[Check, ...] = ()
    status: Any = None


def add_to(verbs: Verbs) -> None:
    """Adds `status` to the command."""
    parser = verbs.add("status", _status, "how this host's daemons are")
    add_shown(parser)
    parser.add_argument("daemons", nargs="*", metavar="DAEMON", help="of these alone")


async def _status(parsed: argparse.Namespace) -> Exit:
    return await status(parsed.config, parsed.daemons, as_json=parsed.json)


async def status(path: Path | None, asked: Sequence[str], *, as_json: bool) -> Exit:
    """Asks the daemons and shows what they say.

    Args:
        path: the configuration file.
        asked: names of daemons; all of them unless given.
        as_json: for programs.

    Returns:
        OK if each of them is healthy, else UNAVAILABLE; CONFIG where nobody could be asked for it.

    Raises:
        Rejected: there is no such daemon.
    """
    models = settings.daemons()
    if unknown := set(asked) - set(models):
        raise Rejected(f"no daemon {min(unknown)!r}; there are {', '.join(models)}")
    chosen = {name: model for name, model in models.items() if not asked or name in asked}
    answers = await asked_all(path, chosen)
    if as_json:
        terminal.show_page({"daemons": answers})
    else:
        terminal.show_table(TITLES, map(_row, answers))
        _show_more(ABSENT_TITLES, absent(answers))
        _show_more(REJECTED_TITLES, rejected(answers))
        _show_more(KEPT_TITLES, kept(answers))
        _show_more(HELD_TITLES, rolled_back(answers))
        _show_more(LETTERS_TITLES, dead_letters(answers))
        _show_more(worstlogs.TITLES, late(answers), worstlogs.SHOWN)
    states = {each.state for each in answers}
    if states == {MISCONFIGURED}:
        return Exit.CONFIG
    return Exit.OK if states == {HEALTHY} else Exit.UNAVAILABLE


def told(daemon: str, listen: str, body: bytes, held: Any) -> Answer:
    """Understands what a daemon answered.

    Args:
        daemon: its name.
        listen: where it was asked.
        body: of /healthz.
        held: what /status gave.
    """
    try:
        health = msgspec.json.decode(body, type=_Health)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        why = "something else listens there: /healthz is no health report"
        return Answer(daemon=daemon, listen=listen, state="unreachable", why=why)
    ages = [c.since_seconds for c in health.checks if c.healthy == health.healthy]
    # Healthy since the last check came true; unhealthy since the first of those that fail.
    since = (min if health.healthy else max)(ages, default=None)
    return Answer(
        daemon=daemon,
        listen=listen,
        state=HEALTHY if health.healthy else "unhealthy",
        since_seconds=since,
        why=health.why,
        checks=health.checks,
        status=held,
    )


def absent(answers: Sequence[Answer]) -> list[Sequence[str]]:
    """The containers that ask for something and are not in etcd, and why not, as rows.

    Args:
        answers: of any daemons; whatever listens at their addresses may have answered anything.
    """
    return [
        (
            _cell(each, "name"),
            _cell(each, "id")[:12],
            _cell(each, "service"),
            _cell(each, "port"),
            _cell(each, "state"),
            _cell(each, "why"),
        )
        for each in _entries(answers, "registrar", "containers")
        if each.get("state") != REGISTERED
    ]


def rejected(answers: Sequence[Answer]) -> list[Sequence[str]]:
    """What discovery leaves out of its configurations, and why, as rows."""
    entries = _entries(answers, "discovery", "rejected")
    return [(_cell(each, "key"), _cell(each, "reason")) for each in entries]


def kept(answers: Sequence[Answer]) -> list[Sequence[str]]:
    """The instances that are served although etcd has lost them, as rows."""
    rows: list[Sequence[str]] = []
    for each in _entries(answers, "discovery", "kept"):
        since = each.get("since_seconds")
        age = lasted(since) if isinstance(since, int | float) else ""
        rows.append((_cell(each, "key"), age, _cell(each, "failures")))
    return rows


def rolled_back(answers: Sequence[Answer]) -> list[Sequence[str]]:
    """The resources that do not follow etcd, since somebody has put a former file back."""
    return [
        (
            _cell(each, "name"),
            _cell(each, "held"),
            _cell(each, "dest"),
            f"discovery rollback {_cell(each, 'name')} --release",
        )
        for each in _entries(answers, "discovery", "resources")
        if each.get("held")
    ]


def dead_letters(answers: Sequence[Answer]) -> list[Sequence[str]]:
    """The sinks that have refused documents for good, which wait, as rows."""
    rows: list[Sequence[str]] = []
    for sink in _entries(answers, "logshipper", "sinks"):
        waiting = sink.get("dead_letters")
        if isinstance(waiting, dict) and (count := worstlogs.number(waiting, "letters")):
            size = worstlogs.size(worstlogs.number(waiting, "bytes"))
            name = _cell(sink, "sink")
            command = f"logshipper dead-letter replay --sink {name}"
            rows.append((name, f"{count:.0f}", size, command))
    return rows


def late(answers: Sequence[Answer]) -> list[Sequence[str]]:
    """The logs that lag, lose, or cannot be read, the worst first, as rows."""
    held = [answer.status for answer in answers if answer.daemon == "logshipper"]
    rows: list[Sequence[str]] = []
    for log in (log for each in held for log in worstlogs.worst(each)):
        lost = worstlogs.lost(log).items()
        row = (
            _cell(log, "name"),
            _cell(log, "container")[:12],
            _cell(log, "sink"),
            worstlogs.size(worstlogs.number(log, "lag_bytes")),
            lasted(worstlogs.number(log, "lag_seconds")),
            ", ".join(f"{worstlogs.size(count)} {why}" for why, count in lost)[:SHOWN_CHARACTERS],
            f"{worstlogs.number(log, 'rejected'):.0f}",
            _cell(log, "trouble"),
        )
        rows.append(row)
    return rows


def lasted(seconds: float | None) -> str:
    """A time as people say it: `42 s`, `7 min`, `3 h`, `12 d`."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


async def asked_all(path: Path | None, models: Mapping[str, type[Section]]) -> list[Answer]:
    """What each daemon says of itself, asked all at once.

    Args:
        path: the configuration file.
        models: the section's model of each daemon.
    """
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        asking = (_ask(session, path, name, model) for name, model in models.items())
        return list(await asyncio.gather(*asking))


async def _ask(
    session: aiohttp.ClientSession, path: Path | None, name: str, model: type[Section]
) -> Answer:
    try:
        section = settings.section(name, model, path)
        listen, url, tls = section.listen, settings.url(section), settings.tls(section)
    except ConfigError as error:
        why = "; ".join(map(str, error.findings))
        return Answer(daemon=name, listen="", state=MISCONFIGURED, why=why)
    try:
        async with session.get(f"{url}/healthz", ssl=tls) as response:
            body = await response.read()
        async with session.get(f"{url}/status", ssl=tls) as response:
            held = msgspec.json.decode(await response.read())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        held = None
    except (aiohttp.ClientError, OSError) as error:
        return Answer(daemon=name, listen=listen, state="unreachable", why=_why(error))
    return told(name, listen, body, held)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT.total:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        why = settings.connection_problem(error)
        if isinstance(error, aiohttp.ClientSSLError):
            return f"{why}: something else listens there, or it serves by another certificate"
        return f"{why}: it does not run, or listens elsewhere"
    return f"{type(error).__name__}: {error}"


def _entries(answers: Sequence[Answer], daemon: str, what: str) -> list[dict[str, Any]]:
    held = (answer.status for answer in answers if answer.daemon == daemon)
    return worstlogs.entries(next(held, None), what)


def _cell(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return "" if value is None else str(value)[:SHOWN_CHARACTERS]


def _show_more(
    titles: Sequence[str], rows: Sequence[Sequence[str]], limit: int = SHOWN_ROWS
) -> None:
    if rows:
        terminal.write("\n")
        terminal.show_table(titles, rows[:limit])
    if len(rows) > limit:
        terminal.write(f"... and {len(rows) - limit} more: --json shows all\n")


def _row(answer: Answer) -> Sequence[str]:
    # What holds may have a remark, too: peers that go by reload although they should be pushed.
    remarks = (f"{check.name}: {check.why}" for check in answer.checks if check.why)
    since, why = lasted(answer.since_seconds), answer.why or "; ".join(remarks)
    return answer.daemon, answer.listen, answer.state, since, why
