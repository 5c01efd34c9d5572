"""The runtime in front of runc: the right containers get a port, and every one of them starts."""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.porttable import HIGHEST, Assignments, PortRange, Table, decode, encode
from registrar.runtime import create
from tests.stack.runtime import FIRST, ID, LABELS, OTHER, WITHIN, RuntimeHost
from wharfinger.errors import Rejected
from wharfinger.operator.parts.process import freeze

PORTS = st.integers(1, HIGHEST)


@pytest.fixture
def host(tmp_path: Path) -> RuntimeHost:
    return RuntimeHost(tmp_path)


@contextlib.contextmanager
def held(port: int, *, listening: bool = True) -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        if listening:
            server.listen()
        yield server


def test_a_container_starts_with_its_port(host: RuntimeHost) -> None:
    assert host.create() == FIRST
    assert host.assignments == Assignments({ID: FIRST}, in_environment=frozenset({ID}))


@pytest.mark.parametrize("shell", ["dash", "busybox sh", "bash --posix"])
def test_any_posix_shell_will_do(host: RuntimeHost, shell: str) -> None:
    host.shell = shell.split()
    assert host.create() == FIRST
    assert host.call("kill", ID, "9") == ["kill", ID, "9"]
    assert host.call("state", "a b", "") == ["state", "a b", ""]
    (host.lib / "settings").write_text(f"runc={host.runc}\n`$(")
    host.write_bundle()
    assert host.create() == 0


def test_at_its_next_start_it_has_the_same_port(host: RuntimeHost) -> None:
    host.write_table(Table(WITHIN, frozenset(), Assignments({ID: FIRST + 4, OTHER: FIRST + 1})))
    assert host.create() == FIRST + 4
    assert host.assignments.in_environment == {ID}
    before = host.table.stat().st_ino
    host.write_bundle()
    assert host.create() == FIRST + 4
    assert host.table.stat().st_ino == before  # nothing to write


def test_it_gives_none_that_the_registrar_would_not(host: RuntimeHost) -> None:
    given_away = Assignments({OTHER: FIRST + 2}, tuple(range(FIRST + 4, FIRST + 10)))
    host.write_table(Table(WITHIN, frozenset({FIRST}), given_away))
    with held(FIRST + 1), held(FIRST + 3, listening=False):
        assert host.create() == FIRST + 4
    assert host.assignments.ports == {OTHER: FIRST + 2, ID: FIRST + 4}
    assert host.assignments.freed == tuple(range(FIRST + 5, FIRST + 10))


def test_who_could_not_bind_its_port_gets_another(host: RuntimeHost) -> None:
    host.write_table(Table(WITHIN, frozenset(), Assignments({ID: FIRST})))
    with held(FIRST):
        assert host.create() == FIRST + 1
    assert host.assignments.freed == (FIRST,)
    host.write_bundle()
    with held(FIRST + 5) as server, socket.create_connection(server.getsockname()[:2]) as client:
        outgoing = client.getsockname()[1]
        host.write_table(Table(WITHIN, frozenset(), Assignments({ID: outgoing})))
        assert host.create() == FIRST


def test_its_own_last_connections_do_not_cost_it_the_port(host: RuntimeHost) -> None:
    with held(0) as server, socket.create_connection(server.getsockname()) as client:
        port = server.getsockname()[1]
        server.accept()[0].close()  # who closes first waits (RFC 9293, TIME-WAIT)
        assert client.recv(1) == b""
    assert not create.can_bind(port, again=False)
    host.write_table(Table(WITHIN, frozenset(), Assignments({ID: port})))
    assert host.create() == port


@pytest.mark.parametrize(
    "labels",
    [
        {},
        None,
        {"wharfinger.app": ""},
        {**LABELS, "wharfinger.ignore": "1"},
        {**LABELS, "SERVICE_IGNORE": "x"},
        {**LABELS, "wharfinger.port.pool": "20000-20999"},
        {**LABELS, "wharfinger.port": "internal"},
        {**LABELS, "wharfinger.port": "0"},
        {**LABELS, "wharfinger.port": "70000"},
        {**LABELS, "wharfinger.port": '1"],"x":["'},
        {**LABELS, "wharfinger.port": "٢٠٠٠٠"},
    ],
)
def test_who_asks_for_none_is_left_alone(host: RuntimeHost, labels: object) -> None:
    host.label(labels)
    assert host.create() == 0
    assert host.assignments.ports == {}


