"""What a pass would change, shown and not done."""

import json
from pathlib import Path

import pytest

from discovery.config import Config, DiscoveryConfig
from discovery.once import differences
from wharfinger.errors import Exit


@pytest.fixture
def config(tmp_path: Path) -> Config:
    for name in ("conf.d", "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "templates" / "own.j2").write_text('{{ getv("/own") }}\n')
    resource = f'[template]\nsrc = "own.j2"\ndest = "{tmp_path}/dest"\nkeys = ["/own"]\n'
    (tmp_path / "conf.d" / "own.toml").write_text(resource)
    return Config(discovery=DiscoveryConfig(confdir=tmp_path))


async def shown(config: Config, before: str, value: str) -> list[str]:
    folder = config.discovery.confdir
    (folder / "dest").write_bytes(before.encode())
    (folder / "data.json").write_text(json.dumps({"/own": value}))
    code, lines = await differences(config, folder / "data.json")
    assert code is Exit.OK
    return lines[3:]


async def test_what_is_the_same_is_not_shown(config: Config) -> None:
    assert await shown(config, "a\nb\n", "a\nb") == []


async def test_lines_that_differ_are_shown(config: Config) -> None:
    assert await shown(config, "a\nb\n", "a\nc") == [" a", "-b", "+c"]


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
async def test_what_only_looks_like_the_end_of_a_line_is_shown(config: Config, end: str) -> None:
    assert await shown(config, "a\nb\n", f"a{end}b") == ["-a", "-b", f"+a{end}b"]


async def test_a_newline_that_is_missing_at_the_end_is_shown(config: Config) -> None:
    missing = "-b\n\\ No newline at end of file"
    assert await shown(config, "a\nb", "a\nb") == [" a", missing, "+b"]
