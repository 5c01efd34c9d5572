"""What stands in the way of an installation: each fault by itself, and all of them at once."""

import os
from pathlib import Path
from typing import Any

import pytest

from wharfinger.errors import Rejected
from wharfinger.operator.install import reservation
from wharfinger.operator.install.checks import Asked, Nginx, Surroundings, refusals, warnings
from wharfinger.operator.install.root import Root
from wharfinger.operator.install.surroundings import changeable, reserving

ALL = Asked(frozenset({"host", "edge", "store"}), ports={7201: "registrar", 7280: "logstore"})
GOOD: dict[str, Any] = {
    "address": "10.0.0.5",
    "nginx": Nginx("1.22.1", lua=True, includes=True),
    "ephemeral": (32768, 60999),
}
REFUSED = {
    "user": {"root": False},
    "systemd": {"systemd": 0},
    "Python": {"python": (3, 9)},
    "/home/me/venv": {"places": ("/opt/w", "/home/me/venv")},
    "/opt/w": {"open": {"/opt/w": "user alice"}},
    "port 7280": {"taken": {7280: "nginx (process 7)"}},
    "/var/lib/wharfinger": {"free_bytes": 1000},
    "net.ipv4.ip_local_reserved_ports": {"reserving": {"/etc/sysctl.d/1.conf": "a-b"}},
}
WARNED = {
    "Docker": {"docker": "cannot be reached"},
    "Nginx": {"nginx": None},
    "etcd.endpoints": {"etcd": "refused"},
    "host.ip": {"address": None},
    "registrar.port_range": {"ephemeral": (10000, 60999)},
}


def test_on_a_good_host_nothing_is_found() -> None:
    around = Surroundings(**GOOD)
    assert [*refusals(ALL, around), *warnings(ALL, around)] == []


@pytest.mark.parametrize("where", REFUSED)
def test_what_must_be_mended_first(where: str) -> None:
    around = Surroundings(**{**GOOD, **REFUSED[where]})
    [finding] = refusals(ALL, around)
    assert finding.where == where
    assert finding.fix
    assert [*warnings(ALL, around)] == []


@pytest.mark.parametrize("where", WARNED)
def test_what_the_daemons_can_wait_for(where: str) -> None:
    around = Surroundings(**{**GOOD, **WARNED[where]})
    [finding] = warnings(ALL, around)
    assert finding.where == where
    assert finding.fix
    assert [*refusals(ALL, around)] == []
    # It is no matter for a host that is for something else.
    assert [*warnings(Asked(frozenset({"store"})), around)] == []


def test_all_of_it_is_told_at_once() -> None:
    worst = dict(GOOD)
    for each in (*REFUSED.values(), *WARNED.values()):
        worst |= each
    around = Surroundings(**worst)
    assert {each.where for each in refusals(ALL, around)} == set(REFUSED)
    assert {each.where for each in warnings(ALL, around)} == set(WARNED)


@pytest.mark.parametrize(
    ("place", "hidden"),
    [("/home", True), ("/homes/x", False), ("/root/.venv", True), ("/opt/root", False),
     ("/tmp/venv", True), ("/usr/lib/wharfinger", False)],
)  # fmt: skip
def test_what_the_units_cannot_see(place: str, hidden: bool) -> None:
    assert bool([*refusals(ALL, Surroundings(**GOOD, places=(place,)))]) == hidden


@pytest.mark.parametrize(
    ("owner", "mode", "who"),
    [
        ((0, 0), 0o755, ""),
        ((0, 0), 0o775, ""),
        ((1, 0), 0o700, "user daemon"),
        ((54321, 0), 0o755, "user 54321"),
        ((0, 1), 0o775, "group daemon"),
        ((0, 54321), 0o775, "group 54321"),
        ((0, 0), 0o777, "everybody"),
        ((0, 0), 0o1777, ""),
    ],
)
def test_programs_that_others_can_change_would_make_them_root(
    owner: tuple[int, int], mode: int, who: str, tmp_path: Path
) -> None:
    program = tmp_path / "venv" / "bin" / "registrar"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    link = tmp_path / "link"
    link.symlink_to(program)
    for path in (tmp_path / "venv", program):
        os.chown(path, *owner)
        path.chmod(mode)
        # A sticky bit keeps nobody from writing into a file.
        told = who or ("everybody" if path == program and mode & 0o002 else "")
        assert changeable([str(link), str(tmp_path / "none")]) == (
            {str(path): told} if told else {}
        )
        os.chown(path, 0, 0)
        path.chmod(0o755)


def test_an_nginx_without_lua_or_include_is_told() -> None:
    around = Surroundings(**{**GOOD, "nginx": Nginx("1.22.1", lua=False, includes=False)})
    assert len([*warnings(ALL, around)]) == 2


@pytest.mark.parametrize(
    ("lists", "joined"),
    [(["8080", "20000-29999"], "8080,20000-29999"), (["1-5", "3-9", "10"], "1-10"), ([""], ""),
     (["5, 7", "6"], "5-7")],
)  # fmt: skip
def test_lists_of_ports_become_one(lists: list[str], joined: str) -> None:
    assert reservation.union(lists) == joined


@pytest.mark.parametrize("text", ["x", "1-", "-1", "1-2-3", "٣"])
def test_what_is_no_list_of_ports(text: str) -> None:
    with pytest.raises(Rejected):
        reservation.union([text])
    assert not reservation.covers(text, "1-2")


def test_files_of_sysctl_are_read_as_the_system_reads_them(tmp_path: Any) -> None:
    for folder in ("etc", "usr/lib"):
        (tmp_path / folder / "sysctl.d").mkdir(parents=True)
    for path, text in {
        "usr/lib/sysctl.d/50-a.conf": "net.ipv4.ip_local_reserved_ports = 1\n",
        "etc/sysctl.d/50-a.conf": "# net.ipv4.ip_local_reserved_ports = 9\n",
        "etc/sysctl.d/40-b.conf": "-net/ipv4/ip_local_reserved_ports=2\n",
        "etc/sysctl.d/70-c.conf": "net.ipv4.ip_local_reserved_ports=3\n"
        "net.ipv4.ip_local_reserved_ports = 4,5\nvm.swappiness = 1\n",
        "etc/sysctl.d/80.old": "net.ipv4.ip_local_reserved_ports = 6\n",
    }.items():
        (tmp_path / path).write_text(text)
    root = Root(tmp_path)
    found = reserving(root)
    root.close()
    assert found == {"/etc/sysctl.d/40-b.conf": "2", "/etc/sysctl.d/70-c.conf": "4,5"}
    assert [*found] == sorted(found)
