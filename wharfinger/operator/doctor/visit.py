"""One visit of the doctor: every examination, whatever another one meets, and the table."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from wharfinger.errors import ConfigError, Exit, Finding, WharfingerError
from wharfinger.operator import settings, terminal
from wharfinger.operator.doctor import cluster, daemons, machine
from wharfinger.operator.doctor.diagnosis import (
    deduplicated,
    of_addresses,
    of_clock,
    of_flapping,
    of_reservation,
    of_start_script,
)
from wharfinger.operator.status import Answer
from wharfinger.operator.verbs import Verbs, add_shown
from wharfinger.sections import DockerConfig, EtcdConfig, HostConfig

TITLES: Final = ("FINDING", "WHERE", "FIX")
DEFAULT_FIX: Final = "as the finding says"

Examination = Callable[[], Awaitable[Sequence[Finding]]]


class _Registrar(msgspec.Struct, frozen=True):
    """What is of use here of the registrar's section."""

    lease_ttl_seconds: int
    port_range: str


class Visit:
    """The examinations of one host.

    Args:
        path: the configuration file.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._answers: list[Answer] = []

    def examinations(self) -> dict[str, Examination]:
        """Each by what is looked at, in this order: the daemons' answers come first."""
        own: dict[str, Examination] = {"the daemons": self._daemons}
        try:
            for name in daemons.expected(self._path) or ("registrar",):
                own[f"what {name} checks"] = self._check(name)
        except ConfigError:
            pass  # told by the examination of the daemons
        return own | {
            "Docker and the clock": self._machine,
            "the port range": self._ports,
            "etcd": self._etcd,
            "the addresses in etcd": self._addresses,
            "containers without a start script": self._start_script,
            "the lease": self._lease,
        }

    async def _daemons(self) -> Sequence[Finding]:
        models = daemons.expected(self._path)
        if not models:
            fix = "start the registrar, and what else this host is for; is host.state_dir right?"
            return [Finding("host.state_dir", "no daemon has run here yet", fix)]
        self._answers = await daemons.asked(self._path, models)
        return daemons.of_answers(self._answers)

    def _check(self, name: str) -> Examination:
        return lambda: daemons.checked(name, self._path)

    async def _machine(self) -> Sequence[Finding]:
        found, ahead = await machine.docker(self._section("docker", DockerConfig))
        return [*found, *of_clock(machine.clock(), ahead)]

    async def _ports(self) -> Sequence[Finding]:
        if not self._runs_here("registrar"):
            return []
        host: HostConfig = self._section("host", HostConfig)
        reserved = await asyncio.to_thread(machine.reserved, host.proc_dir / machine.RESERVED)
        return list(of_reservation(self._registrar().port_range, reserved))

    async def _etcd(self) -> Sequence[Finding]:
        host: HostConfig = self._section("host", HostConfig)
        config: EtcdConfig = self._section("etcd", EtcdConfig)
        return await cluster.examine(config, host.name, self._registrar().lease_ttl_seconds)

    async def _addresses(self) -> Sequence[Finding]:
        host: HostConfig = self._section("host", HostConfig)
        items = await cluster.described(self._section("etcd", EtcdConfig))
        return list(of_addresses(items, host.name, host.ip, machine.bridge_addresses()))

    async def _start_script(self) -> Sequence[Finding]:
        containers = daemons.entries(daemons.held(self._answers, "registrar"), "containers")
        if not containers:
            return []
        described = await machine.described(self._section("docker", DockerConfig))
        host: HostConfig = self._section("host", HostConfig)
        have_port = machine.have_port(described.values(), host.proc_dir)
        return list(of_start_script(containers, described, have_port, time.time_ns()))

    async def _lease(self) -> Sequence[Finding]:
        status = daemons.held(self._answers, "registrar")
        losses = status.get("leases_lost_last_hour")
        return list(of_flapping(losses, self._registrar().lease_ttl_seconds))

    def _runs_here(self, daemon: str) -> bool:
        return any(answer.daemon == daemon for answer in self._answers)

    def _registrar(self) -> _Registrar:
        return msgspec.convert(
            self._section("registrar", settings.daemons()["registrar"]),
            _Registrar,
            from_attributes=True,
        )

    def _section(self, name: str, model: Any) -> Any:
        return settings.section(name, model, self._path)


def add_to(verbs: Verbs) -> None:
    """Adds `doctor` to the command."""
    add_shown(verbs.add("doctor", _doctor, "find what is wrong with this host, and the fix"))


async def _doctor(parsed: argparse.Namespace) -> Exit:
    return await doctor(parsed.config, as_json=parsed.json)


async def doctor(path: Path | None, *, as_json: bool) -> Exit:
    """Looks for all that is known to go wrong on a host, and shows how it is mended.

    Args:
        path: the configuration file.
        as_json: for programs.

    Returns:
        OK when nothing was found, else UNAVAILABLE.
    """
    found: list[Finding] = []
    with _progress(as_json=as_json) as tell:
        for what, examine in Visit(path).examinations().items():
            tell(what)
            found += await _examined(what, examine)
    findings = deduplicated(found)
    if as_json:
        terminal.show_page({"findings": findings})
    elif findings:
        terminal.show_table(TITLES, map(_row, findings))
    else:
        terminal.write("nothing wrong found\n")
    return Exit.UNAVAILABLE if findings else Exit.OK


async def _examined(what: str, examine: Examination) -> Sequence[Finding]:
    """What one examination finds; its own failure is a finding, and hides no other."""
    try:
        return await examine()
    except ConfigError as error:
        return error.findings
    except (WharfingerError, OSError) as error:
        return [Finding(what, f"cannot be examined: {error}")]
    except Exception as error:  # noqa: BLE001 - a fault of ours must not hide what others find
        fix = "report this: it is a fault of wharfinger's"
        return [Finding(what, f"cannot be examined: {error!r}", fix)]


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[str], None]]:
    console = Console(stderr=True, highlight=False)
    if as_json or not console.is_terminal:
        yield lambda _what: None
        return
    with console.status("looking") as status:
        yield lambda what: status.update(f"looking at {what}")


def _row(finding: Finding) -> Sequence[str]:
    source = f" ({finding.source})" if finding.source else ""
    return finding.problem, f"{finding.where}{source}", finding.fix or DEFAULT_FIX
