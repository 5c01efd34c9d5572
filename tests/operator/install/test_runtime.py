"""The runtime in Docker's daemon.json: put in beside what is there, and out without a trace."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registrar.ports import warmth
from wharfinger.container import parse_info
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.operator.cli import main
from wharfinger.operator.install import runtime as verbs
from wharfinger.operator.install.runtime import Order
from wharfinger.sections import HostConfig

THEIRS = '{\n  "log-driver": "json-file",\n  "runtimes": {"kata": {"path": "/k"}},\n  "x": "é"}'


class Site:
    """A host's files, and what its dockerd says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "docker" / "daemon.json"
        self.file.parent.mkdir()
        self.lib = folder / "lib" / "runtime"
        self.runc = folder / "runc"
        self.runc.write_text("#!/bin/sh\n")
        self.runc.chmod(0o755)
        self.runtimes: dict[str, Any] = {"runc": {"path": str(self.runc)}, "io.containerd.x": {}}
        self.default_runtime = "runc"

    def order(self, **more: Any) -> Order:
        return Order(None, self.file, self.lib, **more)

    def install(self, **more: Any) -> Exit:
        said = {"DockerRootDir": "/data", "DefaultRuntime": self.default_runtime,
                "Runtimes": self.runtimes}  # fmt: skip
        host = HostConfig(state_dir=Path("/state"), runtime_dir=Path("/runtime"))
        return verbs._install(self.order(**more), host, parse_info(said))

    def uninstall(self, *, known: bool = False, **more: Any) -> Exit:
        return verbs._uninstall(self.order(**more), known)

    @property
    def document(self) -> Any:
        return json.loads(self.file.read_text())

    @property
    def settings(self) -> dict[str, str]:
        lines = (self.lib / "settings").read_text().splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_runtime_is_put_beside_what_is_there(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.file.write_text(THEIRS)
    site.file.chmod(0o640)
    site.runtimes["kata"] = {"path": "/k"}
    assert site.install() == Exit.OK
    shown = capsys.readouterr().out
    assert "systemctl reload docker" in shown
    assert "until the registrar has run here once" in shown
    program = str(site.lib / "wharfinger-runtime")
    expected = json.loads(THEIRS)
    expected["runtimes"]["wharfinger"] = {"path": program}
    assert site.document == expected
    assert '\n  "x": "é"' in site.file.read_text()
    assert site.file.stat().st_mode & 0o777 == 0o640
    assert os.access(program, os.X_OK)
    assert site.settings["runc"] == str(site.runc)
    assert site.settings["data_root"] == "/data"
    assert site.settings["table"] == "/state/registrar/ports"
    assert site.settings["socket"] == "/runtime/registrar.sock"
    assert site.settings["warm"] == f"/runtime/{warmth.PIPE_NAME}"
    assert Path(site.settings["python"]).is_file()
    assert {each.name for each in site.lib.iterdir()} == {
        "wharfinger-runtime", "create.py", "create.pyc", "stop.py", "stop.pyc", "settings",
        "installed.json",
    }  # fmt: skip


@pytest.mark.parametrize(
    "before", [None, "", "{}", THEIRS, '{"runtimes":{},"default-runtime":"runc"}']
)
@pytest.mark.parametrize("default", [False, True])
def test_out_again_every_byte_is_as_it_was(site: Site, before: str | None, default: bool) -> None:
    if before is not None:
        site.file.write_text(before)
        site.runtimes["kata"] = {}
    if before != THEIRS:
        site.runtimes.pop("kata", None)
    site.install(default=default)
    assert site.document.get("default-runtime") == (
        "wharfinger" if default else json.loads(before or "{}").get("default-runtime")
    )
    again = site.file.read_bytes()
    site.install(default=default)
    assert site.file.read_bytes() == again
    site.uninstall()
    assert (site.file.read_text() if site.file.exists() else None) == before
    assert not site.lib.exists()
    site.uninstall()
    assert (site.file.read_text() if site.file.exists() else None) == before


@pytest.mark.parametrize("record", [True, False])
def test_what_others_changed_since_stays(site: Site, record: bool) -> None:
    site.file.write_text('{"default-runtime": "runc", "debug": false}')
    site.install(default=True)
    changed = site.document | {"debug": True, "mtu": 1400}
    changed["runtimes"]["kata"] = {"path": "/k"}
    site.file.write_text(json.dumps(changed))
    if not record:
        (site.lib / "installed.json").write_text("{}")
    site.uninstall()
    kept = {"debug": True, "mtu": 1400, "runtimes": {"kata": {"path": "/k"}}}
    assert site.document == ({"default-runtime": "runc"} if record else {}) | kept


def test_changed_and_installed_again_it_still_comes_out_whole(site: Site) -> None:
    site.file.write_text("{}")
    site.install()
    site.file.write_text(json.dumps(site.document | {"mtu": 1400}))
    site.install()
    site.install(default=True)
    assert site.document["default-runtime"] == "wharfinger"
    site.uninstall()
    assert site.document == {"mtu": 1400}


def test_what_dockerd_still_knows_is_not_taken_from_under_it(site: Site) -> None:
    site.install(default=True)
    site.uninstall(known=True)
    assert not site.file.exists()
    assert (site.lib / "wharfinger-runtime").exists()
    site.uninstall()
    assert not site.lib.exists()


def test_nothing_of_others_is_removed_with_ours(site: Site) -> None:
    site.install()
    (site.lib / "theirs").touch()
    document = site.document
    document["runtimes"]["wharfinger"]["path"] = "/elsewhere"
    site.file.write_text(json.dumps(document))
    site.uninstall()
    assert site.document == document
    assert [each.name for each in site.lib.iterdir()] == ["theirs"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "no JSON object"),
        ('{"runtimes": []}', "'runtimes' is no JSON object"),
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
        ('{"runtimes": {"wharfinger": {"path": "/other"}}}', "another runtime of the name"),
        (b"\xff\xfe", "not valid JSON"),
        ('{"a": "\\ud800"}', "not valid JSON"),
        ('{"a": 1e999}', "not valid JSON"),
    ],
)
def test_a_file_that_leaves_no_room_is_left_as_it_is(
    site: Site, text: str | bytes, why: str
) -> None:
    data = text.encode() if isinstance(text, str) else text
    site.file.write_bytes(data)
    with pytest.raises(Rejected, match=why) as refused:
        site.install()
    assert "nothing was changed" in str(refused.value)
    assert site.file.read_bytes() == data
    assert not site.lib.exists()


