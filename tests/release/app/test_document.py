"""The page about wharf.yaml names every key, and its example is one."""

import re
from pathlib import Path

import pytest

from deploy.release.app import fields
from deploy.release.app.kinds import Field
from deploy.release.app.parsing import parse
from deploy.release.render.difference import differences

TEXT = (Path(__file__).parents[3] / "deploy/release/wharf.md").read_text(encoding="utf-8")
BLOCKS = {
    "build": fields.BUILD,
    "port": fields.PORT,
    "health": fields.HEALTH,
    "serve": fields.SERVE,
    "resources": fields.RESOURCES,
    "rollout": fields.ROLLOUT,
    "autoscale": fields.AUTOSCALE,
}


@pytest.mark.parametrize("table", [fields.TOP, fields.ENVIRONMENT], ids=["app", "environment"])
def test_every_key_is_named(table: dict[str, Field]) -> None:
    for key in table:
        names = [f"{key}.{each}" for each in BLOCKS[key]] if key in BLOCKS else [key]
        for name in names:
            assert re.search(rf"^\| .*`{re.escape(name)}`.* \|", TEXT, re.MULTILINE), name


def test_the_example_is_read_and_its_mirror_is_one() -> None:
    match = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert match
    app = parse(match[1])
    told = differences(app, app.environments["pre"], app.environments["production"])
    assert all(each.allowed for each in told)
