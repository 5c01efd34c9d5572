"""Measures counting in the log store: CPU time of histograms and facets over days on disk.

    python bench/logstore_counts.py [--lines 3000000] [--days 2] [--folder KEPT]

Wall times are rough on a busy machine; CPU times hold. A folder that is kept is made once.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path
from typing import Final

from logstore.corpus import START, message

from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.folder import Folder
from logshipper.store.lines import documents, times
from logshipper.store.lines.times import Arrival
from logshipper.store.model import DEFAULT_TENANT, Document
from logshipper.store.query import language
from logshipper.store.query.archive import Archive
from logshipper.store.query.search import Effort
from logshipper.store.query.tally import Tally

_BATCH: Final = 5_000
_BUCKETS: Final = {"minute": times.MINUTE_NS, "5 s": 5 * 10**9, "facets": 0}
QUERIES: Final = {
    "all": "",
    "a host": "host:host7",
    "a level": "level:error",
    "not a host": "-host:host7",
    "a word": "timeout",
    "a common word": "GET",
    "a rare word": "quetzalcoatl",
    "a phrase": '"connection reset by peer"',
    "without a word": "orders -GET",
    "an expression": "timeout /order_id = 1+/",
}


def made(dice: random.Random, number: int, time_ns: int) -> Document:
    """A line of one of 180 containers."""
    source = dice.randrange(180)
    fields = {
        "message": message(dice, number),
        "app": f"app{source % 20}",
        "env": ("prod", "test")[source % 2],
        "host": f"host{source % 40}",
        "container": f"{source:064x}",
        "stream": ("stdout", "stderr")[dice.random() < 0.1],
        "time": time_ns,
    }
    return documents.document(fields, f"{source:016x}.1.{number * 150:x}", Arrival.of(time_ns))


def fill(folder: Folder, lines: int, days: int) -> None:
    """Writes lines evenly over days."""
    dice = random.Random(6)
    folder.prepare(DEFAULT_TENANT)
    step_ns = days * times.DAY_NS // lines
    moments = ((n, START * 10**9 + n * step_ns) for n in range(lines))
    for day, group in groupby(moments, key=lambda pair: times.day_of(pair[1])):
        writer = DayWriter(folder.path(DEFAULT_TENANT, day))
        batch: list[Document] = []
        for number, time_ns in group:
            batch.append(made(dice, number, time_ns + dice.randrange(10**9)))
            batch[-1:] = [one for one in batch[-1:] if times.day_of(one.line.time_ns) == day]
            if len(batch) == _BATCH:
                writer.write(batch)
                batch.clear()
        writer.write(batch)
        writer.close()


def measure(archive: Archive, text: str, bucket_ns: int, trials: int) -> str:
    """Counts, in spans or (without a length of them) by stream, and says what it costs."""
    walls: list[float] = []
    cpus: list[float] = []
    for _ in range(trials):
        wall, cpu = time.monotonic(), time.process_time()
        with Effort() as effort:
            asked = language.parse(text)
            counted = (
                archive.count(DEFAULT_TENANT, asked, Tally(bucket_ns), effort)
                if bucket_ns
                else archive.facets(DEFAULT_TENANT, asked, effort)
            )
        walls.append(time.monotonic() - wall)
        cpus.append(time.process_time() - cpu)
    spans = counted.spans()
    total = sum(sum(kinds.values()) for kinds in spans.values())
    whole = "" if counted.from_ns is None else ", partly"
    first, cpu, wall = cpus[0], statistics.median(cpus), statistics.median(walls)
    cost = f"{first * 1000:8.0f} ms CPU at first, {cpu * 1000:6.0f} then {wall * 1000:8.0f} ms"
    return f"{cost} {len(spans):6} buckets {total:9} lines{whole}"


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=3_000_000)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made_here:
        folder = Folder(options.folder or Path(made_here))
        if not folder.days(DEFAULT_TENANT):
            fill(folder, options.lines, options.days)
        archive = Archive(folder)
        for name, text in QUERIES.items():
            for bucket, bucket_ns in _BUCKETS.items():
                if not options.only or options.only == name:
                    print(
                        f"{name:18} {bucket:8} {measure(archive, text, bucket_ns, options.trials)}"
                    )
        archive.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