def test_a_container_that_asks_to_be_ignored_is(host: RuntimeHost) -> None:
    host.label(LABELS, ["SERVICE_IGNORE=", "A=b"])
    assert host.create() == FIRST
    host.write_bundle()
    host.label(LABELS, ["SERVICE_IGNORE=true"])
    assert host.create() == 0


def test_a_named_port_is_put_there_without_the_table(host: RuntimeHost) -> None:
    host.label({**LABELS, "wharfinger.port": "8080"})
    host.table.unlink()
    assert host.create() == 8080


def test_a_port_that_is_there_stays(host: RuntimeHost) -> None:
    host.write_bundle(env=["PORT=", "A=b"])
    assert host.create() == 0


@pytest.mark.parametrize(
    "network", [{"type": "network"}, {"type": "network", "path": "/proc/1/ns/net"}]
)
def test_off_the_hosts_network_nothing_is_done(host: RuntimeHost, network: dict[str, str]) -> None:
    host.write_bundle(network)
    assert host.create() == 0


def test_another_network_namespace_is_not_ours(host: RuntimeHost) -> None:
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        host.write_bundle({"type": "network", "path": str(host.network(other.pid))})
        assert host.create() == 0
        other.kill()


@pytest.mark.parametrize(
    "process",
    [
        {"env": []},
        {"env": ['X="env":["PORT=1"', "Y=\\", "Z=é\u2028"], "args": ['"process":{"env":[']},
        {"args": ["}"], "cwd": '"env":["'},
    ],
)
def test_hostile_strings_are_not_taken_for_structure(
    host: RuntimeHost, process: dict[str, object]
) -> None:
    host.write_bundle(**process)
    assert host.create() == FIRST


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[]",
        "{",
        '{"process":',
        '{"process":{"env":["A=b"]}}',
        '{"process":{"env":["A=b"],"env":[]},"linux":{}}',
        '{"process":{"env":["A=b"],"Env":[]},"linux":{}}',
        '{"process":{"env":null},"linux":{}}',
        '{"process":{"env":[1]},"linux":{}}',
        '{"linux":{"namespaces":[{}]},"process":{"env":["A=b"]}}',
        "[" * 200_000,
        "9" * 10_000,
        "\x00",
    ],
)
def test_a_bundle_that_makes_no_sense_goes_to_runc_as_it_is(host: RuntimeHost, config: str) -> None:
    path = host.bundle / "config.json"
    path.write_text(config)
    assert host.call("create", "-b", host.bundle, ID)[-1] == ID
    assert path.read_text() == config


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"null",
        b"[" * 200_000,
        b'{"Config":{"Labels":["wharfinger.app"]}}',
        b'{"Config":{"Labels":{"wharfinger.app":"x","wharfinger.port":7},"Env":[]}}',
        b'{"Config":{"Labels":{"wharfinger.app":"x"},"Env":[3]}}',
        b'{"Config":' + b" " * 2**24 + b'{"Labels":{"wharfinger.app":"x"},"Env":[]}}',
    ],
)
def test_nonsense_about_a_container_is_no_reason_not_to_start(
    host: RuntimeHost, kept: bytes
) -> None:
    host.kept.write_bytes(kept)
    assert host.create() == 0
    assert host.assignments.ports == {}


def test_a_pipe_in_place_of_a_file_is_not_waited_for(host: RuntimeHost) -> None:
    host.kept.unlink()
    os.mkfifo(host.kept)
    assert host.create() == 0


@pytest.mark.parametrize("table", [None, "", "wharfinger ports 1\n", "range 1-2\n" * 1000])
def test_without_a_table_that_can_be_read_it_starts_without_port(
    host: RuntimeHost, table: str | None
) -> None:
    host.table.unlink()
    if table is not None:
        host.table.write_text(table)
    assert host.create() == 0
    assert table is None or host.table.read_text() == table


