"""What templates ask of the machine, asked of this one; SRV records of a server of our own."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from discovery.gotemplate.confd.host import ServiceRecord
from discovery.resources.machine import Machine

TARGET = b"\x01a\x04test\0"


def reply(question: bytes, *, flags: int = 0x8180) -> bytes:
    header = struct.pack("!6H", int.from_bytes(question[:2]), flags, 1, 1, 0, 0)
    data = struct.pack("!3H", 1, 2, 80) + TARGET
    record = b"\xc0\x0c" + struct.pack("!2HIH", 33, 1, 60, len(data)) + data
    return header + question[12:] + record


def pair() -> tuple[socket.socket, socket.socket]:
    """Sockets on one port, UDP's and TCP's: what is free in one may be taken in the other."""
    while True:
        datagrams, streams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        datagrams.bind(("127.0.0.1", 0))
        try:
            streams.bind(datagrams.getsockname())
        except OSError:
            datagrams.close()
            streams.close()
        else:
            return datagrams, streams


@contextmanager
def name_server(*, flags: int = 0x8180) -> Iterator[tuple[int, list[bytes]]]:
    """Answers each question on UDP, and one on TCP; its port and what it was asked."""
    asked: list[bytes] = []
    datagrams, streams = pair()
    with datagrams, streams:
        port = datagrams.getsockname()[1]
        streams.listen()

        def answer_datagrams() -> None:
            while True:
                question, sender = datagrams.recvfrom(512)
                if not question:
                    return
                asked.append(question)
                datagrams.sendto(reply(question, flags=flags), sender)

        def answer_stream() -> None:
            connection, _ = streams.accept()
            with connection:
                length = int.from_bytes(connection.recv(2))
                if length:
                    answer = reply(connection.recv(length))
                    connection.sendall(len(answer).to_bytes(2) + answer)

        threads = [
            threading.Thread(target=answer_datagrams),
            threading.Thread(target=answer_stream),
        ]
        for thread in threads:
            thread.start()
        try:
            yield port, asked
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.shutdown(socket.SHUT_WR)
            for thread in threads:
                thread.join()


def resolver(folder: Path, text: str = "nameserver 127.0.0.1\n") -> Path:
    path = folder / "resolv.conf"
    path.write_text(text)
    return path


def test_environment_files_name_and_time(tmp_path: Path) -> None:
    machine = Machine({"A": "b"})
    assert (machine.environment("A"), machine.environment("B")) == ("b", "")
    assert machine.file_exists(str(tmp_path))
    assert not machine.file_exists(str(tmp_path / "none"))
    assert not machine.file_exists("")
    assert machine.file_exists("\0")
    assert machine.name() == os.uname().nodename
    assert machine.now().utcoffset() is not None


def test_addresses_of_names_and_interfaces() -> None:
    machine = Machine()
    assert "127.0.0.1" in machine.addresses("localhost")
    assert machine.addresses("127.0.0.2") == ["127.0.0.2"]
    assert machine.addresses("::1") == ["::1"]
    assert machine.addresses("::ffff:10.0.0.1") == ["10.0.0.1"]
    for short in ("127.1", "0x7f.1", "1.2.3", "2130706433", "010.0.0.1"):
        assert machine.addresses(short) == []  # Go takes it for a name, which nobody has
    assert "127.0.0.1" in machine.interface_addresses("lo")
    assert machine.interface_addresses("none0") == []


@pytest.mark.parametrize("name", ["", "a" * 300, "x\0y", "a..b", "\udcff"])
def test_what_is_no_name_has_no_address(name: str) -> None:
    if name:
        assert list(Machine().addresses(name)) == []
    assert list(Machine().services("a", "b", name)) == []


def test_service_records_are_asked_for(tmp_path: Path) -> None:
    with name_server() as (port, asked):
        machine = Machine(resolver=resolver(tmp_path), port=port)
        found = machine.services("http", "tcp", "example.org")
        assert list(found) == [ServiceRecord("a.test.", 80, 1, 2)]
        assert b"\x05_http\x04_tcp\x07example\x03org\0" in asked[0]
        machine.services("", "", "plain.example.org.")
        assert b"\x05plain\x07example\x03org\0" in asked[1]


def test_what_does_not_fit_a_datagram_comes_by_stream(tmp_path: Path) -> None:
    with name_server(flags=0x8380) as (port, _):
        machine = Machine(resolver=resolver(tmp_path), port=port)
        assert len(machine.services("http", "tcp", "example.org")) == 1


def test_a_server_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        machine = Machine(resolver=resolver(tmp_path), port=port, timeout_seconds=0.05)
        assert list(machine.services("http", "tcp", "example.org")) == []
    nowhere = Machine(resolver=tmp_path / "none", port=port)
    assert list(nowhere.services("http", "tcp", "example.org")) == []


def lookups() -> int:
    return sum(thread.name == "lookup" for thread in threading.enumerate())


def test_when_all_wait_nobody_is_asked(tmp_path: Path) -> None:
    before = lookups()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        machine = Machine(resolver=resolver(tmp_path), port=port, timeout_seconds=0.01)
        for _ in range(6):
            assert list(machine.services("http", "tcp", "example.org")) == []
        assert lookups() <= before + 4