def _another_file(site: Site) -> None:
    site.runtimes["kata"] = {"path": "/k"}


def _default_by_flag(site: Site) -> None:
    site.runtimes["kata"] = {"path": "/k"}
    site.default_runtime = "kata"
    site.file.write_text('{"runtimes": {"kata": {"path": "/k"}}}')


def _default_with_arguments(site: Site) -> None:
    site.runtimes["runc"] = {"path": str(site.runc), "runtimeArgs": ["--debug"]}


def _no_runc(site: Site) -> None:
    site.runc.unlink()


def _ourselves(site: Site) -> None:
    site.lib.mkdir(parents=True)
    site.runc.rename(site.lib / "wharfinger-runtime")
    site.runtimes["runc"] = {"path": str(site.lib / "wharfinger-runtime")}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_another_file, "does not name"),
        (_default_by_flag, "--default-runtime"),
        (_default_with_arguments, "no program without arguments"),
        (_no_runc, "is not found"),
        (_ourselves, "is not found"),
    ],
)
def test_an_engine_that_it_does_not_fit_is_refused(
    site: Site, spoil: Callable[[Site], None], why: str
) -> None:
    spoil(site)
    before = site.file.read_bytes() if site.file.exists() else None
    with pytest.raises(Rejected, match=why):
        site.install(default=True)
    assert (site.file.read_bytes() if site.file.exists() else None) == before
    assert not (site.lib / "settings").exists()


