"""`wharfinger import`: moves what registrator wrote to where our registrars keep it."""

import argparse
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from wharfinger.errors import Conflict, Exit, Rejected
from wharfinger.etcd import Etcd
from wharfinger.keys import InstanceKey, Service
from wharfinger.kv import (
    TRANSACTION_OPERATIONS,
    Compare,
    Delete,
    Get,
    KeyValue,
    Put,
    absent,
    chunks,
)
from wharfinger.metadata import encode
from wharfinger.operator import registrator, settings, terminal
from wharfinger.operator.etcdv2 import EtcdV2
from wharfinger.operator.registrator import Entry, Imported, Move, Refusal
from wharfinger.operator.verbs import Verbs, add_shown
from wharfinger.sections import EtcdConfig

TITLES: Final = ("ENTRY", "BECOMES", "STATE")
MOVES_PER_TRANSACTION: Final = TRANSACTION_OPERATIONS // 2
SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MAX_TTL_SECONDS: Final = 9_000_000_000  # etcd: lease.MaxLeaseTTL
SHOWN_CHARACTERS: Final = 200
IMPORTED: Final = "imported"
THERE: Final = "there already"
_TTL: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be moved, and how.

    Attributes:
        prefix: registrator's, the path of its URL.
        env: of services that are not mapped.
        mapped: `SERVICE=APP` or `SERVICE=APP_ENV` each.
        ttl_seconds: how long what no registrar takes over stays.
        v2: URL of the v2 API that it is read by; empty for the v3 keys of our own etcd.
        delete: the old entries, once the new ones stand.
        dry_run: say what would be done, and do nothing.
        as_json: for programs.
    """

    prefix: str
    env: str
    mapped: Sequence[str] = ()
    ttl_seconds: int = 86_400
    v2: str = ""
    delete: bool = False
    dry_run: bool = False
    as_json: bool = False


class Line(msgspec.Struct, frozen=True):
    """What became of one entry.

    Attributes:
        entry: its key.
        becomes: the key of the instance; empty where it is refused.
        state: imported, there already, to be imported, or refused, and why.
        refused: whether it could not be moved.
        left: whether something remains to be looked at.
    """

    entry: str
    becomes: str
    state: str
    refused: bool = False
    left: bool = False


class Source(Protocol):
    """Where registrator's entries stand."""

    async def entries(self, prefix: str) -> list[Entry]:
        """Every key below a prefix."""

    async def delete(self, entry: Entry) -> None:
        """Deletes an entry, unless it was changed since it was read."""


