"""Whether an image may go to an environment: its evidence, where it runs now, somebody's word."""

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.release.app.model import App, Environment
from deploy.release.commands.site import Site, service_of
from deploy.release.engine import Replica
from deploy.release.evidence import approval, gate
from deploy.release.records.record import Record
from deploy.release.records.releases import Releases
from deploy.release.records.standing import digest_of
from wharfinger.errors import Unavailable


class Refused(Unavailable):
    """It may not go there as it is; the message says all that is missing, and what brings it."""


@dataclass(frozen=True, slots=True)
class Source:
    """The environment that an image comes from.

    Attributes:
        release: that runs there.
        digest: of it.
        faults: why it cannot be promoted from there; nothing when it can.
    """

    release: str
    digest: str
    faults: tuple[str, ...]


async def admit(
    site: Site,
    app: App,
    environment: Environment,
    digest: str,
    *,
    words: str,
    faults: Sequence[str] = (),
) -> str:
    """Lets an image in, or says everything that it lacks; gives the words of its approval.

    Args:
        site: whatever is outside.
        app: of wharf.yaml.
        environment: where it shall go.
        digest: of the image.
        words: of an approval that is given now, which is kept at the digest; empty for none.
        faults: what is wrong already.

    Raises:
        Refused: it lacks something.
        Unavailable: the registry does not answer, so that nothing is proved.
    """
    if not (environment.needs or environment.approve or words or faults):
        return ""
    needs = list(environment.needs)
    approved = approval.check_of(environment.name)
    if environment.approve and not words:
        needs.append(approved)
    async with site.registry() as registry:
        held = await registry.evidence(app.image, digest, on_remark=site.progress.step)
        evidence = approval.without_others(held, app.name)
        lacking = [*faults, *gate.missing(needs, app.checks, evidence, digest=digest)]
        if lacking:
            what = f"{app.name} {digest[:19]} may not go to {environment.name}"
            raise Refused("\n".join([f"{what}:", *(f"  - {each}" for each in lacking)]))
        if words:
            whose = (app.name, environment.name)
            given = approval.approval(*whose, words, by=site.by, at=site.now())
            await registry.attach(app.image, digest, given)
            site.progress.step(f"approved by {site.by}, kept at the digest as {approved}")
            return words
    newest = gate.newest(evidence).get(approved)
    return f"{newest.note} ({newest.by}, {newest.at})" if newest and environment.approve else ""


async def source(site: Site, app: App, environment: Environment) -> Source:
    """What runs in an environment that something shall be promoted from.

    Raises:
        Unavailable: etcd or the engine does not answer.
    """
    history = await Releases(site.etcd, service_of(app, environment)).history()
    last = history[-1].record if history else None
    replicas = await site.engine_of(app, environment).running()
    digests = sorted({digest_of(each) for each in replicas})
    faults = [*_by_record(environment, last), *_by_engine(environment, replicas, digests)]
    if last is not None and digests and last.digest not in digests:
        faults.append(
            f"{environment.name} should run {last.digest[:19]} ({last.release}) and runs "
            f"{', '.join(each[:19] for each in digests)}; deploy up {environment.name}"
        )
    return Source(
        release=last.release if last else "",
        digest=last.digest if last else "",
        faults=tuple(faults),
    )


def _by_record(environment: Environment, last: Record | None) -> list[str]:
    again = f"deploy up {environment.name}"
    match last:
        case None:
            return [f"nothing was ever released to {environment.name}; {again}"]
        case Record(verb="down", state="succeeded"):
            by = f"by {last.by or 'somebody'} since {last.ended}"
            return [f"{environment.name} is down, {by}: it runs nothing; {again}"]
        case Record(state="succeeded"):
            return []
        case Record(state="running"):
            return [f"a rollout in {environment.name} is under way, or was cut off; {again}"]
        case _:
            why = f": {last.why}" if last.why else ""
            if last.verb == "down":
                return [f"{environment.name} is half-way taken down{why}; {again}"]
            return [f"the last rollout in {environment.name} {_ended(last)}{why}; {again}"]


def _ended(record: Record) -> str:
    return "was rolled back" if record.state == "rolled back" else "failed"


def _by_engine(
    environment: Environment, replicas: Sequence[Replica], digests: Sequence[str]
) -> list[str]:
    if not replicas:
        return [f"{environment.name} runs nothing; deploy up {environment.name}"]
    faults = []
    if len(digests) > 1:
        shown = ", ".join(each[:19] for each in digests)
        faults.append(f"{environment.name} runs several images: {shown}")
    not_up = [each for each in replicas if each.state != "up"]
    if not_up:
        shown = ", ".join(f"{each.name} is {each.state}" for each in not_up)
        faults.append(f"not every instance in {environment.name} is up: {shown}")
    return faults