def test_a_dry_run_shows_the_difference_and_changes_nothing(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.file.write_text("{}\n")
    site.install(default=True, dry_run=True)
    shown = capsys.readouterr().out
    assert '+    "default-runtime": "wharfinger"' in shown
    assert f"runc={site.runc}" in shown
    assert site.file.read_text() == "{}\n"
    assert not site.lib.exists()
    site.install()
    before = site.file.read_bytes()
    site.uninstall(dry_run=True)
    assert '-    "runtimes": {' in capsys.readouterr().out
    assert site.file.read_bytes() == before
    assert site.lib.exists()


def test_what_stands_in_the_file_drives_no_terminal(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.file.write_text('{\n\t"a": "\x9b2J\u202e"\n}\n')
    site.install(dry_run=True)
    shown = capsys.readouterr().out
    assert "\\u009b2J\\u202e" in shown
    assert "\t" not in shown
    assert all(line.isprintable() for line in shown.splitlines())


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("theirs", [{"mode": 0o777}, {"owner": 65_534}])
def test_a_folder_in_which_others_could_put_programs_is_refused(
    site: Site, above: bool, theirs: dict[str, int]
) -> None:
    site.lib.mkdir(parents=True)
    spoilt = site.lib.parent if above else site.lib
    spoilt.chmod(theirs.get("mode", 0o755))
    os.chown(spoilt, theirs.get("owner", -1), -1)
    with pytest.raises(Unavailable, match=f"{spoilt}: its owner or others") as refused:
        site.install()
    assert "--lib-dir" in str(refused.value)
    assert not list(site.lib.iterdir())
    assert not site.file.exists()
    spoilt.chmod(0o775 if above else 0o755)  # Debian's /usr/local
    os.chown(spoilt, 0, -1)
    site.install()


def test_the_folder_can_be_installed_to_again_whatever_the_umask(site: Site) -> None:
    before = os.umask(0o002)
    try:
        site.install()
        site.install(default=True)
    finally:
        os.umask(before)
    assert site.lib.stat().st_mode & 0o777 == 0o755


def test_a_planted_link_is_replaced_and_not_followed(site: Site) -> None:
    site.lib.mkdir(parents=True)
    precious = site.folder / "precious"
    precious.write_text("x")
    for name in ("create.py", "create.pyc", "stop.pyc", "settings", "wharfinger-runtime"):
        (site.lib / name).symlink_to(precious)
    site.install()
    assert precious.read_text() == "x"
    assert not any(each.is_symlink() for each in site.lib.iterdir())


def test_an_operators_own_link_stays_one(site: Site) -> None:
    real = site.folder / "real.json"
    real.write_text("{}")
    site.file.symlink_to(real)
    site.install()
    assert site.file.is_symlink()
    assert "runtimes" in json.loads(real.read_text())


def test_a_folder_that_cannot_be_written_is_named(site: Site) -> None:
    site.lib.parent.write_text("no folder")
    with pytest.raises(Unavailable, match="lib"):
        site.install()
    assert not site.file.exists()


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_without_an_answer_of_dockerd_nothing_is_done(
    site: Site, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHARFINGER_DOCKER__URL", f"unix://{site.folder}/none.sock")
    paths = ["--daemon-json", str(site.file), "--lib-dir", str(site.lib)]
    with pytest.raises(SystemExit) as left:
        main([verb, "--runtime", *paths])
    assert left.value.code == Exit.UNAVAILABLE
    assert "none.sock" in capsys.readouterr().err
    assert not site.file.exists()
    assert not site.lib.exists()
    if verb == "uninstall":
        site.install()
        with pytest.raises(SystemExit) as left:
            main([verb, "--runtime", "--force", *paths])
        assert left.value.code == Exit.OK
        assert not site.lib.exists()


def test_what_is_to_be_installed_must_be_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["install", "--root", str(tmp_path)])
    assert left.value.code == Exit.USAGE
    assert "--role host, edge, store, all" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
