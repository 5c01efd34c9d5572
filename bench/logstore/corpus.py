"""The lines that the benches of the log store send: what containers of a few kinds write.

20 apps in 2 environments on 40 hosts, 180 containers; 1,042 lines a minute of the corpus's own
time, so that 3,000,000 are two days. A body is what the shipper of one host sends, its containers
one after the other; hosts take turns, and lines come in the order of their times.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from isal import igzip

START = 1_795_392_000  # 2026-11-23T00:00:00Z
NANOSECONDS_A_LINE = 57_600_000
HOSTS, CONTAINERS, APPS = 40, 180, 20
RARE = "quetzalcoatl"
_ERRORS = ("connection reset by peer", "deadline exceeded", "no such order", "pool exhausted")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "okhttp/4.12.0",
    "curl/8.5.0",
)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk.

    Attributes:
        folder: files of packed `_bulk` bodies, in the order to send them.
        lines: how many.
        message_bytes: of all messages, in UTF-8.
        trace: an id that is in one line, in the middle.
    """

    folder: Path
    lines: int
    message_bytes: int
    trace: str


def message(dice: random.Random, number: int) -> str:
    """One line: access logs, levels, JSON, SQL, errors, stack frames."""
    trace = f"trace={dice.getrandbits(64):016x}"
    kind = dice.random()
    order, some = dice.randrange(10**6), dice.randrange(900)
    address = f"10.{dice.randrange(4)}.{dice.randrange(256)}.{dice.randrange(256)}"
    if kind < 0.35:
        agent = _AGENTS[some % 4]
        return f'{address} - - "GET /orders/{order} HTTP/1.1" 200 {some} "{agent}" {trace}'
    if kind < 0.63:
        rare = f" {RARE}" if dice.random() < 0.00018 else ""
        worker = f"[worker-{number % 8}]"
        where = f"com.example.shop.OrderService{some % 7}"
        return f"INFO {worker} {where}: order {order} placed in {some} ms{rare} {trace}"
    if kind < 0.73:
        return (
            f'{{"level":"info","logger":"shop.cart","msg":"cart updated","order":{order},'
            f'"user":"u{some}","ip":"{address}","ms":{some},"trace_id":"{trace[6:]}"}}'
        )
    if kind < 0.83:
        why = "timeout" if dice.random() < 0.35 else "slow query"
        statement = f"SELECT id, state, total FROM orders WHERE id = {order} AND state = 'open'"
        return f"WARN [worker-{number % 8}] db.Pool: {why} after {some} ms: {statement} {trace}"
    if kind < 0.90:
        error = _ERRORS[some % 4]
        return f"ERROR payment: {error} while calling http://{address}:8080/pay {order} {trace}"
    return f"\tat com.example.shop.Order{some % 50}Service.load(Order{some % 50}.java:{some})"


def moment(number: int) -> str:
    """The time of a line, as Docker writes it."""
    seconds, nanoseconds = divmod(number * NANOSECONDS_A_LINE, 10**9)
    day = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START + seconds))
    return f"{day}.{nanoseconds:09d}Z"


def rows(first: int, end: int, dice: random.Random) -> Iterator[tuple[bytes, str]]:
    """Action and document of the lines of one body, as the shipper writes them; the message too."""
    host = dice.randrange(HOSTS)
    containers = range(host, CONTAINERS, HOSTS)
    for number in range(first, end):
        container = containers[(number - first) * len(containers) // (end - first)]
        app = (container + 7 * (container // HOSTS)) % APPS
        text = message(dice, number)
        yield (
            b'{"create":{"_id":"%016x.5ee1c0ffee01.%x"}}\n'
            b'{"message":%b,"stream":"%b","@timestamp":"%b","app":"app%d","env":"%b",'
            b'"host":"host%d","container":"%064x"}\n'
            % (
                container,
                number * 150,
                _encode(text),
                b"stderr" if text[0] in "E\t" else b"stdout",
                moment(number).encode(),
                app,
                b"prod" if container % 3 else b"test",
                host,
                container,
            ),
            text,
        )


def written(folder: Path, lines: int, body_lines: int, *, first: int = 0) -> Corpus:
    """Writes a corpus into a folder.

    Args:
        folder: where; made.
        lines: how many.
        body_lines: lines of a body.
        first: the number of the first line; another corpus may go on where one ends.
    """
    folder.mkdir()
    dice = random.Random(6 + first)
    message_bytes, trace, half = 0, "", first + lines // 2
    for start in range(first, first + lines, body_lines):
        made = list(rows(start, min(start + body_lines, first + lines), dice))
        message_bytes += sum(len(text.encode()) for _, text in made)
        if start <= half:
            trace = next(t for _, t in reversed(made) if "trace=" in t).rpartition("=")[2]
        packed = igzip.compress(b"".join(row for row, _ in made))
        (folder / f"{start:012}.gz").write_bytes(packed)
    return Corpus(folder, lines, message_bytes, trace)
