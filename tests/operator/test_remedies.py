"""For each check that a daemon can show red there is a command or setting that mends it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery.builtin.config import NginxConfig
from wharfinger.config import walk
from wharfinger.operator import settings
from wharfinger.operator.doctor.daemons import of_answers
from wharfinger.operator.doctor.remedies import remedy
from wharfinger.operator.status import Answer, Check
from wharfinger.sections import DockerConfig, EtcdConfig, HostConfig

ROOT = Path(__file__).parents[2]
DAEMONS = {
    "registrar": [ROOT / "registrar"],
    "discovery": [ROOT / "discovery"],
    "logshipper": [ROOT / "logshipper"],
    "logstore": [ROOT / "logshipper/store"],
}
SHARED = [ROOT / "wharfinger"]


def sources(daemon: str) -> Iterator[Path]:
    for folder in (*DAEMONS[daemon], *SHARED):
        for path in sorted(folder.rglob("*.py")):
            inside_store = ROOT / "logshipper/store" in path.parents
            if daemon == "logstore" or not inside_store:
                yield path


def constants(tree: ast.Module) -> dict[str, str]:
    """What the module's names stand for, where that is a text."""
    found = {}
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
            found[target.id] = str(value.value)
    return found


def made(tree: ast.Module) -> Iterator[str]:
    """The names of checks that a module makes; `x` in place of what only a run knows."""
    known = constants(tree)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "check" and ast.unparse(node.func.value).endswith("health"):
            argument = node.args[0]
            if isinstance(argument, ast.Call):
                # A function of the module that says no more than the name.
                name = functions[ast.unparse(argument.func)].body[-1]
                assert isinstance(name, ast.Return)
                assert name.value is not None
                argument = name.value
            yield text(argument, known)


def text(node: ast.expr, known: dict[str, str]) -> str:
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.Name(id=name):
            return known[name]
        case ast.JoinedStr(values=parts):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "x" for p in parts)
    raise AssertionError(ast.unparse(node))


@pytest.mark.parametrize("daemon", DAEMONS)
def test_each_check_of_a_daemon_has_one(daemon: str) -> None:
    names = {name for path in sources(daemon) for name in made(ast.parse(path.read_text()))}
    assert len(names) > 6
    assert {name for name in names if not remedy(daemon, name)} == set()
    for other in ("another", "resourceful", "", "configurations"):
        assert remedy(daemon, other) == ""


def test_what_goes_by_a_name_has_it_in_its_remedy() -> None:
    assert "`discovery rollback shop site`" in remedy("discovery", "resource shop site")
    assert "rollback" not in remedy("discovery", "resource files")
    assert "--sink a {b} " in remedy("logshipper", "dead letters a {b}").replace("`", " ")
    assert "wharfinger-logstore" in remedy("logstore", "configuration")
    assert "'{{.DockerRootDir}}'" in remedy("registrar", "mass loss")
    assert remedy("elsewhere", "docker") == ""


@pytest.mark.parametrize("daemon", DAEMONS)
def test_the_settings_that_are_named_are_there(daemon: str) -> None:
    models = {"host": HostConfig, "etcd": EtcdConfig, "docker": DockerConfig, **settings.daemons()}
    known = {
        f"{name}.{key}" for name, model in models.items() for key, _, _ in walk(model, model())
    }
    known |= {f"discovery.nginx.{key}" for key, _, _ in walk(NginxConfig, NginxConfig())}
    known |= {"logshipper.sinks"}
    names = {name for path in sources(daemon) for name in made(ast.parse(path.read_text()))}
    told = "\n".join(remedy(daemon, name) for name in names)
    named = set(re.findall(rf"\b(?:{'|'.join(models)})\.[a-z_]+(?:\.[a-z_]+)?", told))
    assert named
    assert named - known == set()


def test_the_doctor_says_it_and_where_none_is_known_how_to_follow() -> None:
    checks = tuple(Check(name, healthy=False, why="away", since_seconds=1.0)
                   for name in ("docker", "a later one"))  # fmt: skip
    answer = Answer(daemon="registrar", listen="127.0.0.1:7201", state="unhealthy", checks=checks)
    known, other = of_answers([answer])
    assert "systemctl status docker" in known.fix
    assert other.fix == "follow what it does: curl -N http://127.0.0.1:7201/events"
