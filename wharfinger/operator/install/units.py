"""What systemd says of the units, and how they are started and waited for."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wharfinger.errors import Unavailable
from wharfinger.operator.install.commands import said
from wharfinger.operator.install.model import ROLES, TARGET, Start, Unit, unit
from wharfinger.operator.install.root import Root
from wharfinger.text import quantity

PROPERTIES: Final = "Id,ActiveState,UnitFileState,LoadState,NeedDaemonReload"
PROGRESS: Final = "ActiveState,SubState,Result,StatusText,NRestarts,Job"
SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.3
JOURNAL_LINES: Final = 10
# So often started anew is a unit that does not come up.
RESTARTS: Final = 3

NAMES: Final = (*(unit(each) for role in ROLES.values() for each in role), TARGET)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How starting one ended.

    Attributes:
        daemon: its name.
        state: `ready`, `waiting` or `failed`.
        why: in systemd's words, or its own.
        journal: its last lines, where it is not ready.
    """

    daemon: str
    state: str
    why: str = ""
    journal: tuple[str, ...] = ()


def seen(root: Root) -> dict[str, Unit]:
    """Each unit of ours as systemd sees it; none where it does not say."""
    if not root.live:
        return {name: Unit(enabled=_enabled(root, name)) for name in NAMES}
    told = said("systemctl", "show", f"--property={PROPERTIES}", *NAMES)
    found = {}
    for block in told.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines())
        masked = fields.get("LoadState") == "masked"
        found[fields.get("Id", "")] = Unit(
            fields.get("ActiveState", "inactive"),
            "masked" if masked else fields.get("UnitFileState", ""),
            fields.get("NeedDaemonReload") == "yes",
        )
    return found


def processes() -> list[int]:
    """The main process of each unit that runs."""
    told = said("systemctl", "show", "--property=MainPID", *NAMES)
    numbers = (line.partition("=")[2] for line in told.splitlines())
    return [int(each) for each in numbers if each.isdecimal() and each != "0"]


def begin(step: Start) -> None:
    """Has systemd start them, one after the other, and does not wait.

    Raises:
        Unavailable: systemd refuses.
    """
    names = [unit(each) for each in step.daemons]
    said("systemctl", "reset-failed", *names)
    for name in step.daemons:
        verb = "restart" if name in step.restart else "start"
        command = ["systemctl", "--no-block", verb, unit(name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")
    said("systemctl", "--no-block", "start", TARGET)


async def ready(
    names: Sequence[str], tell: Callable[[str], None], seconds: float = SECONDS
) -> list[Outcome]:
    """Waits until each is ready, has failed, or the time is up.

    Args:
        names: of the daemons.
        tell: hears what is waited for.
        seconds: for all of them.
    """
    end = time.monotonic() + seconds
    outcomes: dict[str, Outcome] = {}
    while len(outcomes) < len(names):
        late = time.monotonic() >= end
        for name in (each for each in names if each not in outcomes):
            outcome = await asyncio.to_thread(_looked, name, late=late)
            if outcome is not None:
                outcomes[name] = outcome
                tell(f"{name} is {outcome.state}")
        if len(outcomes) < len(names):
            await asyncio.sleep(LOOK_SECONDS)
    return [outcomes[name] for name in names]


def _looked(name: str, *, late: bool) -> Outcome | None:
    told = said("systemctl", "show", f"--property={PROGRESS}", unit(name))
    fields = dict(line.partition("=")[::2] for line in told.splitlines())
    state, status = fields.get("ActiveState", ""), fields.get("StatusText", "")
    # A restart that is still in the queue shows the state of the process that will end.
    if state == "active" and fields.get("Job", "0") in ("", "0"):
        return Outcome(name, "ready", status)
    restarts = int(fields.get("NRestarts") or 0)
    if state == "failed" or restarts >= RESTARTS:
        why = f"{fields.get('Result', '')}, started anew {quantity(restarts, 'time')}"
        return Outcome(name, "failed", why, journal(name))
    return Outcome(name, "waiting", status or state, journal(name)) if late else None


def journal(name: str) -> tuple[str, ...]:
    """The last lines of a unit's log."""
    lines = str(JOURNAL_LINES)
    told = said("journalctl", "-u", unit(name), "-n", lines, "--no-pager", "-o", "cat", "-q")
    return tuple(told.splitlines())


def _enabled(root: Root, name: str) -> str:
    return said("systemctl", f"--root={root.path}", "is-enabled", name).strip()