def add_to(verbs: Verbs) -> None:
    """Adds `import` to the command."""
    again = "interrupted; begin again, nothing is done twice"
    parser = verbs.add("import", _import, "take over what registrator wrote", interrupted=again)
    add_shown(parser)
    parser.add_argument("prefix", metavar="PREFIX", help="the path of registrator's etcd URL")
    parser.add_argument("--env", required=True, help="environment of the services")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="SERVICE=APP[_ENV]",
        help="another name for one service; may be given again",
    )
    parser.add_argument(
        "--ttl",
        default="24h",
        metavar="TIME",
        help="how long what no registrar takes over stays: 30m, 24h, 2d (24h)",
    )
    parser.add_argument("--v2", default="", metavar="URL", help="read etcd's v2 API there")
    parser.add_argument(
        "--delete", action="store_true", help="delete the old entries once the new ones stand"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")


async def _import(parsed: argparse.Namespace) -> Exit:
    question = Question(
        prefix=parsed.prefix,
        env=parsed.env,
        mapped=tuple(parsed.map),
        ttl_seconds=ttl(parsed.ttl),
        v2=parsed.v2,
        delete=parsed.delete,
        dry_run=parsed.dry_run,
        as_json=parsed.json,
    )
    return await migrate(question, settings.etcd(parsed.config))


async def migrate(question: Question, config: EtcdConfig) -> Exit:
    """Moves what can be moved and says of each entry what became of it.

    Returns:
        OK; USAGE when an entry was refused: all the others were moved; TRY_LATER when one was
        changed while it was deleted.

    Raises:
        Unavailable: one of the etcds does not answer; begin again, nothing is done twice.
        Rejected: the prefix, the environment or the map is none, or nothing stands there.
    """
    prefix = _prefix(question)
    Service("x", question.env)
    mapped = registrator.services(question.mapped, question.env)
    async with Etcd(config) as etcd, _source(question, config) as source:
        found = await source.entries(prefix)
        if not found:
            raise Rejected(f"nothing stands below {prefix}")
        moves, refusals = registrator.read(found, prefix, question.env, mapped)
        lines = await _moved(question, etcd, source, moves)
    lines += [_refused(refusal) for refusal in refusals]
    _show(question, lines)
    if refusals:
        return Exit.USAGE
    return Exit.TRY_LATER if any(line.left for line in lines) else Exit.OK


def _prefix(question: Question) -> str:
    prefix = f"/{question.prefix.strip('/')}/".replace("//", "/")
    if "\0" in prefix or "//" in prefix or (prefix == "/" and not question.v2):
        # Among the v3 keys, that would be everything that stands there.
        raise Rejected(f"{question.prefix[:SHOWN_CHARACTERS]!a} is no prefix of registrator's keys")
    if prefix.startswith("/wharfinger/") and not question.v2:
        raise Rejected(f"{prefix} is Wharfinger's own")
    return prefix


def ttl(text: str) -> int:
    """Seconds out of `24h`, `30m`, `2d`.

    Raises:
        Rejected: it is no such time.
    """
    found = _TTL.fullmatch(text)
    seconds = int(found[1]) * SECONDS[found[2]] if found else 0
    if not 0 < seconds <= MAX_TTL_SECONDS:
        raise Rejected(f"--ttl {text[:40]!a} is no time for a lease; write 30m, 24h or 2d")
    return seconds


class _Keys:
    """registrator's tree among the v3 keys, as its successors and `etcdctl migrate` leave it."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd

    async def entries(self, prefix: str) -> list[Entry]:
        items = (await self._etcd.list(prefix)).items.values()
        return [Entry(kv.key, kv.value.decode(errors="replace"), kv.mod_revision) for kv in items]

    async def delete(self, entry: Entry) -> None:
        same = Compare(entry.key, "mod_revision", "==", entry.revision)
        done = await self._etcd.transact([same], [Delete(entry.key)], [Get(entry.key)])
        if not done.succeeded and done.results[0] is not None:
            raise Conflict(f"{entry.key} was changed meanwhile")


@asynccontextmanager
async def _source(question: Question, config: EtcdConfig) -> AsyncIterator[Source]:
    if question.v2:
        async with EtcdV2(question.v2) as v2:
            yield v2
    else:
        # registrator knew of no site: its prefix is the whole of it.
        async with Etcd(msgspec.structs.replace(config, prefix="")) as etcd:
            yield _Keys(etcd)


async def _moved(
    question: Question, etcd: Etcd, source: Source, moves: Sequence[Move]
) -> list[Line]:
    there = await _standing(etcd, moves)
    if question.dry_run:
        return [
            Line(move.entry.key, move.key.address, there.get(move.key) or "to be imported")
            for move in moves
        ]
    await _put(etcd, [move for move in moves if move.key not in there], question.ttl_seconds)
    # Looked at again, so that nothing old is deleted for something that does not stand.
    stands = await _standing(etcd, moves)
    lines = []
    for move in moves:
        state = there.get(move.key) or IMPORTED
        sound = stands.get(move.key) == THERE
        left = not sound
        if question.delete and sound:
            left = not await _deleted(source, move.entry)
            state += ", the old entry was changed meanwhile" if left else ", the old entry deleted"
        lines.append(Line(move.entry.key, move.key.address, state, left=left))
    return lines


async def _standing(etcd: Etcd, moves: Iterable[Move]) -> dict[InstanceKey, str]:
    """Whose instance stands in etcd, in whatever way it came there, and whether as it should."""
    held: dict[InstanceKey, str] = {}
    for some in chunks(list({move.key for move in moves})):
        done = await etcd.transact((), [Get(key.address) for key in some])
        for key, kv in zip(some, done.results, strict=True):
            if isinstance(kv, KeyValue):
                right = kv.value == key.endpoint.value.encode()
                held[key] = THERE if right else f"{THERE}, with another value: left alone"
    return held


async def _put(etcd: Etcd, moves: Iterable[Move], ttl_seconds: int) -> None:
    """Puts what is not there, on one lease.

    Two entries of one address are one instance: registrator, restarted under another host name,
    left both.
    """
    instances: dict[InstanceKey, Imported] = {}
    for move in moves:
        instances.setdefault(move.key, move.metadata)
    if not instances:
        return
    lease = (await etcd.grant(ttl_seconds)).id
    for some in chunks(list(instances.items()), MOVES_PER_TRANSACTION):
        await _put_some(etcd, some, lease)


async def _put_some(
    etcd: Etcd, instances: Sequence[tuple[InstanceKey, Imported]], lease: int
) -> None:
    keys = [key for instance, _ in instances for key in (instance.address, instance.metadata)]
    puts = [
        put
        for instance, metadata in instances
        for put in (
            Put(instance.metadata, encode(metadata), lease),
            Put(instance.address, instance.endpoint.value.encode(), lease),
        )
    ]
    done = await etcd.transact([absent(key) for key in keys], puts)
    if done.succeeded:
        return
    for instance, metadata in instances:
        # One of them is there meanwhile, or has metadata of somebody's: that is left alone.
        for put in (
            Put(instance.metadata, encode(metadata), lease),
            Put(instance.address, instance.endpoint.value.encode(), lease),
        ):
            await etcd.transact([absent(put.key)], [put])


async def _deleted(source: Source, entry: Entry) -> bool:
    try:
        await source.delete(entry)
    except Conflict:
        return False
    return True


def _refused(refusal: Refusal) -> Line:
    return Line(refusal.entry.key, "", f"refused: {refusal.why}", refused=True)


def _show(question: Question, lines: Sequence[Line]) -> None:
    if question.as_json:
        terminal.show_page({"dry_run": question.dry_run, "entries": lines})
        return
    rows = [(line.entry, line.becomes, line.state) for line in lines]
    shortened = [tuple(cell[:SHOWN_CHARACTERS] for cell in row) for row in rows]
    terminal.show_table(TITLES, shortened)
    counted = Counter("refused" if line.refused else line.state for line in lines)
    terminal.write("; ".join(f"{count} {state}" for state, count in counted.items()) + "\n")
