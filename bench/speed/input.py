"""A json-file log as a mix of services writes it; the same bytes for the same size."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

PART_BYTES = 16_384
TRACE = [
    "java.lang.IllegalStateException: card declined",
    *["\tat com.shop.pay.Terminal.charge(Terminal.java:118)"] * 7,
]


def texts(dice: random.Random) -> Iterator[str]:
    """10 % JSON, 10 % access lines, 0.4 % stack traces, now and then one longer than a record."""
    number = 0
    while True:
        number += 1
        kind, order, some = dice.random(), dice.randrange(10**9), dice.randrange(900)
        if kind < 0.10:
            told = {"ts": "2026-07-01T10:00:00.123Z", "level": "info", "msg": "order paid"}
            yield json.dumps({**told, "order": order, "ms": some, "user": f"u{order % 9973}"})
        elif kind < 0.20:
            address = f"10.{some % 4}.{order % 256}.{some % 256}"
            yield (
                f'{address} - - [01/Jul/2026:10:00:00 +0000] "GET /orders/{order} HTTP/1.1" 200 '
                f'{some} "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64)"'
            )
        elif kind < 0.204:
            yield f"2026-07-01 10:00:00,{some:03d} ERROR [worker-7] com.shop.Pay - order {order}"
            yield from TRACE
        elif kind < 0.20402:
            yield f"dump of order {order}: " + f"item {some} " * dice.randrange(2_000, 7_000)
        else:
            yield (
                f"2026-07-01 10:00:00,{some:03d} INFO  [worker-{number % 8}] com.shop.Orders - "
                f"order {order} of customer {order % 99_991} took {some} ms"
            )


def write(path: Path, size_bytes: int, *, tagged: bool = False) -> tuple[int, int]:
    """Writes records until there are so many bytes; gives records and messages.

    Args:
        path: of the log.
        size_bytes: of it, about.
        tagged: with what `--log-opt tag` adds to each record.
    """
    dice = random.Random(5)
    records = messages = written = 0
    lines = texts(dice)
    with path.open("wb", buffering=2**20) as file:
        while written < size_bytes:
            text = next(lines) + "\n"
            messages += 1
            stream = "stderr" if dice.random() < 0.02 else "stdout"
            second, fraction = divmod(records, 5_000)
            at = f"2026-07-01T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            fraction = f"{fraction * 200_000 + dice.randrange(200_000):09d}".rstrip("0")
            for begin in range(0, len(text), PART_BYTES):
                part: dict[str, object] = {"log": text[begin : begin + PART_BYTES]}
                part["stream"] = stream
                if tagged:
                    part["attrs"] = {"tag": "shop"}
                part["time"] = f"{at}.{fraction or '0'}Z"
                written += file.write(json.dumps(part, separators=(",", ":")).encode() + b"\n")
                records += 1
    return records, messages
