"""The house rules that a program can check: imports, size, names and docstrings."""

import ast
import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("wharfinger", "registrar", "discovery", "logshipper", "deploy")
MAX_LINES = 400
VAGUE = re.compile(r"util|helper|manager|handler|common|misc|base|tools")


def modules() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(found) > 50
    return sorted(found)


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [program, "--no-cache", "--config", folder / ".importlinter"],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip


def test_the_contracts_are_kept() -> None:
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout


def test_each_kind_of_breach_is_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    (tmp_path / "wharfinger/unplaced.py").write_text('"""New."""\n')
    for module, breach in (
        ("registrar/plan.py", "import time"),
        ("registrar/labels/asks.py", "import wharfinger.files"),
        ("registrar/daemon.py", "import discovery.model"),
        ("registrar/registry/registry.py", "import aetcd"),
        ("discovery/builtin/pools.py", "import discovery.publish.work"),
        ("wharfinger/keys.py", "import registrar.model"),
        ("wharfinger/dockerwatch.py", "import aiodocker"),
        ("wharfinger/events.py", "import wharfinger.health"),
        ("logshipper/daemon.py", "import logshipper.store.model"),
        ("logshipper/store/daemon.py", "import logshipper.model"),
    ):
        with (tmp_path / module).open("a") as file:
            file.write(f"\n{breach}\n")
    done = linted(tmp_path)
    assert done.returncode == 1
    broken = set(
        re.findall(r"^(.+) BROKEN", done.stdout.replace("\nremove", " remove"), re.MULTILINE)
    )
    assert broken >= {
        "The daemons do not know each other",
        "What is shared knows no daemon",
        "wharfinger.etcd alone speaks to etcd",
        "wharfinger.dockerd alone speaks to Docker",
        "The store does not know the shipper",
        "The shipper does not know the store",
        "Layers of what is shared",
        "Layers of discovery",
    }, done.stdout
    told = " ".join(done.stdout.split())
    assert "registrar.plan is not allowed to import time" in told
    assert "registrar.labels.asks is not allowed to import os" in told
    assert "wharfinger.unplaced" in told or "unplaced" in told


def test_the_lists_that_part_shipper_and_store_are_whole() -> None:
    contracts = configparser.ConfigParser(allow_no_value=True)
    contracts.read(ROOT / ".importlinter")
    present = {
        f"logshipper.{path.stem}"
        for path in (ROOT / "logshipper").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"logshipper.__init__", "logshipper.__main__", "logshipper.store"}
    for contract, key in (("store", "forbidden_modules"), ("shipper", "source_modules")):
        assert set(contracts[f"importlinter:contract:{contract}"][key].split()) == present


def test_every_package_of_ours_is_looked_at() -> None:
    contracts = configparser.ConfigParser(allow_no_value=True)
    contracts.read(ROOT / ".importlinter")
    containers = {
        section["containers"].strip() for section in contracts.values() if "containers" in section
    }
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in modules()
        if path.name == "__init__.py"
    }
    assert containers == packages


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_in_a_head_and_says_its_role(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert not VAGUE.search(path.stem)
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "no docstring"
    first = docstring.split("\n\n")[0]
    assert first.endswith("."), first
    assert len(docstring.splitlines()[0]) <= 97
