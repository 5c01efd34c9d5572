"""What each thing that is done to a line costs: CPU seconds, from Docker's bytes to a body.

    python bench/logshipper_lines.py [--lines 100000]

One thread, no disk, no sink. The lines are three kinds in turn: a logger's, JSON, an access line;
one in fifty has a stack trace of eight lines behind it. The best of five rounds counts. A second
table: the texts and the pattern that were found to cost most.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from logshipper.lines.pattern import LABEL_INSTRUCTIONS, SEEN_BYTES, compile_pattern
from logshipper.lines.redaction import RULES, Redaction
from logshipper.linesettings import LineSettings
from logshipper.model import Chunk, Generation
from logshipper.pipeline import Typed
from logshipper.sinks.encoding.bulk import BulkEncoding

CONTAINER = "c0ffee" + "0" * 58
FIELDS = {"app": "shop", "env": "prod", "host": "h1", "container": CONTAINER, "image": "shop:1"}
CHUNK_BYTES = 2**20
ROUNDS = 5
TEXTS = {
    name: (piece * 2**20)[: 2**20]
    for name, piece in {
        "digits": "1",
        "groups like cards": "4111 ",
        "cards": "4111111111111111 ",
        "heads of tokens": "eyJ",
        "passwords without an end": "://a:",
        "keys without an end": "-----BEGIN PRIVATE KEY-----",
        "addresses": "a@b.co ",
    }.items()
}
CASES = {
    "nothing (plain)": LineSettings(),
    "level": LineSettings(level="auto"),
    "exclude, one pattern": LineSettings(exclude=(r"GET /healthz",)),
    "sample 1.0 of 1.0, rate": LineSettings(rate=1e9),
    "time, auto": LineSettings(time="auto"),
    "parse json, time, level": LineSettings(parse="json", time="auto", level="auto"),
    "parse pattern": LineSettings(
        parse=r"^(?P<addr>\S+) - - \[(?P<at>[^\]]+)\] \"(?P<what>[^\"]*)"
    ),
    "parse nginx": LineSettings(parse="nginx"),
    "multiline java": LineSettings(multiline="java"),
    "multiline pattern": LineSettings(multiline=r"^[^\s]"),
    "redact, all rules": LineSettings(
        redact=("private-key", "auth", "jwt", "aws", "url", "card", "email")
    ),
    "everything": LineSettings(
        multiline="java",
        parse="json",
        time="auto",
        level="auto",
        exclude=(r"GET /healthz",),
        redact=("private-key", "auth", "jwt", "aws", "url", "card"),
    ),
}


def texts(count: int) -> Iterator[str]:
    for n in range(count):
        if n % 50 == 0:
            yield f"2026-07-01 10:00:00,{n % 1000:03d} ERROR [worker-7] com.shop.Pay - failed {n}"
            yield "java.lang.IllegalStateException: card declined"
            yield from ["\tat com.shop.pay.Terminal.charge(Terminal.java:118)"] * 7
        elif n % 3 == 0:
            yield f"2026-07-01 10:00:00,{n % 1000:03d} INFO  [worker-7] com.shop.Pay - order {n}"
        elif n % 3 == 1:
            yield json.dumps(
                {"ts": "2026-07-01T10:00:00.123Z", "level": "info", "msg": "order paid", "order": n}
            )
        else:
            yield (
                f'10.0.0.7 - - [01/Jul/2026:10:00:00 +0000] "GET /orders/{n} HTTP/1.1" 200 512 '
                '"https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64)"'
            )


def chunks(count: int) -> tuple[list[Chunk], int, int]:
    generation, lines, size = Generation(0, "abc", 1, 2), 0, 0
    made, data = [], bytearray()
    for number, text in enumerate(texts(count)):
        at = f"2026-07-01T10:{number // 6000 % 60:02d}:{number // 100 % 60:02d}.{number % 100:02d}Z"
        told = {"log": text + "\n", "stream": "stdout", "time": at}
        data += json.dumps(told, separators=(",", ":")).encode() + b"\n"
        lines += 1
        if len(data) >= CHUNK_BYTES:
            made.append(Chunk(generation, size, bytes(data)))
            size += len(data)
            data.clear()
    made.append(Chunk(generation, size, bytes(data)))
    return made, lines, size + len(data)


def seconds(made: list[Chunk], lines: LineSettings) -> float:
    pipeline = Typed(
        CONTAINER,
        FIELDS,
        encoding=BulkEncoding(),
        limit_bytes=2**20,
        fallback_time="2026-01-01T00:00:00Z",
        lines=lines,
    )
    begun = time.thread_time()
    for chunk in made:
        pipeline.take(chunk)
    return time.thread_time() - begun


def hostile() -> None:
    """What the worst text costs that was found for each, and the worst pattern of a label."""
    dice = random.Random(1)
    bits = "".join(dice.choice("01") for _ in range(SEEN_BYTES))
    worst = compile_pattern(r"1[01]{240}x", instructions=LABEL_INSTRUCTIONS)
    redaction = Redaction(RULES)
    rounds: dict[str, Callable[[], object]] = {
        "a label's pattern that keeps 240 states alive, random bits": lambda: worst.found(bits)
    }
    for name, text in TEXTS.items():
        rounds[f"redaction, {name}"] = partial(redaction.text, text, Counter())
    print("\n| hostile | ns a byte |")
    print("|---|---|")
    for name, work in rounds.items():
        size = SEEN_BYTES if name.startswith("a label") else 2**20
        spent = []
        for _ in range(3):
            begun = time.thread_time()
            work()
            spent.append(time.thread_time() - begun)
        print(f"| {name} | {min(spent) / size * 1e9:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=100_000)
    made, count, size = chunks(parser.parse_args().lines)
    print(f"{count:,} lines, {size / count:.0f} bytes each as Docker writes them\n")
    print("| done to each line | µs a line | lines per CPU second | CPU s per GB |")
    print("|---|---|---|---|")
    best = dict.fromkeys(CASES, float("inf"))
    for _ in range(ROUNDS):
        for name, lines in CASES.items():
            best[name] = min(best[name], seconds(made, lines))
    for name, spent in best.items():
        each = f"{spent / count * 1e6:.2f} | {count / spent:,.0f} | {spent / size * 1e9:.1f}"
        print(f"| {name} | {each} |")
    hostile()


if __name__ == "__main__":
    main()
