"""The simulation of many registrars runs, small: what it counts is held, what it times is not."""

import sys
from pathlib import Path

import pytest

from wharfinger.operator.parts.process import Process

pytestmark = pytest.mark.real

BENCH = Path(__file__).parents[2] / "bench" / "registrar_scale.py"
ONE_HOST = 10 * 2 + 1  # two keys an instance, and the record


def figures(text: str) -> dict[str, list[str]]:
    """The rows of the table, by figure; its columns are the phases."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows if len(row) > 1}


@pytest.mark.scenario
async def test_twenty_registrars_keep_etcd_true_and_put_nothing_twice(tmp_path: Path) -> None:
    words = ("--registrars=20", "--instances=10", "--processes=2", "--ttl=5", "--steady=4")
    process = Process(
        [sys.executable, BENCH, *words, "--phases=cold,steady,restart,frozen,wiped"],
        log=tmp_path / "bench.log",
    )
    await process.start()
    assert await process.wait(timeout_seconds=110) == 0, process.log_tail()
    found = figures(process.log.read_text())
    # Nothing is put while nothing changes, nor when etcd comes back and the leases live.
    assert found["puts"] == [f"{20 * ONE_HOST}", "0", "0", f"{20 * ONE_HOST}", f"{20 * ONE_HOST}"]
    # Each outage that no lease outlives costs one lease a host, and one put of all.
    assert found["leases replaced"] == ["0", "0", "0", "20", "20"]