def test_an_exhausted_range_is_no_reason_not_to_start(host: RuntimeHost) -> None:
    full = Assignments({f"{port:064x}": port for port in WITHIN})
    host.write_table(Table(WITHIN, frozenset(), full))
    assert host.create() == 0
    assert host.assignments == full


@pytest.mark.parametrize("stopped", [False, True])
def test_a_lock_that_nobody_lets_go_of_holds_up_no_start(host: RuntimeHost, stopped: bool) -> None:
    program = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,2); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{program}; input()", f"{host.table}.lock"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        holder.stdout.readline()
        if stopped:
            freeze(holder.pid)
        assert host.create() == 0
        assert host.assignments.ports == {}
        holder.kill()
    assert host.create() == FIRST


def test_a_full_disk_holds_up_no_start(host: RuntimeHost) -> None:
    mount = host.folder / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "small", mount], check=True)
    try:
        table = mount / "ports"
        table.write_bytes(before := encode(Table(WITHIN)))
        (mount / "ports.lock").touch()
        with contextlib.suppress(OSError):
            (mount / "rest").write_bytes(bytes(2**15))
        host.write_settings(table=table)
        assert host.create() == 0
        assert table.read_bytes() == before
        assert {each.name for each in mount.iterdir()} == {"ports", "ports.lock", "rest"}
        (mount / "rest").unlink()
        assert host.create() == FIRST
    finally:
        subprocess.run(["umount", mount], check=True)


def test_what_was_wrong_first_is_what_is_told(host: RuntimeHost) -> None:
    mount = host.folder / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=3", "small", mount], check=True)
    try:
        (mount / "ports").write_bytes(encode(Table(WITHIN)))
        (mount / "ports.lock").touch()
        host.write_settings(table=mount / "ports")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(str(host.folder / "log"))
            assert host.create() == 0
            assert "No space left on device" in log.recv(2_000).decode()
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize(
    "broken",
    [
        {"python": "/missing"},
        {"python": ""},
        {"python": "/bin/false"},
        {"data_root": "/missing"},
        {"table": "/missing/ports"},
        {"log": "/missing/log"},
    ],
)
def test_whatever_is_missing_runc_is_called(host: RuntimeHost, broken: dict[str, str]) -> None:
    host.write_settings(**broken)
    host.create()


@pytest.mark.parametrize("settings", [None, b"", b"runc\n'\"$(\n`\n", b"\x00\xff" * 999, b"runc="])
def test_without_settings_the_runc_of_the_path_is_called(
    host: RuntimeHost, settings: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{host.folder}:{os.environ['PATH']}")
    (host.lib / "settings").unlink()
    if settings is not None:
        (host.lib / "settings").write_bytes(settings)
    assert host.create() == 0


def test_an_interpreter_that_spins_is_ended(host: RuntimeHost) -> None:
    host.write_settings(python=host.program("spins", "while :; do :; done\n"))
    assert host.create() == 0


def test_what_another_python_compiled_is_compiled_anew(host: RuntimeHost) -> None:
    (host.lib / "create.pyc").write_bytes(b"another python's")
    assert host.create() == FIRST


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--version"],
        ["--root", "create", "state", ID],
        ["--log", "/x", "--log-format=json", "--debug", "delete", "--force", ID],
        ["--unknown", "create", ID],
        ["start", ID],
        ["exec", "-p", "/x y", "  ", 'a"b', "$(id)", ID],
        ["kill", "--all", ID, "15"],
        ["kill", ID, "9"],
        ["kill", ID, "KILL"],
    ],
)
def test_all_else_goes_straight_to_runc(host: RuntimeHost, words: list[str]) -> None:
    host.write_settings(python=host.program("python", f"touch {host.folder}/asked\n"))
    assert host.call(*words) == (words or [""])
    assert not (host.folder / "asked").exists()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["create", "--bundle", "/b", "--pid-file", "/p", ID], ("/b", ID)),
        (["--root", "/r", "create", "-b=/b", "--no-pivot", ID], ("/b", ID)),
        (["create", "--console-socket", "/s", "--preserve-fds", "3", ID], (".", ID)),
        (["create", "--bundle=/b", "--pid-file=/p", ID], ("/b", ID)),
    ],
)
def test_the_bundle_is_found_on_the_command_line(words: list[str], found: tuple[str, str]) -> None:
    assert create.named(words) == found


