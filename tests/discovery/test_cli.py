"""The command as somebody at a terminal meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from discovery import cli
from discovery.config import Config, DiscoveryConfig
from wharfinger.sections import EtcdConfig


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


async def test_offline_templates_are_looked_at_and_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "conf.d/a.toml").write_text(
        f'[template]\nsrc = "a.j2"\ndest = "{tmp_path}/none/a"\ncheck_cmd = "no-such-program"\n'
    )
    (tmp_path / "templates/a.j2").write_text("{{ services }}")
    config = Config(
        etcd=EtcdConfig(endpoints=("127.0.0.1:1",)), discovery=DiscoveryConfig(confdir=tmp_path)
    )
    assert list(cli.offline(config)) == []
    (tmp_path / "templates/a.j2").write_text("{{ services")
    (found,) = cli.offline(config)
    assert found.fix == "mend the template"
    (tmp_path / "conf.d/a.toml").write_text("[template]\n")
    assert "src" in str(cli.offline(config)[0])
