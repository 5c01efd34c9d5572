"""`logstore days|check --data|repair|export|import|backup|restore`: what they say and end with."""

import json
import os
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from logshipper.store import cli
from logshipper.store.engine.folder import Folder
from tests.store import damage
from tests.store.damage import sql, zeroed
from wharfinger import lock
from wharfinger.cli import run

LINES = 1_200


@pytest.fixture
def data(tmp_path: Path) -> Path:
    damage.write(tmp_path / "data/default" / damage.NAME, LINES)
    damage.write(tmp_path / "data/other" / damage.NAME, 50)
    return tmp_path / "data"


class Command:
    """Runs `logstore` in this process."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        settings = (f"data_dir={self.data}", "min_free_bytes=0", "retention_days=3650")
        given = [part for each in settings for part in ("--set", f"logstore.{each}")]
        with pytest.raises(SystemExit) as ended:
            run(cli.COMMAND, [*given, *arguments])
        told = self._capsys.readouterr()
        assert ended.value.code == code, told
        return told.out + told.err


@pytest.fixture
def logstore(data: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(data, capsys)


def test_days_are_listed_and_one_that_cannot_be_read_is_named(logstore: Command) -> None:
    told = logstore("days")
    assert "2 day files, 1,250 lines" in told
    assert "default  2026-11-23  1,200" in told
    (day,) = json.loads(logstore("days", "other", "--json"))["days"]
    assert (day["lines"], day["levels"]) == (50, {"info": 40, "error": 10})
    zeroed(1)(logstore.data / "other" / damage.NAME)
    assert "file is not a database" in logstore("days", code=78)


def test_a_check_looks_at_what_it_is_asked_to(logstore: Command) -> None:
    path = logstore.data / "other" / damage.NAME
    sql("UPDATE block SET count = 7")(path)
    assert "nothing wrong found" in logstore("check", "--data", "default")
    assert "nothing wrong found" in logstore("check", "--data", "default", "2026-11-23", "--quick")
    told = logstore("check", "--data", "--json", code=78)
    (finding,) = json.loads(told)["findings"]
    assert finding["where"] == f"{path}, block 0"
    assert "logstore repair other 2026-11-23" in finding["fix"]
    assert f"{path}, block 0: its summary" in logstore("check", "--data", str(path), code=78)


def test_a_log_without_its_file_is_found(logstore: Command) -> None:
    log = logstore.data / "other/2026-11-22.db-wal"
    log.write_bytes(b"lines")
    assert f"{log}: is without its day file" in logstore("check", "--data", code=78)


def test_a_repair_tells_programs_the_same(logstore: Command) -> None:
    sql("UPDATE block SET body = zeroblob(9) WHERE id = 0")(logstore.data / "default" / damage.NAME)
    planned = json.loads(logstore("repair", "--dry-run", "--json"))
    assert planned["dry_run"] is True
    broken, sound = planned["repairs"]
    assert (broken["kept_lines"], broken["lost_lines"], broken["exact"]) == (200, 1000, True)
    assert broken["gaps"][0]["number"] == 0
    assert broken["lost_between"][0]["first"] == "2026-11-23T00:00Z"
    assert "kept_lines" not in sound
    assert "have kept" not in logstore("days")
    assert "200 lines kept, 1,000 lost" in logstore("repair")
    assert "1 file that repairs and restores have kept" in logstore("days")
    assert "nothing is wrong with it" in logstore("repair", "default")


def test_a_repair_that_was_interrupted_is_ended_first(logstore: Command) -> None:
    path = logstore.data / "other" / damage.NAME
    kept, staged = (path.with_name(f"{path.name}.{each}-T") for each in ("damaged", "repaired"))
    staged.hardlink_to(path)
    path.rename(kept)
    assert "default 2026-11-23: nothing" in logstore("repair")
    assert path.exists()
    assert not staged.exists()


def test_lines_go_out_and_come_in_again(
    logstore: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.ndjson.gz"
    assert "1,200 lines" in logstore("export", "-o", str(file))
    standard = TextIOWrapper(BytesIO())
    monkeypatch.setattr(sys, "stdout", standard)
    logstore("export", "--app", "app1", "--level", "error", "--from", "2026-11-23T00:05:00Z")
    lines = [json.loads(line) for line in standard.buffer.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert {(line["app"], line["level"]) for line in lines} == {("app1", "error")}
    assert len(lines) == 40
    monkeypatch.undo()
    assert "0 new, 1,200 known, 0 bad" in logstore("import", str(file))
    assert "1,200 new, 0 known, 0 bad" in logstore("import", str(file), "--tenant", "third")
    assert "1,200 lines" in logstore("days", "third")
    assert "nothing wrong found" in logstore("check", "--data")
    (tmp_path / "bad").write_text('{"message":"x"}\nbad\n\n{"message":"y"}\n')
    told = logstore("import", str(tmp_path / "bad"), code=64)
    assert "line 2 is not JSON" in told
    assert "2 new, 0 known, 1 bad" in told
    old = json.loads(
        logstore("--set", "logstore.retention_days=1", "import", "--json", str(file), code=78)
    )
    assert old["old"] == 1200


def test_with_its_store_running_lines_go_through_that(logstore: Command, tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"message":"x"}\n')
    with lock.held(logstore.data / "lock", "another"):
        told = logstore("import", str(tmp_path / "x"), "--tenant", "other", code=64)
        assert "a token says whose lines they are" in told
        (tmp_path / "tokens").write_text(f"# ours\nsha256:{'0' * 64}\n")
        told = logstore(
            "import", str(tmp_path / "x"), "--token-file", str(tmp_path / "tokens"), code=64
        )
        assert "holds no token but digests" in told
        for verb in (("repair",), ("restore", str(tmp_path / "to"))):
            if verb[0] == "restore":
                logstore("backup", str(tmp_path / "to"))
            assert "is held by 'another" in logstore(*verb, code=69)


def test_a_backup_goes_and_comes_back(logstore: Command, tmp_path: Path) -> None:
    to = str(tmp_path / "to")
    assert "2 days, 1,250 lines" in logstore("backup", to)
    assert json.loads(logstore("backup", to, "--json", "--keep", "1"))["removed"]
    assert "nothing wrong found" in logstore("backup", to, "--verify")
    (logstore.data / "other" / damage.NAME).unlink()
    told = logstore("restore", to)
    assert "default 2026-11-23: is there already" in told
    assert "1 day brought back" in told
    told = logstore("--set", "logstore.retention_days=1", "restore", to, "other", "--replace")
    assert "other 2026-11-23 is older than retention_days" in told
    assert json.loads(logstore("restore", to, "other", "--json"))["present"] == ["other 2026-11-23"]
    zeroed(1)(logstore.data / "other" / damage.NAME)
    assert "NOT in it" in logstore("backup", to, code=69)
    assert "lacks" in logstore("backup", to, "--verify", code=78)


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ("check --quick", 64, "--quick goes with --data"),
        ("check --data nobody", 64, "no tenant 'nobody'; there are: default, other"),
        ("check --data a b c", 64, "name a tenant and a day, or a file"),
        ("days default 2001-01-01", 64, "default has no day '2001-01-01'"),
        ("repair /nowhere/x.db", 64, "/nowhere/x.db is no file"),
        ("export level:loud", 64, "level"),
        ("export --level loud", 64, "level"),
        ("export --from once", 64, "is no time"),
        ("export --tenant nobody", 64, "no tenant 'nobody' has lines here"),
        ("export -o /nowhere/x", 69, "cannot be written"),
        ("import /nowhere/x", 64, "cannot be read"),
        ("import /proc/version", 64, "the first line is no JSON object"),
        ("import --tenant ../x /dev/null", 64, "cannot be a tenant"),
        ("import --url http://127.0.0.1:1 /dev/null", 0, "0 new"),
        ("import --token-file /nowhere/x --url http://127.0.0.1:1 /dev/null", 64, "cannot be read"),
        ("backup /proc/x", 69, "no backup was made"),
        ("backup /nowhere --verify", 64, "holds no backup"),
        ("backup /nowhere --keep 0", 64, "give a number from 1 on"),
        ("restore /nowhere", 64, "holds no backup"),
    ],
)
def test_a_wrong_use_is_refused_and_changes_nothing(
    logstore: Command, arguments: str, code: int, expected: str
) -> None:
    before = sorted(file.day for file in Folder(logstore.data).files())
    assert expected in logstore(*arguments.split(), code=code)
    assert sorted(file.day for file in Folder(logstore.data).files()) == before


def test_who_may_not_look_is_told_so(logstore: Command) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            logstore.data.chmod(0o700)
            os.setgid(65534)
            os.setuid(65534)
            run(cli.COMMAND, ["--set", f"logstore.data_dir={logstore.data}", "days"])
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 69
