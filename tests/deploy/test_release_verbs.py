"""The verbs of `deploy` that ask nobody: init, schema, render, diff, report --dry-run; usage."""

import json
from pathlib import Path

import pytest

from deploy.release import cli
from wharfinger.errors import Exit, WharfingerError

WHARF = """\
app: shop
image: reg.example:5000/shop
build: {layer: nginx, context: .}
environments:
  pre:         {engine: swarm, mirrors: production, replicas: 1}
  production:  {engine: swarm, replicas: 3}
  old:         {engine: rancher, replicas: 2}
"""
PASSED = '<testsuites><testsuite name="u"><testcase name="a"/></testsuite></testsuites>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wharf.yaml").write_text(WHARF)
    return tmp_path


async def deploy(*arguments: str | Path) -> Exit:
    return await cli.told(cli.command_line().parse_args([str(each) for each in arguments]))


async def test_render_writes_the_files_of_the_engine(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await deploy("render", "production", "--offline", "--file", folder) == 0
    assert "reg.example:5000/shop@sha256:" in capsys.readouterr().out
    out = folder / "out"
    assert await deploy("render", "old", "--offline", "--out", out, "--file", folder) == 0
    names = sorted(each.name for each in out.iterdir())
    assert names == ["docker-compose.yml", "rancher-compose.flags", "rancher-compose.yml"]
    assert capsys.readouterr().out.splitlines()[0].startswith(str(out))
    assert await deploy("render", "old", "--offline", "--json", "--file", folder) == 0
    assert sorted(json.loads(capsys.readouterr().out)["files"]) == names
    assert await deploy("render", "old", "--offline", "--file", folder) == 0
    assert "# rancher-compose.yml\n" in capsys.readouterr().out


async def test_render_into_what_is_no_folder_is_said(folder: Path) -> None:
    wharf = folder / "wharf.yaml"
    with pytest.raises(WharfingerError, match="File exists"):
        await deploy("render", "old", "--offline", "--out", wharf, "--file", wharf)


async def test_diff_tells_what_may_differ_from_what_may_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await deploy("diff", "pre", "production", "--file", folder) == 0
    assert "how many may differ" in capsys.readouterr().out
    assert await deploy("diff", "old", "production", "--json", "--file", folder) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert "engine" in {each["where"] for each in told["differences"]}


async def test_init_begins_an_application_that_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text("hello")
    named = ("--name", "shop", "--image", "reg.example:5000/shop")
    assert await deploy("init", tmp_path, *named) == 0
    assert str(tmp_path / "wharf.yaml") in capsys.readouterr().out
    assert await deploy("render", "production", "--offline", "--file", tmp_path) == 0
    with pytest.raises(WharfingerError, match="is there already"):
        await deploy("init", tmp_path)


async def test_schema_is_one_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert await deploy("schema") == 0
    assert "properties" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "code"), [(PASSED, 0), (PASSED.replace("/></", "><skipped/></testcase></"), 1)]
)
async def test_a_report_is_judged_without_anybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(text)
    assert await deploy("report", "unit", file, "--dry-run", "--json", "--by", "ann") == code
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["check"], told["by"]) == (code == 0, "unit", "ann")


async def test_a_report_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "unit.xml"
    file.write_text("Traceback")
    with pytest.raises(WharfingerError, match=r"unit\.xml: it is neither XML nor whole JSON"):
        await deploy("report", "unit", file, "--dry-run")


async def test_who_tells_nobody_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await deploy("init", tmp_path, "--name", "shop", "--image", "reg.example:5000/shop") == 0
    config = tmp_path / "wharfinger.toml"
    config.write_text("")
    assert await deploy("notify", "failed", "--file", tmp_path, "--config", config) == 0
    assert "nobody is told: [deploy.notify]" in capsys.readouterr().out


async def test_a_failure_is_a_result_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WharfingerError):
        await deploy("diff", "a", "b", "--json", "--file", tmp_path / "none.yaml")
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["exit"]) == (False, 78)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["upp", "pre"],
        ["up"],
        ["up", "pre", "--wait", "-1"],
        ["up", "pre", "--wait", "soon"],
        ["scale", "pre", "many"],
        ["history", "--limit", "0"],
        ["rollback", "pre", "r0"],
        ["promote", "pre"],
        ["--config", "x", "schema"],
    ],
)
def test_a_wrong_use_exits_64(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 64


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("deploy ")
