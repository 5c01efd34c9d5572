"""The Debian package: what is in it, and its life in a Debian without network."""

import ast
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stack.debian import debian_root
from tests.stack.package import ROOT, built, inside, prepared
from wharfinger import __version__

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(600)]

PROGRAMS = ("registrar", "discovery", "logshipper", "logstore", "wharfinger", "deploy")
CONFIG = "etc/wharfinger/wharfinger.toml"
DEFAULTS = "etc/default/wharfinger"


@pytest.fixture
def install(debian: Path) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Installs a package in the root."""

    def installed(package: Path) -> subprocess.CompletedProcess[str]:
        shutil.copy(package, debian / "root" / "wharfinger.deb")
        return inside(debian, "dpkg", "-i", "/root/wharfinger.deb")

    return installed


def members(package: Path) -> Iterator[tarfile.TarInfo]:
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpack,
        tarfile.open(fileobj=unpack.stdout, mode="r|") as files,
    ):
        yield from files


def test_two_builds_are_equal_byte_by_byte(package: Path, tmp_path: Path) -> None:
    assert built(tmp_path).read_bytes() == package.read_bytes()


def test_what_is_in_it(package: Path, record_property: Callable[[str, object], None]) -> None:
    found = list(members(package))
    names = {member.name for member in found}
    assert len(found) > 1000
    for member in found:
        assert (member.uid, member.gid) == (0, 0), member.name
        if not member.issym():
            assert member.mode in ((0o755,) if member.isdir() else (0o644, 0o755)), member.name
        assert member.isdir() or member.isfile() or member.issym(), member.name
        top = member.name.split("/")[1:3]
        assert top[:1] in ([], [""], ["etc"], ["lib"], ["usr"]), member.name
    packages = "./usr/lib/wharfinger/lib/"
    parts = {part for name in names if name.startswith(packages) for part in name.split("/")}
    assert not parts & {"pip", "setuptools", "tests", "direct_url.json", "RECORD"}
    assert {f"./usr/bin/{program}" for program in PROGRAMS} <= names
    assert {f"./usr/share/man/man8/{program}.8.gz" for program in PROGRAMS} <= names
    assert "./usr/share/man/man5/wharfinger.toml.5.gz" in names
    assert "./usr/share/bash-completion/completions/registrar" in names
    assert "./usr/share/zsh/vendor-completions/_registrar" in names
    for kind in ("sysusers", "tmpfiles"):
        assert f"./usr/lib/{kind}.d/wharfinger.conf" in names
    for daemon in PROGRAMS[:4]:
        assert f"./lib/systemd/system/wharfinger-{daemon}.service" in names
    control = subprocess.run(
        ["dpkg-deb", "-f", package], check=True, capture_output=True, text=True
    ).stdout
    assert f"\nVersion: {__version__}\n" in control
    assert re.search(r"python3 \(>= 3\.\d+~\), python3 \(<< 3\.\d+~\)", control)
    record_property("package_kib", package.stat().st_size // 1024)
    record_property("installed_mib", sum(member.size for member in found) // 2**20)


def test_no_folder_of_the_build_is_named_in_it(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    for folder in (str(ROOT), "wharfinger-deb."):
        found = subprocess.run(
            ["grep", "-rlF", folder, tmp_path], check=False, capture_output=True, text=True
        )
        # The script that builds it is in the wheel as well.
        assert [line for line in found.stdout.split() if "/deploy/debian/" not in line] == []


def test_its_life_in_a_debian_without_network(
    debian: Path,
    package: Path,
    thin: Path,
    install: Callable[[Path], subprocess.CompletedProcess[str]],
    record_property: Callable[[str, object], None],
) -> None:
    """An older version, edited settings, this version, all that it brings, remove, purge."""
    install(thin)
    # Nothing is enabled or started by the package alone.
    assert list((debian / "etc/systemd/system").rglob("*wharfinger*")) == []
    assert not (debian / CONFIG).exists()
    edited = "WHARFINGER_LOG__FORMAT=json\n"
    (debian / DEFAULTS).write_text(edited)
    (debian / CONFIG).write_text('[log]\nlevel = "error"\n')
    data = debian / "var/lib/wharfinger/logstore/day"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text("lines")

    begun = time.monotonic()
    told = install(package)
    record_property("install_seconds", round(time.monotonic() - begun, 1))
    assert "warning" not in told.stderr.lower()
    assert not (debian / "usr/lib/wharfinger/only-of").exists()
    assert (debian / DEFAULTS).read_text() == edited
    for program in PROGRAMS:
        assert inside(debian, program, "--version").stdout == f"{program} {__version__}\n"
    assert 'log.level = "error"' in inside(debian, "registrar", "config").stdout
    sample = inside(debian, "wharfinger", "config", "--sample").stdout
    assert sample == (ROOT / "deploy" / "wharfinger.toml").read_text()
    assert inside(debian, "dpkg", "--audit").stdout == ""
    verified = inside(debian, "dpkg", "--verify", "wharfinger", check=False).stdout
    assert [line.split()[-1] for line in verified.splitlines()] in ([], [f"/{DEFAULTS}"])
    users = inside(debian, "getent", "passwd").stdout
    assert {"_wharfinger-registrar", "_wharfinger-logshipper", "_wharfinger-logstore"} <= {
        line.split(":")[0] for line in users.splitlines()
    }
    _every_library_is_there(debian)
    _a_folder_of_somebody_else_brings_no_code_along(debian)

    inside(debian, "dpkg", "--remove", "wharfinger")
    assert not (debian / "usr/bin/registrar").exists()
    assert not (debian / "usr/lib/wharfinger").exists()
    assert (debian / CONFIG).exists()
    assert (debian / DEFAULTS).read_text() == edited
    install(thin)
    assert (debian / DEFAULTS).read_text() == edited

    told = inside(debian, "dpkg", "--purge", "wharfinger")
    assert "data and logs stay in /var/lib/wharfinger" in told.stderr
    assert not (debian / "etc/wharfinger").exists()
    assert not (debian / DEFAULTS).exists()
    assert data.read_text() == "lines"
    tops = [debian / top for top in ("etc", "usr", "run")]
    assert [each for top in tops for each in top.rglob("*wharf*")] == []


def test_nginx_serves_on_without_the_package(
    debian: Path, thin: Path, install: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    """What discovery has written listens on a socket, whose folder a boot must make."""
    install(thin)
    served = debian / "etc/nginx/conf.d/wharfinger.conf"
    served.parent.mkdir(parents=True, exist_ok=True)
    served.write_text("server { listen unix:/run/wharfinger/nginx/push.sock; }\n")
    for way in ("--remove", "--purge"):
        told = inside(debian, "dpkg", way, "wharfinger")
        assert "serves on by /etc/nginx/conf.d/wharfinger.conf" in told.stderr
        assert (debian / "run/wharfinger/nginx").is_dir()
        shutil.rmtree(debian / "run/wharfinger")
        inside(debian, "systemd-tmpfiles", "--create", "wharfinger-nginx.conf")
        assert (debian / "run/wharfinger/nginx").is_dir()
    install(thin)
    assert not (debian / "etc/tmpfiles.d/wharfinger-nginx.conf").exists()
    served.unlink()


def _every_library_is_there(root: Path) -> None:
    packages = next((root / "usr/lib/wharfinger/lib").iterdir()) / "site-packages"
    ours = ("wharfinger", "registrar", "discovery", "logshipper")
    asked = {
        name.split(".")[0]
        for package in ours
        for file in (packages / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in _imported(node)
    } - {"aiokafka"}  # an optional sink's, which says so itself
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    inside(root, "/usr/lib/wharfinger/bin/python", "-I", "-c", program, *sorted(asked))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def _a_folder_of_somebody_else_brings_no_code_along(root: Path) -> None:
    planted = root / "tmp" / "registrar"
    planted.mkdir()
    (planted / "__init__.py").write_text("raise SystemExit('planted')")
    command = ["sh", "-c", "cd /tmp && registrar --version"]
    told = inside(root, *command, environment=["PYTHONPATH=/tmp"])
    assert told.stdout == f"registrar {__version__}\n"
    shutil.rmtree(planted)


def test_a_debian_without_its_python_is_refused(folder: Path, thin: Path) -> None:
    root = prepared(debian_root(), folder / "root")
    shutil.copy(thin, root / "root" / "wharfinger.deb")
    told = inside(root, "dpkg", "-i", "/root/wharfinger.deb", check=False)
    assert told.returncode == 1
    assert "wharfinger depends on python3" in told.stderr


# Where systemd runs, this one tells what it was asked; `active` holds the units that run.
SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>/root/asked
case "$*" in
    *is-active*) for unit; do :; done; grep -qx "$unit" /root/active ;;
    *is-enabled*) exit 0 ;;
    *start*shipper*) [ ! -e /root/refuse ] ;;
esac
"""


