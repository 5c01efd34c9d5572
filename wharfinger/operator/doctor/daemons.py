"""What is wrong with the daemons of this host, by their own word."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import msgspec

from wharfinger.config import Section
from wharfinger.errors import ConfigError, Finding
from wharfinger.operator import settings
from wharfinger.operator.doctor.remedies import remedy
from wharfinger.operator.status import HEALTHY, MISCONFIGURED, Answer, asked_all
from wharfinger.sections import HostConfig
from wharfinger.text import shortened

CHECK_SECONDS: Final = 60.0
SAID_CHARACTERS: Final = 300


class _Checked(msgspec.Struct, frozen=True):
    findings: tuple[dict[str, str], ...]


def expected(path: Path | None) -> dict[str, type[Section]]:
    """The daemons that have run on this host: each leaves a folder of its own behind.

    Raises:
        ConfigError: where their state is cannot be told.
    """
    host: HostConfig = settings.section("host", HostConfig, path)
    models = settings.daemons()
    return {name: model for name, model in models.items() if (host.state_dir / name).is_dir()}


async def asked(path: Path | None, models: Mapping[str, type[Section]]) -> list[Answer]:
    """What they say of themselves."""
    return await asked_all(path, models)


def of_answers(answers: Sequence[Answer]) -> list[Finding]:
    """Those that are away, and every check that is red."""
    found = []
    for answer in answers:
        if answer.state == "unreachable":
            name = answer.daemon
            fix = f"start it (systemctl start wharfinger-{name}), or mend {name}.listen"
            problem = f"does not answer at {answer.listen}: {answer.why}"
            found.append(Finding(answer.daemon, problem, fix))
        elif answer.state not in (HEALTHY, MISCONFIGURED):
            follow = f"follow what it does: curl -N http://{answer.listen}/events"
            red = [each for each in answer.checks if not each.healthy]
            for each in red:
                fix = remedy(answer.daemon, each.name) or follow
                where = f"{answer.daemon}, check {each.name}"
                found.append(Finding(where, f"is red: {each.why}", fix))
            if not red:
                found.append(Finding(answer.daemon, f"is unhealthy: {answer.why}", follow))
    return found


def held(answers: Sequence[Answer], daemon: str) -> Mapping[str, Any]:
    """What a daemon's /status told; nothing where it did not."""
    for answer in answers:
        if answer.daemon == daemon and isinstance(answer.status, dict):
            return answer.status
    return {}


def entries(status: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of tables in a status; whatever listens there may have answered anything."""
    found = status.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


async def checked(name: str, path: Path | None) -> list[Finding]:
    """What the daemon's own `check` finds, run as a person would run it.

    Raises:
        ConfigError: it cannot be run.
    """
    points = {point.name: point for point in entry_points(group="console_scripts")}
    if name not in points:
        fix = "install the distribution: pip install -e ."
        raise ConfigError([Finding(name, "its command is not installed", fix)])
    module, _, function = points[name].value.partition(":")
    # By this interpreter, not by whatever is called so in some PATH.
    program = f"from {module} import {function}; {function}()"
    words = [sys.executable, "-c", program, "check", "--json"]
    if path is not None:
        words += ["--config", str(path)]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            out, complaint = await process.communicate()
    except TimeoutError:
        return [Finding(f"{name} check", f"does not end within {CHECK_SECONDS:g} s")]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        told = msgspec.json.decode(out, type=_Checked)
        return [Finding(**each) for each in told.findings]
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        said = shortened(complaint.decode(errors="replace").strip(), SAID_CHARACTERS)
        return [Finding(f"{name} check", f"ended with code {process.returncode}: {said}")]
