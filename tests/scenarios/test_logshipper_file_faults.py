"""The log shipper's word, where files hold what they should not, or are not what they were."""

import json
import os
from pathlib import Path

import pytest

from tests.logshipper.dockerlog import line
from tests.stack.clock import FakeClock
from tests.stack.shipper import RUN, CountingSink, Faults, Record, rotated
from wharfinger.operator.parts.dockerd import DockerDaemon

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]

RSS_LIMIT_BYTES = 150 * 2**20


async def test_row_15_clocks_that_jump(
    docker_daemon: DockerDaemon,
    counting_sink: CountingSink,
    tmp_path: Path,
    record_property: Record,
) -> None:
    """The shipper's own clock, and that of the lines: equal times, and backward ones."""
    clock = FakeClock(tmp_path / "clock")
    environment = clock.environment
    faults = Faults(docker_daemon, counting_sink, tmp_path, record_property, environment)
    log = faults.log()
    await faults.start()
    try:
        for number, jump in enumerate(("+0", "-1h", "+1h", "-1h", "+0")):
            clock.jump(jump)
            for hour in (10, 9, 11, 11):
                for n in range(50):
                    text = f"jump {number} hour {hour} line {n} of {len(faults.expected)}"
                    told = f"2026-07-01T{hour}:00:00Z"
                    record = {"log": f"{text}\n", "stream": "stdout", "time": told}
                    log.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
                    faults.expected.add(text)
            if number == 2:
                await faults.kill()
                await faults.start()
            if number % 2:
                await faults.until_whole()
                log.rotate()
        await faults.until_whole()
        assert await faults.lost_bytes() == 0
    finally:
        await faults.close()


async def test_row_16_an_inode_that_is_used_again(faults: Faults) -> None:
    await faults.start()
    log = faults.log(max_files=3)
    for number in range(3):
        log.write_numbered(300, prefix=f"file {number}")
        faults.expected = set(log.written)
        await faults.until_whole()
        log.rotate()
    await faults.until_settled()
    oldest = log.folder / f"{log.base}.2"
    inode = oldest.stat().st_ino
    await faults.process.terminate()
    # The inode of a file that was read to its end is that of the newest now, and it is longer.
    oldest.rename(log.path)
    log.path.write_bytes(b"")
    log.write_numbered(900, prefix="again")
    assert log.path.stat().st_ino == inode
    faults.expected = set(log.written)
    await faults.start()
    await faults.until_whole()


async def test_row_17_truncated_by_hand_and_by_copytruncate(faults: Faults) -> None:
    await faults.start()
    container = await faults.write("line", 6000, pause="usleep 50000", then="sleep 300")
    folder = faults.docker.data_root / "containers" / container
    path = folder / f"{container}-json.log"
    for number in range(2):
        await faults.sink.until(lambda n=number: len(faults.sink.documents) > 1000 * (n + 1))  # type: ignore[misc]
        # Held still: of what is written between the last look and the cut nobody can know.
        await faults.docker.run("pause", container)
        written = {json.loads(each)["log"][:-1] for each in path.read_bytes().splitlines()}
        await faults.sink.until(lambda w=written: w <= set(faults.sink.messages))  # type: ignore[misc]
        if number:
            (folder / "copy").write_bytes(path.read_bytes())
        os.truncate(path, 0)
        await faults.docker.run("unpause", container)
    await faults.until_whole()
    assert await faults.lost_bytes() == 0
    assert len({identity.split(".")[1] for identity in faults.sink.documents}) == 3


async def test_row_18_lines_of_ten_megabytes(faults: Faults) -> None:
    await faults.start()
    script = (
        "head -c 10000000 /dev/zero | tr '\\0' x; echo;"
        "head -c 900000 /dev/zero | tr '\\0' y; echo; echo after"
    )
    await faults.docker.run(*RUN, "busybox", "sh", "-c", script)
    sink = faults.sink
    await sink.until(lambda: "after" in sink.messages, seconds=60)
    await faults.until_settled()
    faults.note("rss_mib", faults.rss_bytes() // 2**20)
    assert faults.rss_bytes() < RSS_LIMIT_BYTES
    by_letter: dict[str, list[str]] = {"x": [], "y": [], "a": []}
    for message in sink.messages:
        by_letter[message[0]].append(message)
    assert "".join(by_letter["x"]) == "x" * 10_000_000
    assert by_letter["y"] == ["y" * 900_000]
    pieces = [d for d in sink.documents.values() if d["message"][0] == "x"]
    faults.note("pieces", len(pieces))
    numbers = sorted(each["partial_ordinal"] for each in pieces)
    assert numbers == list(range(1, len(pieces) + 1))
    assert len({each["partial_id"] for each in pieces}) == 1


async def test_row_19_bytes_that_are_no_records(faults: Faults) -> None:
    await faults.start()
    log = faults.log()
    log.write("first")
    odd = [b"not json", b"\xff\xfe binary \x01", b'{"log":"cut sho', b'{"log":7}', b"[]"]
    log.append(b"".join(each + b"\n" for each in odd))
    log.append(bytes(4096))  # what a power loss leaves
    log.write("second")
    log.append(line("torn")[:20])
    await faults.sink.until(lambda: "second" in faults.sink.messages)
    log.append(line("torn")[20:])
    script = "printf 'a\\0b\\n'; printf '\\377\\376 bad\\n'; printf 'no end'"
    await faults.docker.run(*RUN, "busybox", "sh", "-c", script)
    faults.expected = {"first", "second", "torn", "a\0b", "\ufffd\ufffd bad", "no end"}
    faults.expected |= {each.decode("utf-8", "replace") for each in odd}
    await faults.until_whole()
    await faults.until_settled()
    assert await faults.metric("undecoded_lines_total") == len(odd)
    assert await faults.lost_bytes("zeroed") == 4096
    assert await faults.lost_bytes() == 4096


async def test_row_20_what_is_no_log_in_a_logs_place(faults: Faults) -> None:
    secret = faults.docker.data_root / "containers" / "secret"
    secret.write_bytes(line("secret"))
    await faults.start()
    logs = [faults.log(digit) for digit in "bcdef"]
    below = logs[4].folder.parent / ".." / "containers" / "x"
    logs[0].path.symlink_to(secret)
    os.mkfifo(logs[1].path)
    os.mknod(logs[2].path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    os.link(secret, logs[3].path)
    logs[4].path.symlink_to(below)
    await faults.until_metric('losses_total{reason="refused"}', lambda count: count >= len(logs))
    await faults.write("line", 100)
    await faults.until_whole()
    faults.note("refused", await faults.metric('losses_total{reason="refused"}'))


async def test_row_23_messages_in_parts(faults: Faults) -> None:
    """Across rotation, with stderr between, and at the container's end."""
    await faults.start()
    text = "head -c {} /dev/zero | tr '\\0' {}"
    script = (
        f"{text.format(20_000, 'a')}; echo between >&2; usleep 200000;"
        f"{text.format(60_000, 'b')}; echo; {text.format(16_384, 'c')}; echo;"
        f"{text.format(40_000, 'd')}"
    )
    options = ("--log-opt=max-size=20k", "--log-opt=max-file=20")
    container = await faults.docker.run(*RUN, *options, "busybox", "sh", "-c", script)
    faults.expected = {"a" * 20_000 + "b" * 60_000, "between", "c" * 16_384, "d" * 40_000}
    await faults.until_whole()
    assert faults.sink.duplicates == 0
    faults.note("files", len(rotated(faults, container.strip())) + 1)
