"""The sample file: it is what the models say, and says what they do."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import pytest

import discovery.config
import logshipper.config
import logshipper.store.config
import registrar.config
from wharfinger.config import SECTIONS, Section, doc, load
from wharfinger.errors import ConfigError
from wharfinger.sample import sample, section_sample, sections

COMMITTED = Path(__file__).parents[2] / "deploy" / "wharfinger.toml"
MODELS = [
    registrar.config.Config,
    discovery.config.Config,
    logshipper.config.Config,
    logshipper.store.config.Config,
]


def without_marks(text: str) -> str:
    """Every default spelled out: `#key = value` and `#[[table]]`, not `# prose`."""
    return re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE)


def test_the_committed_file_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == sample(), "run make sample"


def test_every_section_is_there_in_order() -> None:
    assert tuple(sections()) == SECTIONS
    assert tuple(tomllib.loads(sample())) == SECTIONS


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__module__)
@pytest.mark.parametrize("text", [sample(), without_marks(sample())], ids=["as it is", "unmarked"])
def test_it_parses_to_every_daemons_defaults(
    tmp_path: Path, model: type[Section], text: str
) -> None:
    path = tmp_path / "w.toml"
    path.write_text(text)
    assert load(model, path=path, environment={}).value == load(model, environment={}).value


def test_unmarked_it_spells_out_every_default_there_is() -> None:
    table = tomllib.loads(without_marks(sample()))
    assert table["registrar"]["lease_ttl_seconds"] == 15
    assert table["etcd"]["endpoints"] == ["127.0.0.1:2379"]
    assert table["logshipper"]["sinks"][0]["url"] == "http://127.0.0.1:7280"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__module__)
def test_every_example_is_of_the_right_type(tmp_path: Path, model: type[Section]) -> None:
    text = without_marks(sample())
    lines = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE).splitlines()
    # What is found at start, or has no example, is no TOML.
    text = "\n".join(line for line in lines if not re.match(r"[a-z_]+ = (\(|\.\.\.)", line))
    path = tmp_path / "w.toml"
    path.write_text(text)
    try:
        load(model, path=path, environment={})
    except ConfigError as error:
        # Examples of keys that exclude each other stand side by side; types must still fit.
        told = [str(f) for f in error.findings]
        assert not [line for line in told if "expected" in line or "not a known key" in line]


def test_lines_are_short_and_every_key_is_explained() -> None:
    lines = sample().splitlines()
    assert max(map(len, lines)) <= 140
    for before, line in pairwise(lines):
        if re.match(r"#? ?[a-z_]+ = ", line):
            assert before.startswith("# "), line


class Inner(Section, frozen=True, kw_only=True):
    """Inner things."""

    size: Annotated[int, doc("Size.")] = 3


class Outer(Section, frozen=True, kw_only=True):
    """Outer things."""

    always: Annotated[Inner, doc("Always there.")] = Inner()
    perhaps: Annotated[Inner | None, doc("Perhaps there.")] = None
    many: Annotated[tuple[Inner, ...], doc("Many of them.")] = ()
    some: Annotated[tuple[Inner, ...], doc("Some of them.")] = (Inner(size=4),)
    name: Annotated[str, doc('Name with a "quote".', restart=True)] = 'a"b\\c\n'


class Whole(Section, frozen=True, kw_only=True):
    outer: Outer = Outer()


def test_tables_of_every_kind(tmp_path: Path) -> None:
    text = section_sample("outer", Outer)
    assert text.index("#name = ") < text.index("[outer.always]")
    assert '# Name with a "quote". (restart)\n#name = "a\\"b\\\\c\\n"\n' in text
    assert "\n[outer.always]\n" in text
    assert "\n# [outer.perhaps]\n" in text
    assert "\n# [[outer.many]]\n" in text
    assert "\n#[[outer.some]]\n" in text
    path = tmp_path / "w.toml"
    for version in (text, without_marks(text)):
        path.write_text(version)
        assert load(Whole, path=path, environment={}).value == Whole()


def test_a_daemon_that_is_not_installed_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wharfinger.sample.entry_points", lambda group: [])
    with pytest.raises(ConfigError) as refused:
        sections()
    assert [f.where for f in refused.value.findings] == [
        "[registrar]", "[discovery]", "[logshipper]", "[logstore]", "[deploy]",
    ]  # fmt: skip
