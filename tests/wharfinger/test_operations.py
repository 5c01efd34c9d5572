"""OPERATIONS.md is true: each row of its tables of faults names tests that are there."""

import ast
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "OPERATIONS.md"
COLUMNS = ["what breaks", "what happens", "what you see", "what to do"]
LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


class Row(NamedTuple):
    section: str
    cells: list[str]

    @property
    def fault(self) -> str:
        return LINK.sub(r"\1", self.cells[0])


def rows(text: str) -> list[Row]:
    """The rows of all tables below "When things break"."""
    chapter = text.split("\n## When things break\n")[1].split("\n## ", maxsplit=1)[0]
    found, section = [], ""
    for line in chapter.splitlines():
        if line.startswith("### "):
            section = line[4:]
        elif line.startswith("|") and not line.startswith("|---"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if cells != COLUMNS:
                found.append(Row(section, cells))
    return found


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {each.name for each in ast.walk(tree) if isinstance(each, kinds)}


@pytest.fixture(scope="module")
def shown() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((TESTS / "failures.toml").read_text())


def test_each_row_is_whole_and_there_once() -> None:
    found = rows(DOCUMENT.read_text())
    assert found
    for row in found:
        assert len(row.cells) == len(COLUMNS), row
        assert all(row.cells), row
    names = [(row.section, row.fault) for row in found]
    assert sorted(set(names)) == sorted(names)


def test_each_row_has_its_tests_and_each_test_its_row(
    shown: dict[str, dict[str, list[str]]],
) -> None:
    written = {(row.section, row.fault) for row in rows(DOCUMENT.read_text())}
    proved = {(section, fault) for section, faults in shown.items() for fault in faults}
    assert written - proved == set()
    assert proved - written == set()


def test_the_tests_are_there(shown: dict[str, dict[str, list[str]]]) -> None:
    for faults in shown.values():
        for fault, tests in faults.items():
            assert tests, fault
            for test in tests:
                path, _, name = test.partition("::")
                assert name in functions(TESTS / path), f"{fault}: {test} is not there"
