"""Folders that somebody hostile may have filled, walked on a real file system."""

import os
import subprocess
from pathlib import Path

import pytest

from logshipper.files import walk as walking
from logshipper.files.places import Place
from logshipper.files.planted import open_below, open_regular, opened_root
from logshipper.files.walk import Walk
from logshipper.globs import parse_globs
from wharfinger.errors import Rejected


def walked(root: Path, *globs: str, at: str = "", beyond: frozenset[str] = frozenset()) -> Walk:
    place = Place(str(root), at, "0" * 16, "c", lasting=False, beyond=beyond)
    walk = Walk()
    walk.into(place, parse_globs(globs)[0])
    walk.close()
    return walk


def paths(walk: Walk) -> set[str]:
    return {found.path for found in walk.files}


def test_links_are_followed_at_no_part_of_the_path(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "logs").mkdir(parents=True)
    (outside / "logs" / "secret.log").write_text("secret\n")
    (root / "real").mkdir(parents=True)
    (root / "real" / "good.log").write_text("good\n")
    (root / "first").symlink_to(outside)
    (root / "real" / "folder").symlink_to(outside / "logs")
    (root / "real" / "file.log").symlink_to(outside / "logs" / "secret.log")
    walk = walked(root, "/first/logs/*.log", "/real/folder/*.log", "/real/*.log", "/**/*.log")
    assert paths(walk) == {"/real/good.log"}
    assert any("link" in why for why in walk.refused)


def test_no_part_of_a_path_that_is_opened_at_once_is_a_link_or_leads_out(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "logs").mkdir(parents=True)
    (root / "real" / "logs").mkdir(parents=True)
    (root / "way").symlink_to(outside)
    (root / "inner").symlink_to(root / "real")
    with opened_root(str(root)) as opened:
        os.close(open_below(opened, "real/logs"))
        for path in ("way/logs", "inner/logs", "real/../../outside/logs", str(outside)):
            with pytest.raises(OSError, match=r"link|Invalid"):
                os.close(open_below(opened, path))
    with pytest.raises(NotADirectoryError), opened_root(str(root / "way" / "logs")):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_what_is_mounted_below_is_not_entered(tmp_path: Path) -> None:
    """It may hang whoever touches it, or be /proc."""
    folder = tmp_path / "logs" / "mounted"
    folder.mkdir(parents=True)
    (tmp_path / "logs" / "a.log").write_text("x\n")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    try:
        (folder / "b.log").write_text("x\n")
        assert paths(walked(tmp_path, "/logs/**/*.log")) == {"/logs/a.log"}
        with (
            opened_root(str(tmp_path)) as root,
            pytest.raises(NotADirectoryError, match="a mount stands on the way"),
        ):
            os.close(open_below(root, "logs/mounted"))
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_root_behind_a_link_is_said(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.log").write_text("x\n")
    (tmp_path / "bind").symlink_to(tmp_path / "real")
    walk = walked(tmp_path / "bind", "/data/*.log", at="/data")
    assert not walk.files
    assert any("through a link" in why for why in walk.refused)
    assert paths(walked(tmp_path / "real", "/data/*.log", at="/data")) == {"/data/a.log"}


def test_only_ordinary_files_with_one_name_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "one.log").write_text("x\n")
    os.link(tmp_path / "one.log", tmp_path / "two.log")
    (tmp_path / "folder.log").mkdir()
    (tmp_path / "link.log").symlink_to("good.log")
    (tmp_path / "good.log").write_text("x\n")
    assert paths(walked(tmp_path, "/*.log")) == {"/good.log"}
    with opened_root(str(tmp_path)) as root:
        for name in ("fifo.log", "one.log", "folder.log", "link.log"):
            with pytest.raises(Rejected):
                open_regular(root, name)
        os.close(open_regular(root, "good.log"))


@pytest.mark.skipif(os.geteuid() != 0, reason="makes devices")
def test_devices_are_not_opened_and_a_whiteout_is_no_file(tmp_path: Path) -> None:
    os.mknod(tmp_path / "gone.log", 0o20600, os.makedev(0, 0))
    os.mknod(tmp_path / "zero.log", 0o20600, os.makedev(1, 5))
    walk = walked(tmp_path, "/*.log")
    assert not walk.files
    assert sum(walk.refused.values()) == 1
    with opened_root(str(tmp_path)) as root:
        with pytest.raises(FileNotFoundError):
            open_regular(root, "gone.log")
        with pytest.raises(Rejected):
            open_regular(root, "zero.log")


def test_names_folders_and_depth_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "MAX_ENTRIES", 50)
    monkeypatch.setattr(walking, "MAX_FOLDERS", 10)
    (tmp_path / "many").mkdir()
    for number in range(200):
        (tmp_path / "many" / f"{number}.log").touch()
    walk = walked(tmp_path, "/many/*.log")
    assert len(walk.files) == 50
    assert any("names" in why for why in walk.refused)
    deep = tmp_path.joinpath("deep", *["d"] * 40)
    deep.mkdir(parents=True)
    (deep / "a.log").touch()
    walk = walked(tmp_path, "/deep/**/*.log")
    assert not walk.files
    assert any("folders" in why for why in walk.refused)


def test_a_folder_that_is_not_listed_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "MAX_ENTRIES", 0)
    (tmp_path / "a.log").touch()
    assert paths(walked(tmp_path, "/a.log")) == {"/a.log"}


def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    for name in (b"bad\xff.log", b"new\nline.log", b"good.log"):
        (Path(os.fsdecode(bytes(tmp_path) + b"/" + name))).touch()
    walk = walked(tmp_path, "/*.log")
    assert paths(walk) == {"/good.log"}
    assert sum(walk.refused.values()) == 2


def test_what_another_mount_hides_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hidden.log").touch()
    (tmp_path / "a.log").touch()
    assert paths(walked(tmp_path, "/**/*.log", beyond=frozenset({"/data"}))) == {"/a.log"}
