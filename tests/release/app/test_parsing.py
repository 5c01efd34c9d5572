"""wharf.yaml is read whole, or every fault of it is told with its line and what to do."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.app.model import App, Autoscale, EngineName, Order
from deploy.release.app.parsing import parse
from deploy.release.app.reading import read
from wharfinger.errors import ConfigError

GOOD = """\
app: shop
image: registry.example:5000/team/shop
build: {layer: tomcat, context: ., java: host}
port: {env: PORT, pool: 20000-20999}
health: {http: /healthz, every: 2s, healthy: 2, unhealthy: 3, start: 30s}
serve: {host: Shop.example.org, path: /shop/}
drain: 15s
checks: [ruff, bandit, hadolint, secrets, unit]
resources: {memory: 512m, cpus: 0.5}
environments:
  integration: {engine: compose, replicas: 1}
  pre: {engine: swarm, mirrors: production, replicas: 2}
  production: {engine: rancher, replicas: 6, hosts: role=app, needs: [checks, pre.smoke],
    approve: true}
"""
SMALL = """\
app: shop
image: registry.example/shop
build: {layer: java}
environments:
  test: {engine: swarm}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    return [str(finding) for finding in refusal.value.findings]


def test_the_whole_of_it_is_read() -> None:
    app = parse(GOOD)
    assert (app.name, app.image, app.build.layer) == (
        "shop",
        "registry.example:5000/team/shop",
        "tomcat",
    )
    assert app.build.java
    assert app.port.pool == (20000, 20999)
    assert (app.health.http, app.health.every_seconds, app.health.timeout_seconds) == (
        "/healthz",
        2.0,
        1.0,
    )
    assert app.serve is not None
    assert (app.serve.host, app.serve.path) == ("shop.example.org", "/shop")
    assert (app.memory, app.cpus, app.drain_seconds) == ("512m", 0.5, 15.0)
    assert list(app.environments) == ["integration", "pre", "production"]
    production = app.environments["production"]
    assert (production.engine, production.replicas, production.approve) == (
        EngineName.RANCHER,
        6,
        True,
    )
    assert production.needs == ("checks", "pre.smoke")


def test_what_is_not_said_goes_without_saying() -> None:
    app = parse(SMALL)
    environment = app.environments["test"]
    assert app == replace(
        App(name="shop", image="registry.example/shop", build=app.build),
        environments=app.environments,
    )
    assert (environment.replicas, environment.rollout.order) == (1, Order.START_FIRST)


def test_a_fixed_port_is_stopped_first_unless_asked_otherwise() -> None:
    app = parse(SMALL + "port: {fixed: 8080}\n")
    assert app.environments["test"].rollout.order is Order.STOP_FIRST


def test_a_mirror_is_what_it_mirrors_but_for_its_own() -> None:
    app = parse(
        SMALL
        + """\
  pre: {mirrors: production, replicas: 2, secrets: {KEY: /etc/pre/key}, hosts: role=pre}
  production:
    engine: swarm
    replicas: 8
    docker: tcp://10.0.0.1:2375
    needs: [test.smoke]
    approve: true
    variables: {MODE: fast}
    secrets: {KEY: /etc/shop/key, OTHER: /etc/shop/other}
    volumes: [/srv/shop:/data:ro]
    rollout: {batch: 2}
    autoscale: {min: 4, max: 9, cpu: 70%}
"""
    )
    pre, production = app.environments["pre"], app.environments["production"]
    assert production.autoscale == Autoscale(least=4, most=9, cpu_percent=70)
    assert pre == replace(
        production,
        name="pre",
        mirrors="production",
        replicas=2,
        hosts="role=pre",
        secrets={"KEY": "/etc/pre/key", "OTHER": "/etc/shop/other"},
        docker=None,
        needs=(),
        approve=False,
        autoscale=None,
    )


