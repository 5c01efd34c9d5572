"""Every sink of the README can be pasted as it stands."""

import re
from pathlib import Path

import pytest

from logshipper.config import Config
from logshipper.sinkconfig import AnySink
from wharfinger.config import load
from wharfinger.schema import tag

README = Path(__file__).parents[2] / "logshipper" / "README.md"
SECTION = re.search(
    r"^## Where logs go\n(.*?)(?:^## |\Z)", README.read_text(), re.DOTALL | re.MULTILINE
)
assert SECTION is not None
BLOCKS = re.findall(r"^```toml\n(.*?)^```", SECTION[1], re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_a_configuration(tmp_path: Path, block: str) -> None:
    path = tmp_path / "wharfinger.toml"
    path.write_text(block)
    assert load(Config, path=path, environment={}).value.logshipper.sinks


def test_together_they_show_every_type(tmp_path: Path) -> None:
    path = tmp_path / "wharfinger.toml"
    path.write_text("\n".join(BLOCKS))
    sinks = load(Config, path=path, environment={}).value.logshipper.sinks
    assert {sink.type for sink in sinks} == {tag(kind) for kind in AnySink.__args__}  # type: ignore[attr-defined]
