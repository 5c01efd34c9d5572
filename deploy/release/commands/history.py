"""`deploy history [ENV]`: what was done, newest first."""

import argparse
from datetime import datetime
from typing import Final

import msgspec

from deploy.release import showing
from deploy.release.commands import flags
from deploy.release.commands.opening import opened
from deploy.release.commands.site import environment_of, service_of
from deploy.release.records import choice
from deploy.release.records.record import Record
from deploy.release.records.releases import Releases
from wharfinger.errors import Exit
from wharfinger.operator import terminal
from wharfinger.operator.verbs import Verbs
from wharfinger.text import printable

TITLES: Final = (
    "ENVIRONMENT", "N", "RELEASE", "DID", "STATE", "INSTANCES", "AT", "TOOK", "BY", "DIGEST"
)  # fmt: skip
_DIGITS: Final = 19


def add_to(verbs: Verbs) -> None:
    """Adds `history` to the command."""
    parser = verbs.add("history", _history, "what was released where, newest first")
    parser.add_argument("environment", nargs="?", default="", metavar="ENV", help="this one alone")
    flags.add_app(parser)
    parser.add_argument(
        "--limit", type=flags.count, metavar="N", help="of each environment (deploy.history)"
    )


async def _history(parsed: argparse.Namespace) -> Exit:
    async with opened(parsed) as (site, app):
        asked = [environment_of(app, parsed.environment)] if parsed.environment else []
        limit = parsed.limit or site.config.deploy.history
        rows, told, said = [], [], []
        for environment in asked or app.environments.values():
            service = service_of(app, environment)
            releases = Releases(site.etcd, service, on_remark=site.progress.step)
            for each in choice.newest_first(await releases.history(), limit):
                rows.append((environment.name, str(each.number), *_cells(each.record)))
                if why := _why(each.record):
                    said.append(printable(f"{environment.name} {each.number}: {why}"))
                more = {"environment": environment.name, "number": each.number}
                told.append({**more, **msgspec.to_builtins(each.record)})
    showing.table(TITLES, rows, {"app": app.name, "releases": told}, as_json=parsed.json)
    # Reasons are sentences: in a column they would shred the others.
    if said and not parsed.json:
        terminal.write("\n" + "".join(f"{each}\n" for each in said))
    return Exit.OK


def _cells(record: Record) -> tuple[str, ...]:
    done = f"{record.verb} from {record.source}" if record.source else record.verb
    return (
        record.release,
        done,
        record.state,
        str(record.replicas or "each host"),
        record.at,
        _took(record),
        record.by,
        record.digest[:_DIGITS],
    )


def _why(record: Record) -> str:
    why = [record.reason, record.why, f"without evidence: {record.waived}" if record.waived else ""]
    why.append(f"approved: {record.approval}" if record.approval else "")
    return "; ".join(filter(None, why))


def _took(record: Record) -> str:
    try:
        began, ended = datetime.fromisoformat(record.at), datetime.fromisoformat(record.ended)
        return f"{(ended - began).total_seconds():.0f} s"
    except (ValueError, TypeError):
        return "-"
