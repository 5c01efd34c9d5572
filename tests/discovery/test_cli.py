"""The command as somebody at a terminal meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [(True, "\\u001b[2Jgone"), (False, "\x1b[2Jgone")],
    ids=["terminal", "pipe"],
)
def test_a_difference_drives_no_terminal(tmp_path: Path, terminal: bool, shown: str) -> None:
    confdir = tmp_path / "confd"
    (confdir / "conf.d").mkdir(parents=True)
    (confdir / "templates").mkdir()
    (confdir / "conf.d" / "app.toml").write_text(
        f'[template]\nsrc = "app.tmpl"\ndest = "{tmp_path}/app.conf"\nkeys = ["/app"]\n'
    )
    (confdir / "templates" / "app.tmpl").write_text('{{getv "/app/name"}}\n')
    (tmp_path / "data.json").write_text(json.dumps({"/app/name": "\x1b[2Jgone"}))
    command = [sys.executable, "-m", "discovery", "run", "--dry-run", "--confdir", str(confdir)]
    master, slave = os.openpty()
    try:
        ran = subprocess.run(
            [*command, "--data", str(tmp_path / "data.json")],
            stdout=slave if terminal else subprocess.PIPE,
            timeout=60,
            check=False,
        )
        printed = os.read(master, 65536) if terminal else ran.stdout
    finally:
        os.close(master)
        os.close(slave)
    assert ran.returncode == 0
    assert f"+{shown}" in printed.decode()
    assert not (tmp_path / "app.conf").exists()
