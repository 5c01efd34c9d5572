"""A change of an environment by a verb: its rollout, then the tag, the notices, what is shown."""

import argparse
from collections.abc import Awaitable, Callable

import msgspec

from deploy.release import showing
from deploy.release.app.model import App, Environment
from deploy.release.commands.rollout import History, Rollout, Wanted
from deploy.release.commands.site import Site, service_of
from deploy.release.engine import NoRoom
from deploy.release.notify import Notice, send
from deploy.release.notify.notice import Outcome
from deploy.release.records import choice
from deploy.release.records.record import Numbered, Record, Verb
from deploy.release.records.releases import Releases
from wharfinger.errors import WharfingerError


def rollout(
    parsed: argparse.Namespace, site: Site, app: App, environment: Environment, verb: Verb
) -> Rollout:
    """A rollout as the command line asks for it."""
    wait = site.config.deploy.lock_wait_seconds if parsed.wait is None else parsed.wait
    return Rollout(site, app, environment, verb, wait)


async def change(wanted: Rollout, choose: Callable[[History], Awaitable[Wanted]]) -> Numbered:
    """Carries it out, and tells of it whoever shall know; gives its record.

    Args:
        wanted: where, and for which verb.
        choose: says under the lock what shall run, or refuses.

    Raises:
        WharfingerError: as of `Rollout.run`, and whatever `choose` refuses with.
    """
    chosen: list[Wanted] = []

    async def choosing(history: History) -> Wanted:
        chosen.append(await choose(history))
        return chosen[-1]

    try:
        done = await wanted.run(choosing)
    except NoRoom:
        raise  # chosen, and nothing was begun
    except WharfingerError as error:
        # A refusal is for whoever asked, and nothing has changed.
        for each in chosen:
            await _tell(wanted, each.release, each.image, why=str(error))
        raise
    if wanted.verb not in ("scale", "down"):
        await _point(wanted, done)
    if wanted.verb != "scale":
        await _tell(wanted, done.record.release, done.record.image)
    return done


def show(done: Numbered, environment: Environment, *, as_json: bool) -> None:
    """Shows what came of it."""
    record = done.record
    count = "" if environment.everywhere else f", {record.replicas} of it"
    told = {
        "ok": True,
        "environment": environment.name,
        "number": done.number,
        **msgspec.to_builtins(record),
    }
    text = f"{environment.name} runs {record.release}{count}: {record.image}"
    showing.result(told, as_json=as_json, text=text)


async def _point(wanted: Rollout, done: Numbered) -> None:
    """Points the tag with the environment's name to what runs there now, for people.

    Nothing is deployed by it, so a registry that is away is told and no more: a rollback must
    not need one. Nor does anybody wait for it with the lock: whoever was overtaken meanwhile
    finds that afterwards, and points it to what has overtaken them.
    """
    site, tag = wanted.site, wanted.environment.name
    releases = Releases(site.etcd, service_of(wanted.app, wanted.environment))
    serving: Record | None = done.record
    pointed = ""
    try:
        async with site.registry() as registry:
            while serving is not None and serving.digest != pointed:
                await registry.put_tag(wanted.app.image, serving.digest, tag)
                pointed = serving.digest
                serving = choice.serving(await releases.history())
    except WharfingerError as error:
        what = "may not be the last" if pointed else "was not moved"
        site.progress.step(f"the tag {tag} {what}, which does no harm: {error}")


async def _tell(wanted: Rollout, release: str, image: str, *, why: str = "") -> None:
    site = wanted.site
    notice = Notice(
        outcome=Outcome.FAILED if why else Outcome.PASSED,
        what=wanted.verb,
        app=wanted.app.name,
        environment=wanted.environment.name,
        release=release,
        image=image,
        by=site.by,
        at=site.now(),
        why=why,
    )
    for trouble in await send(notice, site.config.deploy.notify):
        site.progress.step(f"not told: {trouble}")
