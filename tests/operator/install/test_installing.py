"""Whole installations into a root folder: their files, twice, broken off, edited, and out again."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wharfinger.errors import ConfigError, Conflict, Exit, Rejected, Unavailable
from wharfinger.operator.cli import main
from wharfinger.operator.install import applying, asking, installing
from wharfinger.operator.install.installing import Request
from wharfinger.operator.install.model import CONFIG, RECORD, File
from wharfinger.operator.install.root import Root

PROGRAMS = ("registrar", "discovery", "logshipper", "logstore", "wharfinger")


class Host:
    """A root folder with programs and nothing else."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("etc", "usr/bin", "var/lib"):
            (root / folder).mkdir(parents=True)
        for name in PROGRAMS:
            (root / "usr/bin" / name).touch(0o755)

    async def install(self, role: str | None = "all", **more: Any) -> Exit:
        return await installing.install(Request(self.root, role, programs="/usr/bin", **more))

    async def uninstall(self, role: str | None = None, **more: Any) -> Exit:
        return await installing.uninstall(Request(self.root, role, **more))

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        return self.path(path).read_text()

    def content(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(each): (each.read_bytes(), each.stat().st_mode)
            for each in sorted(self.root.rglob("*"))
            if each.is_file() and not each.is_symlink()
        }

    def ours(self) -> dict[str, tuple[bytes, int]]:
        found = self.content()
        return {path[len(str(self.root)) :]: each for path, each in found.items()
                if "wharfinger" in path[len(str(self.root)) :]}  # fmt: skip


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name in [each for each in os.environ if each.startswith("WHARFINGER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(
        "wharfinger.operator.install.shipped.pages.shared", lambda: {"man/x.8": "x"}
    )
    return Host(tmp_path / "root")


async def test_all_of_it_and_again_and_out(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    bare = set(host.content())
    assert await host.install() == Exit.OK
    for name in PROGRAMS[:4]:
        assert f"/usr/bin/{name} run" in host.text(f"/etc/systemd/system/wharfinger-{name}.service")
        wanted = host.path(f"/etc/systemd/system/wharfinger.target.wants/wharfinger-{name}.service")
        assert wanted.is_symlink()
    assert "_wharfinger-registrar" in host.text("/etc/passwd")
    assert "\n[discovery.nginx]\n" in host.text(CONFIG)
    assert "ip_local_reserved_ports = 20000-29999\n" in host.text(
        "/etc/sysctl.d/60-wharfinger.conf"
    )
    assert host.text("/usr/local/share/man/x.8") == "x"
    assert host.path(RECORD).stat().st_mode & 0o777 == 0o600
    before = host.content()
    capsys.readouterr()
    assert await host.install() == Exit.OK
    assert capsys.readouterr().out == "nothing to do\n"
    assert await host.install(None) == Exit.OK
    assert host.content() == before
    assert await host.uninstall() == Exit.OK
    left = {path for path in set(host.content()) - bare if "wharfinger" in path}
    assert left == set()
    assert not host.path("/etc/systemd/system/wharfinger.target.wants").exists()
    capsys.readouterr()
    assert await host.uninstall() == Exit.OK
    assert capsys.readouterr().out == "nothing to do\n"


async def test_a_runtime_that_stays_is_told(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    await host.install("host,edge", runtime=True)
    drop_in = host.path("/etc/systemd/system/wharfinger-registrar.service.d/60-runtime.conf")
    assert "CAP_KILL" in drop_in.read_text()
    await host.uninstall("edge", runtime=True)
    assert "stays in front of runc" not in capsys.readouterr().err
    await host.install("host")
    assert not drop_in.parent.exists()
    await host.uninstall(runtime=True)
    assert "uninstall --runtime takes it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("release", "more"),
    [("5.10.0-28-amd64", True), ("4.19.0", True), ("5.14.0-362.el9", False), ("6.1.0", False),
     ("", False)],
)  # fmt: skip
async def test_an_older_kernel_has_a_drop_in_until_it_is_a_newer_one(
    host: Host, monkeypatch: pytest.MonkeyPatch, release: str, more: bool
) -> None:
    drop_in = host.path("/etc/systemd/system/wharfinger-registrar.service.d/70-kernel.conf")
    monkeypatch.setattr(Root, "kernel", release)
    await host.install("store")
    assert not drop_in.exists()
    await host.install("host")
    assert drop_in.exists() is more
    assert not more or "CAP_DAC_READ_SEARCH" in drop_in.read_text()
    monkeypatch.setattr(Root, "kernel", "6.12.1")
    await host.install("host")
    assert not drop_in.exists()


async def test_sockets_elsewhere_are_made_alike(host: Host) -> None:
    await host.install("host", settings={"host.runtime_dir": "/srv/run"})
    there = host.text("/etc/tmpfiles.d/wharfinger-elsewhere.conf")
    usual = host.text("/etc/tmpfiles.d/wharfinger.conf").replace("/run/wharfinger", "/srv/run")
    lines = [each for each in there.splitlines() if "/srv/run" in each]
    assert len(lines) == 4
    assert set(lines) <= set(usual.splitlines())


async def test_roles_come_one_after_the_other_and_go_so(host: Host) -> None:
    units = host.path("/etc/systemd/system")
    await host.install("store")
    assert {each.name for each in units.glob("*.service")} == {"wharfinger-logstore.service"}
    assert not host.path("/etc/sysctl.d/60-wharfinger.conf").exists()
    await host.install("host")
    await host.install("store")
    assert len([*units.glob("*.service")]) == 3
    await host.uninstall("store")
    assert {each.name for each in units.glob("*.service")} == {
        "wharfinger-registrar.service", "wharfinger-logshipper.service",
    }  # fmt: skip
    assert host.path(CONFIG).exists()


async def test_a_store_that_others_reach_has_tokens_and_its_shipper_shows_one(host: Host) -> None:
    await host.install(settings={"logstore.listen": "10.0.0.5:7280"})
    token = host.path("/etc/wharfinger/ingest.token")
    assert token.stat().st_mode & 0o777 == 0o640
    assert token.stat().st_gid != 0
    first = token.read_bytes()
    text = host.text(CONFIG)
    assert '\ningest_token_file = "/etc/wharfinger/ingest.token"\n' in text
    assert '\nread_token_file = "/etc/wharfinger/read.token"\n' in text
    assert '\nurl = "http://10.0.0.5:7280"\n' in text
    assert '\ntoken_file = "/etc/wharfinger/ingest.token"\n' in text
    await host.install()
    assert token.read_bytes() == first
    host.path("/etc/wharfinger/read.token").unlink()
    await host.install(None)
    assert host.path("/etc/wharfinger/read.token").read_bytes() not in (b"", first)
    await host.uninstall()
    assert token.exists()
    await host.uninstall(purge=True)
    assert not host.path("/etc/wharfinger").exists()
    assert not host.path(RECORD).exists()


async def test_a_dry_run_shows_every_file_and_changes_nothing(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    before = host.content()
    settings = {"logstore.listen": "0.0.0.0:7280", "etcd.endpoints": "e1:2379"}
    assert await host.install(dry_run=True, settings=settings) == Exit.OK
    shown = capsys.readouterr().out
    assert "write /etc/systemd/system/wharfinger-registrar.service 0644 root:root" in shown
    assert "+ExecStart=/usr/bin/registrar run" in shown
    assert '  +[etcd]\n  +endpoints = ["e1:2379"]\n' in shown
    assert "run systemd-sysusers --root=" in shown
    assert "(a secret of 44 bytes)" in shown
    assert host.content() == before
    assert await host.install(dry_run=True, as_json=True, settings=settings) == Exit.OK
    page = json.loads(capsys.readouterr().out)
    secrets = [each for each in page["steps"] if each.get("kind") == "token"]
    assert len(secrets) == 2
    assert all(each["content"] is None for each in secrets)
    assert host.content() == before


async def test_what_was_set_by_hand_stays_and_what_is_said_is_set_beside_it(host: Host) -> None:
    host.path("/etc/wharfinger").mkdir()
    mine = '# My own.\n[registrar]\nport_range = "21000-21999" # few\n\n[etcd]\nprefix = "/x"\n'
    host.path(CONFIG).write_text(mine)
    await host.install("host", settings={"etcd.prefix": "/y", "host.ip": "10.0.0.5"})
    assert host.text(CONFIG) == mine.replace('"/x"', '"/y"') + '\n[host]\nip = "10.0.0.5"\n'
    assert "= 21000-21999\n" in host.text("/etc/sysctl.d/60-wharfinger.conf")
    await host.uninstall()
    assert host.path(CONFIG).exists() is False


@pytest.mark.parametrize("way", ["flag", "environment", "file"])
async def test_a_group_that_is_made_with_the_users_may_be_named(
    host: Host, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {}
    if way == "flag":
        settings = {"host.control_group": "wharfinger"}
    elif way == "environment":
        monkeypatch.setenv("WHARFINGER_HOST__CONTROL_GROUP", "wharfinger")
    else:
        host.path("/etc/wharfinger").mkdir()
        host.path(CONFIG).write_text('[host]\ncontrol_group = "wharfinger"\n')
    for _ in range(2):
        assert await host.install("host", settings=settings) == Exit.OK
    assert '\ncontrol_group = "wharfinger"\n' in host.text(CONFIG)
    with pytest.raises(ConfigError, match="no group 'nonsense'"):
        await host.install("host", settings={"host.control_group": "nonsense"})


def test_the_environment_says_it_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHARFINGER_ETCD__ENDPOINTS", "e1:2379,e2:2379")
    monkeypatch.setenv("WHARFINGER_ROLE", "edge")
    with pytest.raises(SystemExit) as left:
        main(["install", "--root", str(host.root), "--programs", "/usr/bin", "--etcd", "e3:1"])
    assert left.value.code == Exit.OK
    assert '\nendpoints = ["e3:1"]\n' in host.text(CONFIG)
    with pytest.raises(SystemExit):
        main(["install", "--root", str(host.root), "--programs", "/usr/bin"])
    assert '\nendpoints = ["e1:2379", "e2:2379"]\n' in host.text(CONFIG)


async def test_certificates_come_in_place_with_their_rights(host: Host, tmp_path: Path) -> None:
    bundle = tmp_path / "box1"
    bundle.mkdir()
    names = ("ca.crt", "host.crt", "host.key", "ingest.token", "ingest.tokens", "read.tokens")
    for name in names:
        (bundle / name).write_text(f"{name} of box1\n")
    await host.install(pki=bundle, settings={"logstore.listen": "0.0.0.0:7280"})
    key = host.path("/etc/wharfinger/pki/host.key")
    assert key.read_text() == "host.key of box1\n"
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    text = host.text(CONFIG)
    for line in (
        'ca_file = "/etc/wharfinger/pki/ca.crt"',
        'url = "https://127.0.0.1:7280"',
        'token_file = "/etc/wharfinger/ingest.token"',
        'ingest_token_file = "/etc/wharfinger/ingest.tokens"',
        'read_token_file = "/etc/wharfinger/read.tokens"',
        'key_file = "/etc/wharfinger/pki/host.key"',
    ):
        assert f"\n{line}\n" in text
    before = host.content()
    await host.install(pki=bundle)
    assert host.content() == before


@pytest.mark.parametrize(
    ("names", "why"),
    [((), "holds none of"), (("ca.crt", "host.crt"), "go together"),
     (("host.crt", "host.key"), "without ca.crt")],
)  # fmt: skip
async def test_a_bundle_that_is_not_whole_is_refused(
    host: Host, tmp_path: Path, names: tuple[str, ...], why: str
) -> None:
    before = host.content()
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=why):
        await host.install(pki=tmp_path)
    assert host.content() == before


@pytest.mark.parametrize(
    ("text", "settings", "why"),
    [
        ("[etcd\n", {}, "is not TOML"),
        ("[etcd]\nendpoint = 1\n", {}, "endpoint"),
        ("", {"etcd.nonsense": "1"}, "nonsense"),
        ("", {"registrar.port_range": "5-1"}, "port_range"),
        ("[log]\nlevel = 7\n[host]\nip = 'x'\n", {}, "log.level(.|\n)*host.ip|host.ip(.|\n)*log"),
    ],
)
async def test_a_mistake_in_the_configuration_is_told_before_anything_changes(
    host: Host, text: str, settings: dict[str, str], why: str
) -> None:
    host.path("/etc/wharfinger").mkdir()
    host.path(CONFIG).write_text(text)
    before = host.content()
    with pytest.raises(ConfigError, match=why) as refused:
        await host.install(settings=settings)
    assert refused.value.exit_code == Exit.CONFIG
    assert host.content() == before


async def test_programs_that_are_not_there_are_told_with_all_else(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.path("/usr/bin/discovery").unlink()
    host.path("/etc/sysctl.d").mkdir()
    host.path("/etc/sysctl.d/9.conf").write_text("net.ipv4.ip_local_reserved_ports = many\n")
    before = host.content()
    assert await host.install() == Exit.UNAVAILABLE
    said = capsys.readouterr().err
    # Where they were looked for: the host that installs may well have them.
    assert "/usr/bin in that root folder: has no discovery; install the package there" in said
    assert "'many' is neither a port nor a range" in said
    assert "nothing was changed" in said
    assert host.content() == before


@pytest.mark.parametrize("role", ["hosts", "host,", ",", ""])
async def test_a_role_that_there_is_not(host: Host, role: str) -> None:
    if role == "host,":
        assert await host.install(role) == Exit.OK
        return
    with pytest.raises(Rejected, match="use host, edge, store or all"):
        await host.install(role)


async def test_links_that_lead_out_of_the_root_are_not_followed(host: Host, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    # In the root this is the folder /outside of its own, which is not there.
    host.path("/etc/wharfinger").symlink_to(outside)
    host.path("/etc/sysctl.d").mkdir()
    host.path("/etc/sysctl.d/60-wharfinger.conf").symlink_to(outside / "precious")
    with pytest.raises(Unavailable, match="/etc/wharfinger"):
        await host.install()
    assert [each.name for each in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_text() == "x"


async def test_a_link_in_the_place_of_a_file_is_told_and_left(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    units = host.path("/etc/systemd/system")
    units.mkdir(parents=True)
    (units / "wharfinger-logstore.service").symlink_to("/dev/null")
    await host.install()
    assert "wharfinger-logstore.service: is a link" in capsys.readouterr().err
    assert (units / "wharfinger-logstore.service").is_symlink()


async def test_a_disk_that_fails_leaves_nothing_half_and_the_next_run_ends_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Root.write
    for allowed in (0, 1, 3, 5):  # one of them is the record, each time
        left = [allowed]

        def write(self: Root, file: File, left: list[int] = left) -> None:
            if left[0] == 0:
                raise OSError(28, "No space left on device", file.path)
            left[0] -= 1
            original(self, file)

        monkeypatch.setattr(Root, "write", write)
        with pytest.raises(Unavailable, match="No space left on device; what was done"):
            await host.install()
        assert not [each for each in host.root.rglob(".*") if each.name != ".pwd.lock"]
    monkeypatch.setattr(Root, "write", original)
    assert await host.install() == Exit.OK
    whole = host.content()
    assert await host.install() == Exit.OK
    assert host.content() == whole


def killed_at(host: Host, path: str) -> None:
    """Installs until a file is there, and kills what installs."""
    command = (
        "from wharfinger.operator.install import installing, shipped\n"
        "import asyncio, pathlib\n"
        "shipped.pages.shared = lambda: {'man/x.8': 'x'}\n"
        f"asked = installing.Request(pathlib.Path({str(host.root)!r}), 'host,edge',"
        " programs='/usr/bin')\n"
        "asyncio.run(installing.install(asked))\n"
    )
    with subprocess.Popen([sys.executable, "-c", command]) as process:
        while not host.path(path).exists() and process.poll() is None:
            time.sleep(0.001)
        assert host.path(path).exists(), "it ended by itself, before it came so far"
        process.kill()


async def test_killed_by_the_system_at_any_point_the_next_run_makes_it_whole(
    host: Host, tmp_path: Path
) -> None:
    clean = Host(tmp_path / "clean")
    await clean.install("host,edge")
    expected = {path: each for path, each in clean.ours().items() if not path.endswith(RECORD)}
    for seen in ("/etc/group", "/etc/tmpfiles.d/wharfinger.conf", CONFIG):
        killed_at(host, seen)
    assert await host.install("host,edge") == Exit.OK
    assert {
        path: each for path, each in host.ours().items() if not path.endswith(RECORD)
    } == expected
    assert host.text(RECORD) == clean.text(RECORD)


async def test_what_a_killed_run_has_left_beside_a_file_goes(host: Host) -> None:
    host.path("/etc/wharfinger").mkdir()
    torn = host.path("/etc/wharfinger/.wharfinger.toml.abcd1234")
    torn.touch()
    await host.install()
    assert not torn.exists()


async def test_two_at_once_do_not_mix(host: Host) -> None:
    root = Root(host.root)
    with (
        root.alone(RECORD.rpartition("/")[0]),
        pytest.raises(Conflict, match="another installation"),
    ):
        await host.install()
    root.close()
    assert await host.install() == Exit.OK


@pytest.mark.parametrize("record", ["{", "[]", '{"roles": 1}', ""])
async def test_a_damaged_record_is_told(host: Host, record: str) -> None:
    host.path("/var/lib/wharfinger").mkdir()
    host.path(RECORD).write_text(record)
    with pytest.raises(Rejected, match="cannot be understood"):
        await host.install()
    with pytest.raises(Rejected, match="cannot be understood"):
        await host.uninstall()


async def test_a_folder_that_cannot_be_made_is_named(host: Host) -> None:
    host.path("/etc/systemd").write_text("no folder")
    with pytest.raises(Unavailable, match="/etc/systemd/system/"):
        await host.install()
    host.path("/etc/systemd").unlink()
    assert await host.install() == Exit.OK


async def test_what_a_package_has_is_left_to_it(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    units = host.path("/usr/lib/systemd/system")
    units.mkdir(parents=True)
    for folder in ("sysusers", "tmpfiles"):
        host.path(f"/usr/lib/{folder}.d").mkdir()
        shipped = Path(__file__).parents[3] / f"deploy/systemd/{folder}.conf"
        host.path(f"/usr/lib/{folder}.d/wharfinger.conf").write_bytes(shipped.read_bytes())
    for unit in (Path(__file__).parents[3] / "deploy/systemd").glob("wharfinger*"):
        (units / unit.name).write_bytes(unit.read_bytes())
    assert await host.install() == Exit.OK
    assert not [*host.path("/etc/systemd/system").glob("*.service")]
    assert not host.path("/etc/sysusers.d").exists()
    assert host.path("/etc/systemd/system/wharfinger.target.wants").is_dir()
    await host.uninstall()
    assert len([*units.iterdir()]) > 4
    other = Request(host.root, "all", programs="/opt/w/bin")
    assert await installing.install(other) == Exit.UNAVAILABLE
    assert "call /usr/bin/wharfinger, or remove the package" in capsys.readouterr().err


async def test_state_elsewhere_can_be_written_by_the_units(host: Host) -> None:
    settings = {"host.state_dir": "/srv/wf", "logstore.data_dir": "/data/lines"}
    await host.install("store", settings=settings)
    drop_in = host.text("/etc/systemd/system/wharfinger-logstore.service.d/50-places.conf")
    assert "\nReadWritePaths=/srv/wf/logstore /data/lines\n" in drop_in
    assert host.path("/data/lines").stat().st_uid != 0
    await host.install("store", settings={"logstore.data_dir": "/srv/wf/lines"})
    await host.uninstall()
    assert not host.path("/etc/systemd/system/wharfinger-logstore.service.d").exists()
    assert host.path("/data/lines").is_dir()


async def test_state_may_be_where_a_name_has_blanks_and_percent_signs(host: Host) -> None:
    settings = {"host.state_dir": "/srv/my %s state", "logstore.data_dir": "/data/100%"}
    assert await host.install("store", settings=settings) == Exit.OK
    assert host.path("/srv/my %s state/logstore").stat().st_uid != 0
    assert host.path("/data/100%").is_dir()
    assert not host.path("/srv/my").exists()


async def test_purged_the_data_goes_as_well(host: Host) -> None:
    await host.install()
    data = host.path("/var/lib/wharfinger/logstore")
    data.mkdir()
    (data / "day").touch()
    await host.uninstall("store")
    assert (data / "day").exists()
    nginx = host.path("/etc/nginx/conf.d/wharfinger.conf")
    nginx.parent.mkdir(parents=True)
    nginx.touch()
    await host.uninstall()
    assert nginx.exists()
    assert (data / "day").exists()
    await host.uninstall(purge=True)
    assert not nginx.exists()
    assert not host.path("/var/lib/wharfinger").exists()
    assert nginx.parent.exists()


def test_at_a_terminal_few_questions_are_asked() -> None:
    asked: list[str] = []

    def answer(question: str, default: str) -> str:
        asked.append(question)
        return {asking.ROLE: "host", asking.ETCD: "e1:2379"}.get(question, default)

    roles = asking.roles(None, frozenset(), answer)
    assert roles == {"host"}
    nothing = {"etcd": False, "store": False}
    assert asking.further(roles, nothing, answer) == ({"etcd.endpoints": "e1:2379"}, None)
    assert asked == [asking.ROLE, asking.ETCD, asking.STORE]
    assert asking.further(roles, {"etcd": True, "store": True}, answer) == ({}, None)
    assert asking.further(roles, nothing, None) == ({}, None)
    assert asking.roles(None, frozenset({"edge"}), answer) == {"edge"}


def test_the_record_passes_over_what_a_later_version_adds(host: Host) -> None:
    host.path("/var/lib/wharfinger").mkdir()
    host.path(RECORD).write_text('{"version": "9", "roles": ["edge"], "later": {"x": 1}}')
    root = Root(host.root)
    record = applying.read_record(root)
    root.close()
    assert record
    assert record.roles == {"edge"}


async def test_a_local_user_keeps_no_installation_away(host: Host) -> None:
    await host.install("store")
    state = host.path("/var/lib/wharfinger")
    assert state.stat().st_mode & 0o777 == 0o755
    before = sorted(state.iterdir())
    # What any user may do: open the folder, and lock it.
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert await host.install("host") == Exit.OK
    assert sorted(state.iterdir()) == before
    root = Root(host.root)
    with root.alone("/var/lib/wharfinger"):
        assert (state / ".installing").stat().st_mode & 0o777 == 0o700
    root.close()
    assert await host.uninstall() == Exit.OK
    os.close(descriptor)