def test_a_mirror_on_one_host_has_no_choice_of_hosts() -> None:
    app = parse(
        SMALL
        + """\
  pre: {mirrors: production, engine: compose}
  few: {mirrors: production, engine: compose, replicas: 3}
  production: {engine: swarm, everywhere: true, hosts: role=app}
"""
    )
    for name, replicas in (("pre", 1), ("few", 3)):
        found = app.environments[name]
        assert (found.everywhere, found.hosts, found.replicas) == (False, None, replicas)
    assert app.environments["production"].everywhere


def test_as_many_as_the_rule_says_at_least() -> None:
    app = parse(SMALL.replace("swarm}", "swarm, autoscale: {min: 3, max: 5, requests: 50}}"))
    assert app.environments["test"].replicas == 3


@dataclass(frozen=True)
class Case:
    there: str
    instead: str
    told: str


CASES = (
    Case("drain: 15s", "drain: 15", "7: drain: is a number, not a time; write it with its unit"),
    Case("drain: 15s", "drain: 2h", "7: drain: 2h is out of bounds; write 0s to 3600s"),
    Case("every: 2s", "every: 2 s", "5: health.every: '2 s' is not a time; write it with its unit"),
    Case("every: 2s", "evry: 2s", "5: health.evry: is not known here; write every"),
    Case("checks:", "chekcs:", "8: chekcs: is not known here; write checks"),
    Case("app: shop", "app: my shop", "1: app: 'my shop' is not the name of an application"),
    Case("app: shop", "app: [a]", "1: app: is a list, not the name of an application"),
    Case("app: shop\n", "", "1: has no app; write app: shop"),
    Case("team/shop", "team/shop:1.2", "2: image: has a tag or a digest; write registry.example"),
    Case("registry.example:5000/team/shop", "team/shop", "2: image: 'team/shop' names no registry"),
    Case("registry.example:5000/team/shop", "shop:1", "2: image: 'shop:1' names no registry"),
    Case("team/shop", "team/shop@sha256:ab", "2: image: has a tag or a digest"),
    Case("team/shop", "team/SHOP", "2: image: 'registry.example:5000/team/SHOP' is no repository"),
    Case("layer: tomcat, ", "", "3: build: has no layer; write layer"),
    Case("java: host", "java: jre", "3: build.java: is 'jre', not host or none"),
    Case("context: .", "context: /srv", "3: build.context: '/srv' is not a relative path"),
    Case("context: .", "context: --network=host", "3: build.context: '--network=host' is not a"),
    *(
        Case("drain: 15s", f'variables: {{A: "a{odd}b"}}', "7: variables.A: has a character in it")
        for odd in ("\\0", "\\ud800")
    ),
    Case(
        "context: .",
        "dockerfile: ../Dockerfile",
        "3: build.dockerfile: leads out of the folder",
    ),
    Case("context: .", "arguments: {LAYER: x}", "3: build.arguments.LAYER: is build.layer's"),
    Case("20000-20999", "20999-20000", "4: port.pool: 20999-20000 holds no ports"),
    Case("PORT, pool", "PORT, fixed: 80, pool", "4: port.pool: the port is fixed"),
    Case("env: PORT", "env: PO RT", "4: port.env: 'PO RT' is not a variable's name"),
    Case("healthy: 2", "healthy: true", "5: health.healthy: is true or false, not a whole number"),
    Case("healthy: 2", "healthy: 0", "5: health.healthy: 0 is out of bounds; write 1 to 100"),
    Case("/healthz", "healthz", "5: health.http: 'healthz' is not a path of HTTP"),
    Case("Shop.example.org", "'shop; }'", "6: serve.host: 'shop; }' is not a host's name"),
    Case("/shop/", "/a/../b", "6: serve.path: the path '/a/../b'"),
    Case("ruff, bandit", "ruff, ruff", "8: checks[1]: 'ruff' is there twice; keep one"),
    Case("ruff, bandit", "checks, bandit", "8: checks[0]: 'checks' means something else"),
    Case("512m", "512", "9: resources.memory: is a number, not a size"),
    Case("512m", "4m", "9: resources.memory: 4m is less than an engine takes; write 6m"),
    Case("cpus: 0.5", "cpus: .nan", "9: resources.cpus: nan is out of bounds"),
    Case("integration:", "in_tegration:", "11: environments.in_tegration: 'in_tegration' is not"),
    Case("integration:", "r12:", "11: environments.r12: is a tag that pushes and reports make"),
    Case("integration:", "build:", "11: environments.build: is a tag that pushes and reports make"),
    Case("engine: compose", "engine: compsoe", "11: environments.integration.engine: is 'compsoe'"),
    Case("engine: compose, ", "", "11: environments.integration: has no engine; write engine"),
    Case(
        "engine: compose",
        "engine: compose, hosts: a=b",
        "11: environments.integration.hosts: compose runs on one host",
    ),
    Case(
        "replicas: 1}",
        "everywhere: true}",
        "11: environments.integration.everywhere: compose runs on one host",
    ),
    Case(
        "replicas: 1}",
        "variables: {PORT: '1'}}",
        "11: environments.integration.variables.PORT: carries the port",
    ),
    Case(
        "replicas: 1}",
        "variables: {A: 0755}}",
        "11: environments.integration.variables.A: is a number, not text; put it in quotes",
    ),
    Case(
        "replicas: 1}",
        "variables: {A: x}, secrets: {A: /etc/a}}",
        "11: environments.integration.secrets.A: is a variable, too; keep one",
    ),
    Case(
        "replicas: 1}",
        "secrets: {A: ../a}}",
        "11: environments.integration.secrets.A: '../a' is not a file's path on the hosts",
    ),
    Case(
        "replicas: 1}",
        "secrets: {A: /a}, volumes: [/b:/run/secrets]}",
        "11: environments.integration.volumes[0]: /run/secrets is where secrets are",
    ),
    Case(
        "replicas: 1}",
        "volumes: [/a:/x, /b:/x/]}",
        "11: environments.integration.volumes[1]: /x is mounted twice",
    ),
    Case(
        "replicas: 1}",
        "volumes: [/a:/dev/shm]}",
        "11: environments.integration.volumes[0]: the registrar tells the port",
    ),
    Case(
        "replicas: 1}",
        "autoscale: {min: 3, max: 2, cpu: 50%}}",
        "11: environments.integration.autoscale: min 3 is more than max 2",
    ),
    Case(
        "replicas: 1}",
        "replicas: 4, autoscale: {min: 1, max: 2, cpu: 50}}",
        "11: environments.integration.replicas: 4 is not from 1 to 2",
    ),
    Case(
        "replicas: 1}",
        "autoscale: {min: 1, max: 2}}",
        "11: environments.integration.autoscale: goes by nothing; write cpu",
    ),
    Case("mirrors: production", "mirrors: pre", "12: environments.pre.mirrors: is itself"),
    Case(
        "mirrors: production",
        "mirrors: prodution",
        "12: environments.pre.mirrors: there is no environment 'prodution'; write production",
    ),
    Case(
        "replicas: 6",
        "mirrors: pre",
        "12: environments.pre.mirrors: production itself mirrors pre; let one of them say",
    ),
    Case(
        "replicas: 2",
        "variables: {A: b}",
        "12: environments.pre.variables: comes from production",
    ),
    Case("pre.smoke", "prd.smoke", "13: environments.production.needs[1]: there is no environment"),
    Case("checks, pre", "units, pre", "13: environments.production.needs[0]: there is no check"),
    Case(
        "compose, replicas: 1",
        "compose, needs: [pre.smoke]",
        "11: environments.integration.needs[0]: pre does not come before integration",
    ),
    Case(
        "engine: rancher",
        "engine: rancher, docker: tcp://a:1",
        "13: environments.production.docker: Rancher is not asked through Docker",
    ),
    Case(
        "replicas: 6",
        "replicas: 6, everywhere: true",
        "13: environments.production.replicas: there is one on each host",
    ),
    Case("app: shop", "app: shop.de", "12: environments.pre.engine: a Swarm has no service called"),
    Case("app: shop", f"app: {'s' * 30}", "12: environments.pre.engine: a Swarm's service would"),
    Case("drain: 15s", "labels: {wharfinger.env: a}", "7: labels.wharfinger.env: is written by"),
    Case("drain: 15s", "labels: {wharfinger.80.app: a}", "7: labels.wharfinger.80.app: is written"),
    Case("app: shop", "app: my_shop", "13: environments.production.engine: Rancher has no service"),
    Case("app: shop", f"app: {'s' * 50}", "13: environments.production.engine: a stack of Rancher"),
    Case("drain: 15s", "command: run it", "7: command: is text, not a list; write each word"),
    Case("drain: 15s", "drain: 15s\ndrain: 5s", "8: drain: is there twice, first in line 7"),
    Case(
        "approve: true",
        "approve: on",
        "14: environments.production.approve: 'on' is not the same in all versions",
    ),
    # YAML 1.1 reads 8, 90, 10, 2 and 2 there, 1.2 other numbers or text.
    *(
        Case("healthy: 2", f"healthy: {odd}", f"5: health.healthy: '{odd}' is not the same in all")
        for odd in ("010", "1:30", "1_0", "0b10", "0x2", "-01")
    ),
    Case("drain: 15s", "drain: 2026-01-01", "7: drain: '2026-01-01' is read as a date"),
    Case("drain: 15s", "drain: !!python/name:os.system 1", "7: drain: '1' is read as a date or by"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.instead[:40])
def test_a_fault_is_told_with_its_line_and_what_to_do(case: Case) -> None:
    assert case.there in GOOD
    told = faults(GOOD.replace(case.there, case.instead, 1))
    assert any(each.startswith(f"wharf.yaml:{case.told}") for each in told), told
    assert all("; " in each for each in told), told


def test_names_that_evidence_cannot_have_are_told_before_a_promotion_fails() -> None:
    name = "e" * 31
    text = f"""\
app: shop
image: registry.example:5000/shop
build: {{layer: nginx}}
port: {{env: PORT}}
environments:
  {name}: {{engine: compose, approve: true}}
  {name[1:]}: {{engine: compose, approve: true, needs: [{name}.smoke-e, {name}.smoke-test]}}
"""
    told = "is longer than 39 characters, which is all that a tag has room for; use shorter names"
    assert faults(text) == [
        f"wharf.yaml:6: environments.{name}.approve: 'approval.{name}' {told}",
        f"wharf.yaml:7: environments.{name[1:]}.needs[1]: '{name}.smoke-test' {told}",
    ]


@pytest.mark.parametrize(
    ("order", "fault"),
    [
        ("rollout: {order: start-first}", "environments.test.rollout.order: the new instance"),
        ("engine: compose, replicas: 2", "environments.test.replicas: 2 instances on one host"),
    ],
)
def test_a_fixed_port_is_held_by_one(order: str, fault: str) -> None:
    swarm = "engine: swarm" if "engine" not in order else ""
    text = SMALL.replace("engine: swarm", ", ".join(filter(None, (swarm, order))))
    assert any(f" {fault}" in each for each in faults(text + "port: {fixed: 80}\n"))


@pytest.mark.parametrize(
    ("pool", "more", "told"),
    [
        ("20000-20001", "replicas: 2", "2 ports are too few for 2 instances and 1 new beside them"),
        ("20000-20002", "replicas: 2", ""),
        ("20000-20001", "replicas: 2, rollout: {order: stop-first}", ""),
        ("20000-20003", "replicas: 3, rollout: {batch: 2}", "4 ports are too few for 3 instances"),
        ("20000-20002", "autoscale: {min: 1, max: 3, cpu: 70%}", "and 1 new beside them"),
    ],
)
def test_a_pool_has_room_for_a_rollout(pool: str, more: str, told: str) -> None:
    text = f"""\
app: shop
image: registry.example/shop
build: {{layer: java}}
port: {{pool: {pool}}}
environments:
  a: {{engine: compose, {more}}}
  b: {{engine: swarm, replicas: 30}}
"""
    if not told:
        assert parse(text).port.pool
    else:
        (fault,) = faults(text)
        assert fault.startswith("wharf.yaml:4: port.pool: ")
        assert told in fault


def test_what_is_asked_for_fits_and_a_wrong_name_hides_nothing_below_it() -> None:
    told = faults(
        """\
app: shop
image: registry.example/shop
build: {layer: java}
variables: {MY VAR: x, 1X: y}
environments:
  prod_eu: {engine: docker, replicas: 0}
"""
    )
    named = "'prod_eu' is not an environment's name: letters, digits, '.' and '-'"
    assert [each.partition(": ")[2] for each in told] == [
        "variables.1X: '1X' is not a variable's name; begin with a letter; use letters and digits",
        "variables.MY VAR: 'MY VAR' is not a variable's name; write it as MY_VAR",
        f"environments.prod_eu: {named}; write it as prod-eu",
        (
            "environments.prod_eu.engine: is 'docker', not compose or swarm or rancher; "
            "write one of these"
        ),
        "environments.prod_eu.replicas: 0 is out of bounds; write 1 to 1000",
    ]


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    told = faults(
        """\
image: registry.example/shop:1
build: {layr: java}
drain: 15
environments:
  a: {engine: compos, needs: [b.smoke]}
  b: {mirrors: c}
"""
    )
    assert [each.split(": ")[1] for each in told if not each.startswith("wharf.yaml:1: has")] == [
        "image",
        "build",
        "build.layr",
        "drain",
        "environments.a.engine",
        "environments.a.needs[0]",
        "environments.b.mirrors",
    ]
    assert told[0].startswith("wharf.yaml:1: has no app; ")


def test_what_was_refused_is_not_held_against_the_rest() -> None:
    told = faults(
        SMALL.replace("swarm}", "swarm, replicas: x, autoscale: {min: 2, max: 3, cpu: 9}}")
    )
    assert len(told) == 1


def test_what_is_named_once_and_meant_again_and_again_has_an_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 100000 values" in faults("\n".join(lines))[0]
    assert "nested too deeply" in faults("a: &a [*a]")[0]


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "\x00", "? {}: 1", "app: shop", "[" * 5000])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    assert faults(text)


