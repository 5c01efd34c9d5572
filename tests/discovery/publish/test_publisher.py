"""Swapping, checking, reloading and going back, with small commands in place of a server."""

import asyncio
import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from discovery.publish import lastgood
from discovery.publish.publisher import Change, Outcome, Publisher, Reader
from discovery.resources.resources import Resource
from discovery.resources.views import Rendered
from wharfinger.errors import Rejected, Unavailable
from wharfinger.operator.parts.process import until


def resource(folder: Path, name: str = "app", **more: object) -> Resource:
    return Resource(name=name, template=folder / "t.j2", dest=folder / f"{name}.conf", **more)  # type: ignore[arg-type]


def publisher(folder: Path, reader: Reader | None = None) -> Publisher:
    return Publisher(folder / "state", lambda _resource: reader)


async def ready(folder: Path, reader: Reader | None = None) -> Publisher:
    made = publisher(folder, reader)
    await made.recover()
    return made


async def publish(made: Publisher, what: Resource, content: str) -> Outcome:
    (outcome,) = await made.publish([Change(what, Rendered(content.encode()))])
    return outcome


def left(folder: Path) -> list[str]:
    """What a publish must not leave behind."""
    return [p.name for p in folder.iterdir() if p.suffix in {".staged", ".before"}] + [
        p.name for p in (folder / "state").glob("journal*")
    ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_new_file_is_swapped_in_and_reloaded_once(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path, reload_cmd=f"sh -c 'echo x >> {tmp_path}/reloads'")
    assert (await publish(made, what, "one")).error is None
    assert what.dest.read_text() == "one"
    assert stat.S_IMODE(what.dest.stat().st_mode) == 0o644
    assert (tmp_path / "reloads").read_text() == "x\n"
    assert not left(tmp_path)


async def test_what_is_equal_differs_in_nothing(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path)
    change = Change(what, Rendered(b"one"))
    assert made.differs(change)
    await made.publish([change])
    assert not made.differs(change)
    what.dest.write_text("drifted")
    assert made.differs(change)


async def test_owner_and_mode_are_kept_or_set(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path)
    what.dest.write_text("before")
    what.dest.chmod(0o600)
    await publish(made, what, "one")
    assert stat.S_IMODE(what.dest.stat().st_mode) == 0o600
    told = resource(tmp_path, mode=0o640, gid=os.getegid())
    assert made.differs(Change(told, Rendered(b"one")))
    await publish(made, told, "one")
    assert stat.S_IMODE(what.dest.stat().st_mode) == 0o640


async def test_a_check_of_the_staged_file_runs_before_the_swap(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path, check_cmd="grep -q good {{ .src }}")
    assert (await publish(made, what, "good 1")).error is None
    outcome = await publish(made, what, "bad")
    assert isinstance(outcome.error, Rejected)
    assert outcome.commands[0].code == 1
    assert what.dest.read_text() == "good 1"
    assert (await publish(made, what, "good 2")).error is None
    assert what.dest.read_text() == "good 2"
    assert not left(tmp_path)


async def test_a_check_in_place_that_fails_puts_the_file_back(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    reloads = tmp_path / "reloads"
    what = resource(
        tmp_path,
        check_cmd=f"grep -q good {tmp_path}/app.conf",
        reload_cmd=f"sh -c 'echo x >> {reloads}'",
    )
    await publish(made, what, "good 1")
    outcome = await publish(made, what, "bad")
    assert outcome.error is not None
    assert not outcome.swapped
    assert what.dest.read_text() == "good 1"
    assert reloads.read_text() == "x\n"
    assert not left(tmp_path)


async def test_a_first_file_that_fails_leaves_none(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path, check_cmd="false")
    assert (await publish(made, what, "bad")).error is not None
    assert not what.dest.exists()


async def test_a_failed_reload_puts_the_file_back_and_reloads_again(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    seen = tmp_path / "seen"
    script = f"cat {{{{.dest}}}} >> {seen}; grep -q good {{{{.dest}}}}"
    what = resource(tmp_path, reload_cmd=f"sh -c '{script}'")
    await publish(made, what, "good 1\n")
    outcome = await publish(made, what, "bad\n")
    assert outcome.error is not None
    assert what.dest.read_text() == "good 1\n"
    assert seen.read_text() == "good 1\nbad\ngood 1\n"
    assert (await publish(made, what, "good 2\n")).error is None


async def test_a_hung_check_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! > {pids}; wait"
    what = resource(tmp_path, check_cmd=f"sh -c '{script}'", check_timeout_seconds=0.5)
    outcome = await publish(made, what, "one")
    assert outcome.error is not None
    assert "not done after" in str(outcome.error)
    child = Path("/proc") / pids.read_text().strip()

    async def ended() -> bool:
        return not child.exists() or "Z" in (child / "stat").read_text().rpartition(")")[2][:3]

    await until(ended, timeout_seconds=10, what="the command's child ends")
    assert not what.dest.exists()


class Asked:
    """A reader that answers as it is told."""

    def __init__(self, error: Exception | None = None, *, runs: bool = True) -> None:
        self.error, self.runs = error, runs
        self.confirmed: list[Rendered] = []

    async def confirm(self, rendered: Rendered, began: float) -> None:
        self.confirmed.append(rendered)
        if self.error:
            raise self.error

    async def running(self) -> bool:
        return self.runs


async def test_what_does_not_serve_is_put_back(tmp_path: Path) -> None:
    asked = Asked()
    made = await ready(tmp_path, asked)
    what = resource(tmp_path, reload_cmd="true")
    await publish(made, what, "one")
    asked.error = Rejected("old workers answer")
    outcome = await publish(made, what, "two")
    assert outcome.error is asked.error
    assert what.dest.read_text() == "one"


async def test_a_good_file_waits_for_a_server_that_does_not_run(tmp_path: Path) -> None:
    made = await ready(tmp_path, Asked(runs=False))
    what = resource(tmp_path, check_cmd="true", reload_cmd="false")
    outcome = await publish(made, what, "one")
    assert isinstance(outcome.error, Unavailable)
    assert outcome.swapped
    assert what.dest.read_text() == "one"
    assert not left(tmp_path)


async def test_a_crash_in_a_check_is_mended_at_the_next_start(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path)
    await publish(made, what, "good")
    hung = resource(tmp_path, check_cmd="sleep 600")
    task = asyncio.create_task(publish(made, hung, "bad"))

    async def swapped() -> bool:
        return what.dest.read_text() == "bad"

    await until(swapped, timeout_seconds=10, what="the file is swapped")
    # As after a kill -9: nothing of the first publisher runs on, its journal is there.
    again = publisher(tmp_path)
    assert await again.recover() == ("app",)
    assert what.dest.read_text() == "good"
    assert again.differs(Change(what, Rendered(b"good")))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_stop_in_a_check_puts_the_file_back(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path)
    await publish(made, what, "good")
    hung = resource(tmp_path, check_cmd="sleep 600")
    task = asyncio.create_task(publish(made, hung, "bad"))

    async def swapped() -> bool:
        return what.dest.read_text() == "bad"

    await until(swapped, timeout_seconds=10, what="the file is swapped")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert what.dest.read_text() == "good"
    assert not left(tmp_path)


async def test_one_reload_for_a_set_and_one_bad_resource_holds_no_other(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    reload_cmd = f"sh -c 'echo x >> {tmp_path}/reloads'"
    a = resource(tmp_path, "a", reload_cmd=reload_cmd)
    b = resource(tmp_path, "b", reload_cmd=reload_cmd, check_cmd="grep -q good {{.src}}")

    async def both(content: str) -> dict[str, bool]:
        changes = [Change(what, Rendered(content.encode())) for what in (a, b)]
        return {o.resource: o.error is None for o in await made.publish(changes)}

    assert await both("good") == {"a": True, "b": True}
    assert (tmp_path / "reloads").read_text() == "x\n"
    assert await both("evil") == {"a": True, "b": False}
    assert (a.dest.read_text(), b.dest.read_text()) == ("evil", "good")


async def test_folders_and_backups_are_made_where_asked(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    plain = Resource("deep", tmp_path / "t.j2", tmp_path / "x" / "y" / "f")
    assert (await publish(made, plain, "one")).error is not None
    what = Resource("deep", tmp_path / "t.j2", plain.dest, mkdir=True, backup=True)
    assert (await publish(made, what, "one")).error is None
    assert (await publish(made, what, "two")).error is None
    assert plain.dest.with_name("f.bak").read_text() == "one"


async def test_a_secret_is_readable_to_nobody_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path, mode=0o600, backup=True)
    seen = set[int]()

    def looked(descriptor: int, mode: int) -> None:
        # The content is written by now: whoever has opened the file may read it.
        seen.add(os.fstat(descriptor).st_mode & 0o077)
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)

    leftover = tmp_path / ".app.conf.staged"
    precious = tmp_path / "precious"
    precious.write_text("precious")
    os.link(precious, leftover)
    monkeypatch.setattr(os, "fchmod", looked)
    monkeypatch.setattr(os, "link", _no_links)
    for secret in ("one", "two"):
        assert (await publish(made, what, secret)).error is None
    assert seen == {0}
    assert precious.read_text() == "precious"
    backup = what.dest.with_name("app.conf.bak")
    assert (backup.read_text(), stat.S_IMODE(backup.stat().st_mode)) == ("one", 0o600)


def _no_links(source: Path, _link: Path, *, follow_symlinks: bool) -> None:
    assert source.exists()
    assert not follow_symlinks
    raise OSError(errno.EPERM, "this file system has no links")


async def test_a_state_folder_that_is_cleaned_up_is_made_anew(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path)
    assert (await publish(made, what, "one")).error is None
    shutil.rmtree(tmp_path / "state")
    assert (await publish(made, what, "two")).error is None
    assert what.dest.read_text() == "two"
    lost = resource(tmp_path / "gone")
    why = [str((await publish(made, lost, "x")).error) for _ in range(2)]
    assert why == [f"{tmp_path}/gone cannot be written: No such file or directory"] * 2


async def test_a_start_that_cannot_put_back_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    with pytest.raises(Unavailable, match="cannot be put back"):
        await publisher(tmp_path).recover()


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff", b"[1]"])
async def test_a_journal_that_is_none_stops_nothing(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.json").write_bytes(garbage)
    assert await publisher(tmp_path).recover() == ()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.real
async def test_on_a_full_disk_the_old_file_stays(tmp_path: Path, small_disk: Path) -> None:
    made = await ready(tmp_path)
    good, grown, huge = "good" * 4000, "grown" * 4000, "huge!" * 40_000
    what = resource(small_disk)
    assert (await publish(made, what, good)).error is None
    assert "No space" in str((await publish(made, what, huge)).error)
    assert what.dest.read_text() == good
    # The check fills the disk and fails: to go back must need no space.
    fill = f"sh -c 'dd if=/dev/zero of={small_disk}/fill bs=1k; exit 1'"
    assert (await publish(made, resource(small_disk, check_cmd=fill), grown)).error is not None
    assert what.dest.read_text() == good
    (small_disk / "fill").unlink()
    assert (await publish(made, what, grown)).error is None
    assert names(small_disk) == ["app.conf"]


async def test_going_back_restores_what_served_not_what_was_edited(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path)
    await publish(made, what, "good")
    what.dest.write_text("edited by hand")
    assert (await publish(made, resource(tmp_path, check_cmd="false"), "bad")).error is not None
    assert what.dest.read_text() == "good"


def _link_to_no_end(dest: Path) -> None:
    dest.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "put", [os.mkfifo, os.mkdir, _link_to_no_end, lambda dest: dest.symlink_to(dest)]
)
async def test_what_is_no_file_is_not_read_and_gives_way(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path, check_cmd=f"grep -q good {tmp_path}/app.conf")
    put(what.dest)
    assert made.differs(Change(what, Rendered(b"bad")))
    # Nothing was there that could be put back.
    assert (await publish(made, what, "bad")).error is not None
    assert not what.dest.exists()
    assert (await publish(made, what, "good")).error is None
    what.dest.unlink()
    put(what.dest)
    assert made.differs(Change(what, Rendered(b"good")))
    assert (await publish(made, what, "bad")).error is not None
    assert what.dest.read_text() == "good"
    assert stat.S_IMODE(what.dest.stat().st_mode) == 0o644
    assert not left(tmp_path)


async def test_a_folder_that_holds_something_stays_and_is_named(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what = resource(tmp_path)
    (what.dest / "precious").mkdir(parents=True)
    outcome = await publish(made, what, "one")
    assert str(outcome.error) == f"{what.dest} cannot be written: Directory not empty"
    assert (what.dest / "precious").is_dir()


async def test_a_link_to_the_same_content_is_none_of_ours(tmp_path: Path) -> None:
    made = await ready(tmp_path)
    what, elsewhere = resource(tmp_path), tmp_path / "elsewhere"
    elsewhere.write_text("one")
    what.dest.symlink_to(elsewhere)
    assert made.differs(Change(what, Rendered(b"one")))
    assert (await publish(made, what, "one")).error is None
    assert not what.dest.is_symlink()
    assert elsewhere.read_text() == "one"


async def test_one_that_cannot_be_put_back_holds_no_other(tmp_path: Path) -> None:
    await ready(tmp_path)
    folder = tmp_path / "etc"
    folder.mkdir()
    told = {"check_cmd": f"grep -q good {folder}/app.conf"}
    what = resource(folder, **told)
    # As a crash in the very first check leaves it: swapped, noted, not confirmed.
    what.dest.write_text("bad")
    (tmp_path / "state" / "journal-app.json").write_text(
        f'[{{"resource": "app", "dest": "{what.dest}", "existed": false}}]'
    )
    folder.rename(tmp_path / "away")
    folder.write_text("no folder")
    again = publisher(tmp_path)
    assert await again.recover() == ()
    assert (await publish(again, resource(tmp_path, "other"), "x")).error is None
    assert "cannot be written" in str((await publish(again, what, "good")).error)
    folder.unlink()
    (tmp_path / "away").rename(folder)
    # What was never confirmed must not become what is gone back to.
    assert (await publish(again, what, "worse")).error is not None
    assert not what.dest.exists()
    assert (await publish(again, what, "good")).error is None
    assert not left(folder.parent)


async def test_what_serves_and_cannot_be_kept_is_still_what_to_go_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, write = [False], lastgood.write_atomically

    def written(path: Path, data: bytes, *, mode: int) -> None:
        if full[0] and path.parent.name == "good":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data, mode=mode)

    monkeypatch.setattr(lastgood, "write_atomically", written)
    made = await ready(tmp_path)
    what = resource(tmp_path, check_cmd=f"sh -c '! grep bad {tmp_path}/app.conf'")
    assert (await publish(made, what, "one")).error is None
    full[0] = True
    outcome = await publish(made, what, "two")
    assert isinstance(outcome.error, Unavailable)
    assert (outcome.swapped, what.dest.read_text()) == (True, "two")
    assert (await publish(made, what, "bad")).error is not None
    assert what.dest.read_text() == "two"
    assert made.differs(Change(what, Rendered(b"two"))), "it is tried again"
    full[0] = False
    assert (await publish(made, what, "two")).error is None
    assert not made.differs(Change(what, Rendered(b"two")))
    assert not left(tmp_path)
    assert (tmp_path / "state" / "good" / "app").read_text() == "two"
