"""`deploy notify passed|failed`: tells everybody in [deploy.notify] how something ended."""

import argparse

from deploy.release import showing
from deploy.release.commands import flags, opening
from deploy.release.commands.site import timestamp
from deploy.release.config import asker
from deploy.release.notify import Notice, send
from deploy.release.notify.notice import Outcome
from wharfinger.errors import Exit, Unavailable
from wharfinger.operator.verbs import Verbs


def add_to(verbs: Verbs) -> None:
    """Adds `notify` to the command."""
    parser = verbs.add("notify", _notify, "tell people and programs how a pipeline ended")
    parser.add_argument("outcome", choices=[each.value for each in Outcome], help="how it ended")
    parser.add_argument("--what", default="pipeline", metavar="WHAT", help="that ended (pipeline)")
    for flag, told in (
        ("environment", "that it is about"),
        ("release", "that it is about"),
        ("image", "by its digest"),
        ("url", "where more is to be read"),
        ("why", "what went wrong"),
    ):
        parser.add_argument(f"--{flag}", default="", metavar=flag.upper(), help=told)
    flags.add_app(parser)
    flags.add_asker(parser)


async def _notify(parsed: argparse.Namespace) -> Exit:
    app, config = opening.application(parsed), opening.configuration(parsed)
    notice = Notice(
        outcome=Outcome(parsed.outcome),
        what=parsed.what,
        app=app.name,
        environment=parsed.environment,
        release=parsed.release,
        image=parsed.image,
        by=asker(config.deploy),
        at=timestamp(),
        why=parsed.why,
        url=parsed.url,
    )
    if troubles := await send(notice, config.deploy.notify):
        raise Unavailable("\n".join(troubles))
    told = bool(config.deploy.notify.webhook_url_file or config.deploy.notify.mail_to)
    text = (
        "" if told else "nobody is told: [deploy.notify] names no webhook_url_file and no mail_to"
    )
    showing.result({"ok": True, "told": told}, as_json=parsed.json, text=text)
    return Exit.OK
