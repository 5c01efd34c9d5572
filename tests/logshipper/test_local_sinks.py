"""Sinks on this host: a file that others move away, and an output that nobody may be reading."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from logshipper.model import Verdict
from logshipper.sinkconfig import FileConfig, StdoutConfig
from logshipper.sinks.file import File
from logshipper.sinks.stdout import Stdout
from tests.logshipper.sending import FIELDS, Sending, encoded
from wharfinger.errors import Unavailable


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


async def test_lines_are_appended_with_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "out.ndjson"
    sending = Sending(FileConfig(path=path), tmp_path)
    await sending.deliver("one", "two")
    await sending.delivery.deliver(sending.documents("three", begin=9))
    assert messages(path) == ["one", "two", "three"]
    first = json.loads(path.read_text().splitlines()[0])
    assert first["_id"].endswith(".0")
    assert first.items() >= FIELDS.items()
    await sending.delivery.close()


async def test_a_file_that_was_moved_away_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    sending = Sending(FileConfig(path=path), tmp_path)
    await sending.deliver("one")
    path.rename(tmp_path / "moved")
    await sending.deliver("two")
    path.unlink()
    await sending.deliver("three")
    assert messages(tmp_path / "moved") == ["one"]
    assert messages(path) == ["three"]
    await sending.delivery.close()


async def test_it_rotates_by_size_and_keeps_so_many(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    sending = Sending(FileConfig(path=path, rotate_bytes=1, rotate_keep=2), tmp_path)
    for number in range(5):
        await sending.deliver(str(number))
    assert messages(path) == ["4"]
    assert messages(tmp_path / "out.ndjson.1") == ["3"]
    assert messages(tmp_path / "out.ndjson.2") == ["2"]
    assert not (tmp_path / "out.ndjson.3").exists()
    await sending.delivery.close()


async def test_a_full_disk_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.ndjson"
    sink = File(FileConfig(path=path))
    documents = encoded(sink.encoding.compile(FIELDS), ["one", "two"])
    await sink.send(documents[:1])
    write, calls = os.write, []

    def full(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(fd, data[:10])

    with monkeypatch.context() as patched:
        patched.setattr("logshipper.sinks.file.os.write", full)
        with pytest.raises(Unavailable, match="No space left"):
            await sink.send(documents[1:])
    assert messages(path) == ["one"]
    await sink.send(documents[1:])
    assert messages(path) == ["one", "two"]
    await sink.close()


async def test_a_line_that_a_crash_left_half_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_text('{"half')
    sending = Sending(FileConfig(path=path), tmp_path)
    await sending.deliver("one")
    half, whole = path.read_text().splitlines()
    assert half == '{"half'
    assert json.loads(whole)["message"] == "one"
    await sending.delivery.close()


async def test_a_folder_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    sink = File(FileConfig(path=blocked / "out"))
    with pytest.raises(Unavailable):
        await sink.send([b"{}\n"])


async def test_stdout_waits_for_its_reader(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    sink = Stdout(StdoutConfig(request_timeout_seconds=30), writer)
    documents = encoded(sink.encoding.compile(FIELDS), ["x" * 1000] * 500)
    sending = asyncio.create_task(sink.send(documents))
    await asyncio.sleep(0)
    assert not sending.done()
    wanted = len(b"".join(documents))
    got = b""
    while len(got) < wanted:
        got += await asyncio.to_thread(os.read, reader, 65536)
    assert await sending == Verdict(500)
    assert got == b"".join(documents)
    # Whoever shares the pipe may still rely on its being as it was.
    assert os.get_blocking(writer)
    await sink.close()
    os.close(writer)
    os.close(reader)


async def test_an_output_that_nobody_reads_is_given_up_and_its_line_ended(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    sink = Stdout(StdoutConfig(request_timeout_seconds=0.2), writer)
    documents = encoded(sink.encoding.compile(FIELDS), ["x" * 200_000])
    with pytest.raises(Unavailable, match="was not read"):
        await sink.send(documents)
    torn = os.read(reader, 2**20)
    while len(torn) % 65536 == 0 and b"\n" not in torn and len(torn) < 65536:
        torn += os.read(reader, 2**20)
    await sink.send(encoded(sink.encoding.compile(FIELDS), ["short"]))
    rest = os.read(reader, 2**20)
    assert rest.startswith(b"\n")
    assert json.loads(rest)["message"] == "short"
    await sink.close()
    os.close(writer)
    os.close(reader)


async def test_a_socket_as_output(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    sink = Stdout(StdoutConfig(request_timeout_seconds=30), ours.fileno())
    documents = encoded(sink.encoding.compile(FIELDS), ["x" * 1000] * 1000)
    sending = asyncio.create_task(sink.send(documents))
    wanted, got = len(b"".join(documents)), b""
    while len(got) < wanted:
        got += await asyncio.to_thread(theirs.recv, 65536)
    await sending
    assert got == b"".join(documents)
    assert ours.getblocking()
    await sink.close()
    ours.close()
    theirs.close()


async def test_an_output_that_is_closed_is_unavailable() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = Stdout(StdoutConfig(), writer)
    with pytest.raises(Unavailable, match=r"Broken pipe|No such"):
        await sink.send([b"{}\n"])
    await sink.close()
    os.close(writer)


async def test_a_file_as_output(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        sink = Stdout(StdoutConfig(), file.fileno())
        await sink.send(encoded(sink.encoding.compile(FIELDS), ["one", "two"]))
        await sink.close()
    assert messages(path) == ["one", "two"]
