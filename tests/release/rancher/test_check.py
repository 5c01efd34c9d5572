"""What is wrong with a stack is told, above all what rancher-compose swallows without a word.

With `WHARFINGER_RANCHER_COMPOSE=PATH` the program itself is asked what it does with each.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.release.rancher import check
from tests.stack import ranchercompose
from tests.stack.rancher import serving

FOLDER = Path(__file__).parents[3] / "deploy" / "rancher"
FILES = ((FOLDER / "docker-compose.yml").read_text(), (FOLDER / "rancher-compose.yml").read_text())
COMPOSE = """\
version: '2'
services:
  web:
    image: ${IMAGE}
    network_mode: host
    environment:
      MODE: fast
    labels:
      io.rancher.scheduler.global: 'true'
      io.rancher.container.dns: 'true'
"""
RANCHER = """\
version: '2'
catalog:
  questions:
    - variable: IMAGE
      type: string
      default: web:1
services:
  web:
    health_check:
      port: 80
    upgrade_strategy:
      start_first: false
"""
REFUSED, SWALLOWED, SERVER = "refused", "swallowed", "the server decides"


@dataclass(frozen=True)
class Case:
    """A change to a good file, what is told of it, and what rancher-compose does with it."""

    old: str
    new: str
    told: str
    fate: str
    line: int


IN_COMPOSE = [
    Case("version: '2'", "version: '3.8'", "reads no version but '2'", REFUSED, 1),
    Case("version: '2'\n", "", "reads no version but '2'", REFUSED, 1),
    Case("    image:", "    imaeg:", "write image", REFUSED, 4),
    Case("    image: ${IMAGE}\n", "", "neither image nor build", SERVER, 3),
    Case("    image:", "    healthcheck: {}\n    image:", "rancher-compose.yml", REFUSED, 4),
    Case("    image:", "    stop_grace_period: 9s\n    image:", "holds? SIGTERM", REFUSED, 4),
    Case("    image:", "    deploy: {mode: global}\n    image:", "use labels", REFUSED, 4),
    Case("    image:", "    init: true\n    image:", "an init into the image", REFUSED, 4),
    Case("    image:", "    privileged: 'yes'\n    image:", "text, not true or false", REFUSED, 4),
    Case("    image:", "    volumes: [/a:/a, /a:/a]\n    image:", "something twice", REFUSED, 4),
    Case("    image:", "    volumes: /a:/a\n    image:", "text, not a list", REFUSED, 4),
    Case("    image:", "    mem_swappiness: a\n    image:", "not a whole number", REFUSED, 4),
    Case("    image:", "    health_check: {port: 1}\n    image:", "move it", SWALLOWED, 4),
    Case("    image:", "    scale: 2\n    image:", "move it", SWALLOWED, 4),
    Case("    image:", "    image: a\n    image:", "is there twice", SWALLOWED, 5),
    Case("  web:", "  web_1:", "no name of a service: Rancher refuses it", SERVER, 3),
    Case("${IMAGE}", "${IMAGE:-web}", "without a default", REFUSED, 4),
    Case("${IMAGE}", "$1", r"write \$\{NAME\}", SERVER, 4),
    Case("${IMAGE}", "${IMAGES}", "nobody answers", SWALLOWED, 4),
    Case("MODE: fast", "MODE: yes", "not text: put it in quotes", SWALLOWED, 6),
    Case("MODE: fast", "MODE: 0755", "not text: put it in quotes", SWALLOWED, 6),
    Case("scheduler.global", "scheduler.globe", "scheduler.global", SWALLOWED, 9),
    Case("'true'", "'yes'", "write 'true' or 'false'", SWALLOWED, 9),
    Case(
        "      io.rancher.container.dns",
        "      io.rancher.scheduler.affinity:host_label_soft: a=b\n      io.rancher.container.dns",
        "hard rules on host labels only",
        SWALLOWED,
        10,
    ),
    Case("services:", "secrets: {}\nservices:", "drops it without a word", SWALLOWED, 2),
    Case(
        "      io.rancher.container.dns",
        "      io.rancher.sidekicks: data\n      io.rancher.container.dns",
        "no other service 'data'",
        SERVER,
        10,
    ),
    Case("services:", "services: [", "no YAML", REFUSED, 4),
]
IN_RANCHER = [
    Case("health_check", "helth_check", "write health_check", SWALLOWED, 9),
    Case("port: 80", "prot: 80", "write port", SWALLOWED, 10),
    Case("port: 80", "port: 80\n      strategy: restart", "is no strategy", SERVER, 11),
    Case("port: 80", "port: 0", "has no port to ask", SERVER, 10),
    Case("port: 80", "port: 80\n      interval: 0", "not above zero", SWALLOWED, 11),
    Case("port: 80", "port: 80\n      request_line: /healthz", "GET /healthz", SERVER, 11),
    Case("  web:", "  wbe:", "has no such service", SWALLOWED, 8),
    Case("    health_check", "    scale: 3\n    health_check", "has no scale", SWALLOWED, 9),
    Case("start_first: false", "start_first: true", "port held by the old one", SERVER, 12),
    Case("start_first: false", "batch_size: 2", "--batch-size 2", SWALLOWED, 12),
    Case("start_first: false", "interval_millis: 5000", "--interval 5000", SWALLOWED, 12),
    Case("start_first: false", "start_frist: true", "write start_first", SWALLOWED, 12),
    Case("version: '2'\n", "", "read from the top", SWALLOWED, 1),
    Case("variable:", "varaible:", "write variable", SWALLOWED, 4),
    Case("type: string", "type: text", "is no type of a question", SERVER, 5),
    Case("questions:", "question:", "write questions", SWALLOWED, 3),
]


def name(case: Case) -> str:
    return case.new.strip().replace("\n", " ")[:40]


def test_the_shipped_stack_is_good() -> None:
    assert check(*FILES) == ()
    assert check(COMPOSE, RANCHER) == ()


def held(case: Case, compose: str, rancher: str, file: str) -> None:
    faults = check(compose, rancher)
    fitting = [each for each in faults if re.search(case.told, str(each))]
    assert fitting, [str(each) for each in faults]
    assert (fitting[0].file, fitting[0].line) == (file, case.line), str(fitting[0])
    assert fitting[0].fix


@pytest.mark.parametrize("case", IN_COMPOSE, ids=name)
def test_of_docker_compose_yml(case: Case) -> None:
    compose = COMPOSE.replace(case.old, case.new, 1)
    assert compose != COMPOSE
    held(case, compose, RANCHER, "docker-compose.yml")
    ask_the_program(case, compose, RANCHER)


@pytest.mark.parametrize("case", IN_RANCHER, ids=name)
def test_of_rancher_compose_yml(case: Case) -> None:
    rancher = RANCHER.replace(case.old, case.new, 1)
    assert rancher != RANCHER
    held(case, COMPOSE, rancher, "rancher-compose.yml")
    ask_the_program(case, COMPOSE, rancher)


def ask_the_program(case: Case, compose: str, rancher: str) -> None:
    if not ranchercompose.PROGRAM or case.fate == SERVER:
        return
    with serving() as server:
        done = ranchercompose.run(
            server, (compose, rancher), "up", "-d", variables={"IMAGE": "web:1"}
        )
    refused = done.returncode != 0 and "422" not in done.stdout + done.stderr
    assert refused == (case.fate == REFUSED), done.stdout + done.stderr


def test_a_check_on_the_hosts_network_is_within_reach() -> None:
    compose = COMPOSE.replace("      io.rancher.container.dns: 'true'\n", "")
    (fault,) = check(compose, RANCHER)
    assert "for ever" in fault.problem
    assert "io.rancher.container.dns: 'true'" in fault.fix
    assert check(compose.replace("    network_mode: host\n", ""), RANCHER) == ()


def test_every_fault_is_told_at_once_in_the_order_of_lines() -> None:
    compose = COMPOSE.replace("'2'", "'3'").replace("image", "imaeg")
    rancher = RANCHER.replace("port: 80", "prot: 80")
    faults = check(compose, rancher)
    assert [each.file for each in faults] == ["docker-compose.yml"] * 3 + [
        "rancher-compose.yml"
    ] * 2
    assert [each.line for each in faults] == sorted(each.line for each in faults[:3]) + sorted(
        each.line for each in faults[3:]
    )


def test_a_value_from_elsewhere_is_an_answer() -> None:
    compose = COMPOSE.replace("MODE: fast", "MODE: ${MODE}")
    assert check(compose, RANCHER)
    assert check(compose, RANCHER, given={"MODE"}) == ()
    assert check(compose.replace("${MODE}", "$$"), RANCHER) == ()


@pytest.mark.parametrize(
    "text",
    ["", "- a\n", "a: &x b\nc: {<<: *x}\n", "1: 2\n", "version: 2026-11-26\n", "a: !!python/x y\n",
     "[" * 3000, "\x00", "version: '2'\nservices: 3\n", "version: '2'\nservices: {web: 3}\n",
     "version: '2'\nservices:\n  web: {image: a, labels: 7}\n"],
)  # fmt: skip
def test_nonsense_is_told_and_never_raises(text: str) -> None:
    assert check(text, RANCHER)
    assert check(COMPOSE, text) or "services" not in text