def test_why_a_container_starts_without_port_is_in_the_systems_log(host: RuntimeHost) -> None:
    host.table.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(host.folder / "log"))
        log.settimeout(20)
        host.create()
        told = log.recv(2_000).decode()
    assert told.startswith(f"<28>wharfinger-runtime: {ID[:12]} starts without PORT: ")
    assert "No such file" in told


TABLES = st.builds(
    lambda ports, freed, taken, inside: Table(
        PortRange(21_000, 21_020),
        frozenset(taken),
        Assignments(
            {f"{at:064x}": port for at, port in enumerate(ports)},
            tuple(each for each in freed if each not in ports),
            frozenset(f"{at:064x}" for at in inside if at < len(ports)),
        ),
    ),
    st.lists(st.integers(21_000, 21_022), unique=True, max_size=20),
    st.lists(st.integers(20_998, 21_022), unique=True),
    st.sets(st.integers(21_000, 21_020)),
    st.sets(st.integers(0, 20)),
)


@given(TABLES)
def test_both_read_and_write_one_form(table: Table) -> None:
    text = encode(table).decode()
    assert str(create.Table(text)) == text
    assert decode(str(create.Table(text)).encode()) == table


@given(TABLES, st.sets(st.integers(21_000, 21_020)), st.booleans())
def test_both_choose_the_same_port(table: Table, busy: set[int], comes_back: bool) -> None:
    who = f"{0:064x}" if comes_back else OTHER
    theirs = create.Table(encode(table).decode())
    held_before = table.assignments
    if (own := held_before.ports.get(who)) is not None and own in busy:
        held_before = held_before.release(who)
    try:
        ours = held_before.assign(
            who, table.within, lambda port: port not in busy and port not in table.taken
        )
    except Rejected:
        with pytest.raises(ValueError, match="no port is left"):
            theirs.give(who, lambda port: port not in busy, lambda port: port not in busy)
        return
    port = theirs.give(who, lambda port: port not in busy, lambda port: port not in busy)
    assert port == ours.ports[who]
    after = decode(str(theirs).encode()).assignments
    assert after.ports == ours.ports
    assert after.freed == ours.freed
    assert who in after.in_environment


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1]))
def test_where_a_value_begins_is_exact(whole: dict[str, object], indent: int | None) -> None:
    folded = [key.lower() for key in whole]
    text = json.dumps(whole, ensure_ascii=False, indent=indent)
    if len(set(folded)) < len(folded):
        with pytest.raises(ValueError, match="twice"):
            create.members(text, 0)
        return
    found = create.members(text, 0)
    assert {key: value for key, (_, value) in found.items()} == whole
    for key, (begin, value) in found.items():
        assert json.JSONDecoder().raw_decode(text, begin)[0] == value == whole[key]


def test_the_lock_is_the_registrars(host: RuntimeHost) -> None:
    host.create()
    with (host.folder / "ports.lock").open("r+") as file:
        assert os.fstat(file.fileno()).st_mode & 0o077 == 0  # whoever may read it may lock it
        assert file.read().startswith(f"wharfinger-runtime for container {ID[:12]} pid ")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_disk_that_hangs_holds_up_no_start(host: RuntimeHost, slow_disk: Path) -> None:
    table = slow_disk / "ports"
    table.write_bytes(before := encode(Table(WITHIN)))
    (slow_disk / "ports.lock").touch()
    host.write_settings(table=table)
    subprocess.run(["fsfreeze", "--freeze", slow_disk], check=True)
    try:
        assert host.create() == 0
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", slow_disk], check=True)
    # Who hung there has ended without doing any more, and let go of the lock.
    with (slow_disk / "ports.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert table.read_bytes() == before
    assert host.port() == 0
    assert host.create() == FIRST