def survives(text: str) -> bool:
    try:
        parse(text)
    except ConfigError as refusal:
        return bool(refusal.findings)
    return True


@given(st.text(max_size=200))
def test_any_text_is_refused_or_read(text: str) -> None:
    assert survives(text)


@given(st.integers(0, len(GOOD) - 1), st.text(max_size=3))
def test_any_change_is_refused_or_read(place: int, text: str) -> None:
    assert survives(GOOD[:place] + text + GOOD[place + 1 :])


def test_it_is_read_from_its_file_or_folder(tmp_path: Path) -> None:
    (tmp_path / "wharf.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read(tmp_path) == read(tmp_path / "wharf.yaml") == parse(GOOD)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"wharf\.yaml: No such file.*deploy init"):
        read(tmp_path)
    (tmp_path / "wharf.yaml").write_bytes(b"app: shop\nimage: \xff\n")
    with pytest.raises(ConfigError, match=r"wharf\.yaml:2: is no UTF-8 text"):
        read(tmp_path)
    (tmp_path / "wharf.yaml").write_text("app: shop")
    # As it was named: a terminal or an editor goes to the line by it.
    with pytest.raises(ConfigError, match=f"{re.escape(str(tmp_path))}/wharf.yaml:1: has no image"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        read(Path("/dev/zero"))
