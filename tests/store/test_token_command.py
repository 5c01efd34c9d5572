"""`logstore token`: shown once, kept as a digest, beside what is there."""

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from logshipper.store import tokencommand
from logshipper.store.access import tokens
from logshipper.store.cli import COMMAND
from wharfinger.cli import run
from wharfinger.errors import ConfigError, Exit, Rejected

WHERE = "logstore.read_token_file"


def logstore(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(COMMAND, arguments)
    return int(ended.value.code or 0)


@pytest.mark.parametrize("may", ["read", "write"])
def test_shown_once_kept_as_a_digest(
    may: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens"
    key = "read" if may == "read" else "ingest"
    flags = ("--set", f"logstore.{key}_token_file={path}")
    assert logstore(*flags, "token", may, "--tenant", "team-a", "--name", "grafana") == 0
    token = capsys.readouterr().out.strip()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    text = path.read_text()
    assert token not in text
    assert text == f"sha256:{sha256(token.encode()).hexdigest()} team-a name=grafana\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = tokens.load(path, WHERE).find(tokens.digests(f"Bearer {token}"))
    assert found is not None
    assert (found.tenant, found.name) == ("team-a", "grafana")
    assert logstore(*flags, "token", may) == 0
    assert capsys.readouterr().out.strip() != token
    assert len(path.read_text().splitlines()) == 2


def test_no_file_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert logstore("token", "read") == Exit.CONFIG
    said = capsys.readouterr()
    assert "read_token_file" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("token",),
        ("token", "all"),
        ("token", "read", "--tenant", "../x"),
        ("token", "read", "--name", "a b"),
        ("token", "read", "--name", "#"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert logstore("--set", f"{WHERE}={tmp_path / 'tokens'}", *arguments) == Exit.USAGE
    assert not (tmp_path / "tokens").exists()


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("# who may\nplain-token-1 default ops")  # without a newline at the end
    real.chmod(0o640)
    os.chown(real, 4_711, 4_712)
    link.symlink_to(real)
    tokencommand.add(link, WHERE, "another-token", "default", "")
    assert link.is_symlink()
    lines = real.read_text().splitlines()
    assert lines[:2] == ["# who may", "plain-token-1 default ops"]
    found = real.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4_711, 4_712, 0o640)
    assert len(tokens.load(real, WHERE).known) == 2
    with pytest.raises(Rejected, match="ops"):
        tokencommand.add(link, WHERE, "yet-another-token", "default", "ops")
    assert real.read_text().splitlines() == lines


@pytest.mark.parametrize("content", [b"short\n", b"\xff\xfe\n", b"a-good-token ../x\n"])
def test_a_file_with_a_mistake_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="read_token_file"):
        tokencommand.add(path, WHERE, "another-token", "default", "")
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        tokencommand.add(tmp_path / "none" / "tokens", WHERE, "a-token-1", "default", "")


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    def add(number: int) -> None:
        tokencommand.add(tmp_path / "tokens", WHERE, f"token-{number:05}", "default", f"n{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(tokens.load(tmp_path / "tokens", WHERE).known) == 40
