"""Tables of several kinds in one array: what a table is, its `type` says."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest

from wharfinger.config import Section, doc, load, needs_restart, walk
from wharfinger.errors import ConfigError
from wharfinger.sample import section_sample


class Ship(Section, frozen=True, kw_only=True):
    """A ship."""

    name: Annotated[str, doc("Its name.")] = "Argo"


class Sail(Ship, frozen=True, kw_only=True):
    """A ship with sails."""

    type: Annotated[Literal["sail"], doc("By wind.")] = "sail"
    masts: Annotated[int, doc("How many masts.")] = 3


class Steam(Ship, frozen=True, kw_only=True):
    """A ship with an engine."""

    type: Annotated[Literal["steam"], doc("By coal.")] = "steam"
    coal_tons: Annotated[int, doc("In the bunker.", restart=True)] = 100


class Harbour(Section, frozen=True, kw_only=True):
    """A harbour."""

    ships: Annotated[tuple[Sail | Steam, ...], doc("Who is in.")] = (Sail(),)


class Whole(Section, frozen=True, kw_only=True):
    harbour: Harbour = Harbour()


def read(folder: Path, text: str, environment: dict[str, str] | None = None) -> Whole:
    path = folder / "w.toml"
    path.write_text(text)
    return load(Whole, path=path, environment=environment or {}).value


def test_a_table_is_what_its_type_says(tmp_path: Path) -> None:
    text = '[[harbour.ships]]\ntype = "steam"\ncoal_tons = 5\n[[harbour.ships]]\nmasts = 1\n'
    assert read(tmp_path, text).harbour.ships == (Steam(coal_tons=5), Sail(masts=1))
    environment = {"WHARFINGER_HARBOUR__SHIPS": '[{"type": "steam"}]'}
    assert read(tmp_path, "", environment).harbour.ships == (Steam(),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('type = "raft"', "harbour.ships[0].type|'raft' is none of sail, steam"),
        ("type = 3", "harbour.ships[0].type|3 is none of sail, steam"),
        ("type = []", "harbour.ships[0].type|[] is none of sail, steam"),
        ("coal_tons = 5", "harbour.ships[0].coal_tons|is a key of type steam, not of sail"),
        ('type = "steam"\nmasts = 5', "harbour.ships[0].masts|is a key of type sail, not of steam"),
        ("mast = 5", "harbour.ships[0].mast|is not a known key; did you mean masts?"),
        ('masts = "x"', "harbour.ships[0].masts|expected an integer, got a string"),
    ],
)
def test_what_is_wrong_is_told_in_its_own_words(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, f"[[harbour.ships]]\n{text}\n")
    [finding] = raised.value.findings
    where, _, problem = told.partition("|")
    assert finding.where == where
    assert f"{finding.problem}; {finding.fix}".startswith(problem)
    assert "w.toml" in finding.source


def test_each_table_is_walked_by_its_own_keys() -> None:
    keys = [key for key, _, _ in walk(Whole, Whole(harbour=Harbour(ships=(Sail(), Steam()))))]
    assert "harbour.ships[0].masts" in keys
    assert "harbour.ships[1].coal_tons" in keys
    assert len(keys) == 6


def test_a_reload_sees_what_changed_and_another_type() -> None:
    def harbour(ship: Sail | Steam) -> Whole:
        return Whole(harbour=Harbour(ships=(ship,)))

    assert needs_restart(Whole, harbour(Sail()), harbour(Sail(masts=9))) == ()
    before, after = harbour(Steam()), harbour(Steam(coal_tons=9))
    assert needs_restart(Whole, before, after) == ("harbour.ships[0].coal_tons",)
    assert needs_restart(Whole, before, harbour(Sail())) == ("harbour.ships[0].type",)


def test_the_sample_shows_what_other_types_have_of_their_own() -> None:
    text = section_sample("harbour", Harbour)
    assert '#type = "sail"\n' in text
    head, _, steam = text.partition("# A ship with an engine.\n")
    assert "coal_tons" not in head
    assert "name" not in steam
    table = tomllib.loads("\n".join(line.removeprefix("# ") for line in steam.splitlines()
                                    if "=" in line or "[[" in line))  # fmt: skip
    assert table == {"harbour": {"ships": [{"type": "steam", "coal_tons": 100}]}}