def test_under_systemd_an_upgrade_restarts_what_runs_and_nothing_else_is_started(
    debian: Path, thin: Path, install: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    systemctl = debian / "usr/bin/systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    (debian / "run/systemd/system").mkdir(parents=True)
    active = debian / "root/active"
    active.write_text("wharfinger-registrar.service\nwharfinger-logshipper.service\n")

    # A first installation: there is nothing to be restarted.
    install(thin)
    assert changes(debian) == ["daemon-reload"]
    restarts = [
        "daemon-reload",
        "restart wharfinger-logshipper.service",
        "restart wharfinger-registrar.service",
    ]
    install(thin)
    assert changes(debian) == restarts
    # One that does not come back keeps neither the others nor the package from it.
    (debian / "root/refuse").touch()
    told = install(thin)
    assert "wharfinger-logshipper does not start again" in told.stderr
    assert changes(debian) == restarts

    wants = debian / "etc/systemd/system/wharfinger.target.wants"
    wants.mkdir(parents=True)
    unit = "wharfinger-registrar.service"
    (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")
    inside(debian, "dpkg", "--remove", "wharfinger")
    stopped = " ".join(line for line in changes(debian) if line.startswith("stop"))
    assert stopped.count(".service") == 4
    assert (wants / unit).is_symlink()
    inside(debian, "dpkg", "--purge", "wharfinger")
    assert not (wants / unit).is_symlink()


def changes(root: Path) -> list[str]:
    """What systemd was told to change since it was last looked at."""
    file = root / "root/asked"
    asked = [re.sub("--(system|quiet) ", "", line) for line in file.read_text().splitlines()]
    file.unlink()
    verbs = ("start", "stop", "restart", "enable", "disable", "daemon-reload")
    return [line for line in asked if line.startswith(verbs)]
