"""`deploy history [ENV]`: what was done, newest first."""

import argparse
from datetime import datetime
from typing import Final

import msgspec

from deploy.release import showing
from deploy.release.columns import GONE, Cell, Grid, digest, moment, plain
from deploy.release.commands import flags
from deploy.release.commands.opening import opened
from deploy.release.commands.site import environment_of
from deploy.release.records import choice
from deploy.release.records.record import Numbered, Record
from deploy.release.records.releases import Releases
from wharfinger.errors import Exit
from wharfinger.keys import Service
from wharfinger.operator import terminal
from wharfinger.operator.verbs import Verbs
from wharfinger.text import printable

TITLES: Final = (
    "ENVIRONMENT", "N", "RELEASE", "DID", "STATE", "INSTANCES", "AT", "TOOK", "BY", "DIGEST"
)  # fmt: skip
STEPS: Final = (
    ("DIGEST", 1), ("AT", 1), ("DIGEST", 2), ("DID", 1), ("DIGEST", GONE), ("AT", 2),
    ("INSTANCES", GONE), ("TOOK", GONE), ("BY", GONE),
)  # fmt: skip


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
        asked = [parsed.environment] if parsed.environment else list(app.environments)
        limit = parsed.limit or site.config.deploy.history
        rows, told, said = [], [], []
        for name in asked:
            service = Service(app.name, name)
            releases = Releases(site.etcd, service, on_remark=site.progress.step)
            history = await releases.history()
            if not history:
                environment_of(app, name)  # of one that was taken out of it, the records are left
            for each in choice.newest_first(history, limit):
                rows.append(_cells(name, each))
                if why := _why(each.record):
                    said.append(printable(f"{name} {each.number}: {why}"))
                more = {"environment": name, "number": each.number}
                told.append({**more, **msgspec.to_builtins(each.record)})
    whole = {"app": app.name, "releases": told}
    showing.fitted(Grid(TITLES, rows, STEPS), whole, as_json=parsed.json)
    # Reasons are sentences: in a column they would shred the others.
    if said and not parsed.json:
        terminal.write("\n" + "".join(f"{each}\n" for each in said))
    return Exit.OK


def _cells(environment: str, done: Numbered) -> tuple[Cell, ...]:
    record = done.record
    return (
        plain(environment),
        plain(str(done.number)),
        plain(record.release),
        (f"{record.verb} from {record.source}", record.verb) if record.source else (record.verb,),
        plain(record.state),
        plain("none" if record.verb == "down" else str(record.replicas or "each host")),
        moment(record.at),
        plain(_took(record)),
        plain(record.by),
        digest(record.digest),
    )


def _why(record: Record) -> str:
    why = [record.reason, record.why, f"without evidence: {record.waived}" if record.waived else ""]
    why.append(f"approved: {record.approval}" if record.approval else "")
    return "; ".join(filter(None, why))


def _took(record: Record) -> str:
    try:
        began, ended = datetime.fromisoformat(record.at), datetime.fromisoformat(record.ended)
        seconds = (ended - began).total_seconds()
    except (ValueError, TypeError):
        return ""
    # A clock that was set back has measured nothing.
    return f"{seconds:.0f} s" if seconds >= 0 else ""
