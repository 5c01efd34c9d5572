"""`deploy status [ENV]`: what should run, what does, and who changes it."""

import argparse
import asyncio
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from deploy.release import showing
from deploy.release.app.model import App, Environment
from deploy.release.columns import GONE, Cell, Grid, digest, moment, plain
from deploy.release.commands import flags
from deploy.release.commands.opening import opened
from deploy.release.commands.site import Site, declared, environment_of, service_of
from deploy.release.engine import Replica
from deploy.release.engines import registered
from deploy.release.records.holder import Holder
from deploy.release.records.releases import Releases
from deploy.release.records.standing import Standing, standing
from wharfinger.errors import Exit, WharfingerError
from wharfinger.keys import INSTANCES
from wharfinger.operator import terminal
from wharfinger.operator.verbs import Verbs
from wharfinger.text import printable

TITLES: Final = ("ENVIRONMENT", "ENGINE", "RELEASE", "DIGEST", "UP", "SINCE", "BY", "CHANGED BY")
STEPS: Final = (
    ("DIGEST", 1), ("SINCE", 1), ("CHANGED BY", 1), ("DIGEST", 2), ("SINCE", 2),
    ("DIGEST", GONE), ("ENGINE", GONE), ("BY", GONE),
)  # fmt: skip
# Where it changes all the while, the last look has to do.
_LOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class Row:
    """An environment as it is shown."""

    environment: Environment
    standing: Standing
    replicas: tuple[Replica, ...]
    holder: Holder | None
    is_answering: bool

    @property
    def is_well(self) -> bool:
        """Whether it is as it should be."""
        return not self.standing.remarks

    @property
    def next_step(self) -> tuple[str, ...]:
        """What mends it, where it can be mended from here; `up` alone takes the newest push."""
        record, name = self.standing.serving, self.environment.name
        if self.holder is not None:
            return ()
        if (down := self.standing.down) is not None:
            more = not self.is_well and self.standing.to_take
            again = (f"`deploy down {name}` takes away what is left",) if more else ()
            if not self.standing.has_succeeded:
                return again
            return (*again, f"`deploy rollback {name}` brings {down.release} back")
        if self.is_well or record is None or not self.is_answering:
            return ()
        return (f"`deploy up {name} {record.release}` brings back what should run, and that alone",)

    @property
    def release(self) -> str:
        """What should run; a take-down is not called one before it has ended well."""
        if (down := self.standing.down) is not None:
            return "down" if down.state == "succeeded" else "half down"
        return self.standing.serving.release if self.standing.serving else ""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """In the order of the titles."""
        now, serving = self.standing, self.standing.serving
        record = serving or now.down
        return (
            plain(self.environment.name),
            plain(self.environment.engine.value),
            plain(self.release),
            digest(serving.digest if serving else ""),
            plain(f"{now.up}/{now.wanted}" if self.is_answering else "?"),
            moment((record.ended or record.at) if record else ""),
            plain(record.by if record else ""),
            (str(self.holder), self.holder.brief) if self.holder else plain(""),
        )

    @property
    def told(self) -> dict[str, Any]:
        """The same for programs, and more."""
        now = self.standing
        return {
            "environment": self.environment.name,
            "engine": self.environment.engine.value,
            "ok": self.is_well,
            "down": msgspec.to_builtins(now.down) if now.down else None,
            "serving": msgspec.to_builtins(now.serving) if now.serving else None,
            "up": now.up,
            "wanted": now.wanted,
            "running": [{"digest": each, "instances": count} for each, count in now.running],
            "instances": [msgspec.to_builtins(each) for each in self.replicas],
            "lock": msgspec.to_builtins(self.holder) if self.holder else None,
            "remarks": list(now.remarks),
            "news": list(now.news),
        }


def add_to(verbs: Verbs) -> None:
    """Adds `status` to the command."""
    what = "what should run in each environment, and what does; 69 where these differ"
    parser = verbs.add("status", _status, what)
    parser.add_argument("environment", nargs="?", default="", metavar="ENV", help="this one alone")
    flags.add_app(parser)


async def _status(parsed: argparse.Namespace) -> Exit:
    async with opened(parsed) as (site, app):
        asked = [environment_of(app, parsed.environment)] if parsed.environment else []
        chosen = asked or list(app.environments.values())
        rows = await asyncio.gather(*(_row(site, app, each) for each in chosen))
        left = {} if asked else await _left_behind(site, app)
    told = {"app": app.name, "environments": [each.told for each in rows], "left_behind": left}
    grid = Grid(TITLES, [each.cells for each in rows], STEPS)
    showing.fitted(grid, told, as_json=parsed.json)
    said = [
        printable(f"{row.environment.name}: {text}")
        for row in rows
        for text in (*row.standing.remarks, *row.next_step, *row.standing.news)
    ]
    if asked:
        # Of all they would bury the table.
        said += [printable(line) for row in rows for line in row.standing.last_words]
    said += [
        printable(
            f"{environment}: is not in wharf.yaml, and requests are still sent to "
            f"{', '.join(names)}; write it back, or `deploy down {environment}` takes it away"
        )
        for environment, names in left.items()
    ]
    if said and not parsed.json:
        terminal.write("\n" + "".join(f"{each}\n" for each in said))
    return Exit.OK if not left and all(each.is_well for each in rows) else Exit.UNAVAILABLE


async def _left_behind(site: Site, app: App) -> dict[str, tuple[str, ...]]:
    """What runs of environments that were renamed, or taken out of wharf.yaml."""
    try:
        found = await site.etcd.list(f"{INSTANCES}{app.name}_")
    except WharfingerError:
        # A deployer of one environment may not look at others.
        return {}
    return registered.elsewhere(app.name, app.environments, found.items)


async def _row(site: Site, app: App, environment: Environment) -> Row:
    """An environment as it is while nobody changes it: what etcd says before and after is the same.

    A rollout that begins between etcd's answer and the engine's would look like a fault.
    """
    remarks: dict[str, None] = {}
    releases = Releases(site.etcd, service_of(app, environment), on_remark=remarks.setdefault)
    seen, away = await releases.seen(), ""
    replicas: tuple[Replica, ...] = ()
    for _ in range(_LOOKS):
        before, replicas = seen, ()
        try:
            replicas, away = await site.engine_of(app, environment).running(), ""
        except WharfingerError as error:
            away = str(error)
        seen = await releases.seen()
        if seen == before:
            break
    for remark in remarks:
        site.progress.step(remark)
    holder = seen.holder or before.holder
    found = standing(
        seen.history, replicas, declared=declared(environment), is_locked=holder is not None
    )
    if away:
        found = Standing(
            serving=found.serving,
            wanted=found.wanted,
            up=0,
            running=(),
            remarks=(away,),
            down=found.down,
            to_take=found.to_take,
            has_succeeded=found.has_succeeded,
        )
    return Row(environment, found, replicas, holder, not away)
