"""`deploy unlock ENV`: takes the lock away from a command that hangs; that one stops."""

import argparse

from deploy.release import showing
from deploy.release.commands import flags
from deploy.release.commands.opening import opened
from deploy.release.commands.site import environment_of
from deploy.release.records.holder import ourselves
from deploy.release.records.lock import holder_of, seize
from wharfinger.errors import Exit
from wharfinger.keys import Service
from wharfinger.operator.verbs import Verbs


def add_to(verbs: Verbs) -> None:
    """Adds `unlock` to the command."""
    what = "stop whoever changes an environment; one that was killed needs it not, after 15 s"
    parser = verbs.add("unlock", _unlock, what)
    flags.add_environment(parser)
    flags.add_app(parser)
    flags.add_asker(parser)


async def _unlock(parsed: argparse.Namespace) -> Exit:
    async with opened(parsed) as (site, app):
        service = Service(app.name, parsed.environment)
        if (had := await holder_of(site.etcd, service)) is not None:
            site.progress.step(f"taking the lock from {had}, who stops within seconds")
            us = ourselves(site.by, site.config.host.name, "unlock", site.now())
            had = await seize(site.etcd, service, us)
        else:
            environment_of(app, parsed.environment)  # one that was taken out of it may be locked
    text = f"{parsed.environment} was locked by {had}" if had else "nobody has the lock"
    told = {"ok": True, "environment": parsed.environment, "had": had}
    showing.result(told, as_json=parsed.json, text=text)
    return Exit.OK
