"""What becomes of every line when something breaks: lost, or twice in the store.

    python bench/logshipper_losses.py [--fluent-bit PATH] [--defaults] [--rows ...]

One engine of the bench's own; each shipper with a `_bulk` sink of its own that counts by id. All of
them read the same logs at the same time and bear the same fault. A line counts as lost when it is
not in the store after nothing more has come for 17 s, with the shipper running.

With `--fluent-bit` one of yours runs beside, twice: with `storage.type filesystem`, and with chunks
in memory (5 MB, as its Helm chart has it). Both are set to lose little: `Retry_Limit no_limits`
(default: one retry), a retry within 2 s, `Generate_ID`, a glob that takes rotated files,
`Refresh_Interval 1` (60), `Rotate_Wait 30` (5), `Buffer_Max_Size 8M` (32 KiB), `DB.sync` and
`storage.sync full`, `net.io_timeout 5` (none), `Buffer_Size False`. With `--defaults` a third has
all of that as it is by itself, but for a `DB`, `Generate_ID` and `Refresh_Interval 1`. Ours has its
defaults, but for requests that time out after 5 s, too.
"""

import argparse
import asyncio
import logging
import os
import tempfile
from pathlib import Path

from losses.contestant import kinds
from losses.faults import FAULTS
from losses.race import Race

from wharfinger.operator.parts.command import output
from wharfinger.operator.parts.dockerd import DockerDaemon
from wharfinger.operator.parts.images import build_busybox


async def measure(options: argparse.Namespace, folder: Path) -> None:
    if options.fluent_bit:
        print((await output(options.fluent_bit, "--version")).splitlines()[0])
    beside = kinds(options.fluent_bit, defaults=options.defaults)
    print(f"load {os.getloadavg()[0]:.1f}; each column: lost / twice in the store\n")
    print(f"| fault | written | {' | '.join(kind.name for kind in beside)} |")
    print("|---|---|" + "---|" * len(beside))
    docker = DockerDaemon(folder / "d")
    await docker.start()
    try:
        await build_busybox(docker, folder / "busybox")
        for number, row in enumerate(options.rows, 1):
            title, fault = FAULTS[row]
            race = Race(docker, folder / row, beside, number)
            await race.open()
            try:
                await fault(race)
                fates = await race.fates()
            finally:
                await race.close()
            columns = " | ".join(f"{fate.lost:,} / {fate.twice:,}" for fate in fates)
            print(f"| {title} | {len(race.written):,} | {columns} |", flush=True)
    finally:
        await docker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fluent-bit", default="", metavar="PATH")
    parser.add_argument("--defaults", action="store_true", help="Fluent Bit's defaults, too")
    parser.add_argument("--rows", nargs="*", choices=FAULTS, default=list(FAULTS))
    options = parser.parse_args()
    # A request that is cut off is what many rows are about.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)
    with tempfile.TemporaryDirectory(prefix="wf-", dir="/tmp") as folder:
        asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
