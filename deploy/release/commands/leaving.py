"""What a take-down is about: an environment, be it in wharf.yaml or not, and what runs of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploy.release.app.model import App, EngineName, Environment
from deploy.release.commands.site import Site, service_of
from deploy.release.engine import Replica
from deploy.release.engines import departure
from deploy.release.engines.instances import Instances
from deploy.release.records import choice
from deploy.release.records.record import Numbered, Record
from deploy.release.records.releases import Releases
from deploy.release.records.standing import digest_of
from wharfinger.errors import Rejected, Unavailable
from wharfinger.keys import Service
from wharfinger.text import printable, quantity

MAX_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What is there.

    Attributes:
        app: whose it is.
        environment: that shall be taken down.
        release: what is taken away; None where nothing was ever released.
        down: the take-down since which nothing should run; None where none was.
        is_tried_since: whether something was tried after that; it failed, and is the last word.
        replicas: what the engine runs of it.
        others: what the engine files with it, though its labels say that it is of something else.
        elsewhere: addresses that requests are sent to, and that are none of these replicas.
        drained: by address, of none of these replicas: registrars keep them out of etcd, and what
            still runs of them, no address tells.
        back: the command that brings it back.
    """

    app: App
    environment: Environment
    release: Record | None
    down: Record | None
    is_tried_since: bool
    replicas: tuple[Replica, ...]
    others: tuple[Replica, ...]
    elsewhere: Mapping[str, str]
    drained: Mapping[str, str]
    back: str

    @property
    def is_down(self) -> bool:
        """Whether it was taken down already, and nothing of it is left."""
        ended = self.down is not None and self.down.state == "succeeded"
        return ended and not (self.is_tried_since or self.replicas or self.elsewhere)

    @property
    def named(self) -> str:
        """The release, by its name or else by the digest of what runs."""
        if self.release is not None:
            return self.release.release
        return digest_of(self.replicas[0])[:19] if self.replicas else ""

    @property
    def image(self) -> str:
        """Of that, as far as it is known."""
        if self.release is not None:
            return self.release.image
        return self.replicas[0].image if self.replicas else ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What there is, for whoever is to say yes to it."""
        last = "nothing is known to have been released there"
        if (known := self.release) is not None:
            last = f"released last: {known.release}, by {known.by or 'somebody'} at {known.at}"
        count = quantity(len(self.replicas), "instance")
        what = f"{self.app.name} in {self.environment.name}, on {self.environment.engine.value}"
        said = [f"{what}: {count}; {last}"]
        said += [
            f"  {_named(each)}: {each.state}, {self._of(each)}"
            for each in self.replicas[:MAX_SHOWN]
        ]
        if len(self.replicas) > MAX_SHOWN:
            said.append(f"  and {len(self.replicas) - MAX_SHOWN} more")
        said += [f"  {each}" for each in self.let_be]
        return tuple(map(printable, said))

    def _of(self, replica: Replica) -> str:
        """The image; with its repository where that is not the one of wharf.yaml."""
        repository = replica.image.partition("@")[0]
        shown = digest_of(replica)[:19] or "by no digest"
        return shown if repository == self.app.image else f"{shown} of {repository}"

    @property
    def let_be(self) -> tuple[str, ...]:
        """What is there beside, and is not taken away."""
        said = []
        if self.others:
            names = ", ".join(map(_named, self.others))
            said.append(f"by its labels of something else, and let be: {names}")
        if self.elsewhere:
            said.append(f"none of these, and let be: {departure.shown(self.elsewhere)}")
        if self.drained:
            names = departure.shown(self.drained)
            said.append(f"drained, and not on this engine: {names}; if it runs still, say it there")
        return tuple(map(printable, said))


def environment_meant(
    app: App, name: str, history: Sequence[Numbered], *, was: str = "", docker: str | None = None
) -> Environment:
    """The environment of that name, as wharf.yaml says it, or else as it was released last.

    Args:
        app: of wharf.yaml.
        name: of the environment.
        history: of it, oldest first.
        was: what the application was called; empty where it has its name.
        docker: address of its engine, where that is none of those written down; None for none.

    Raises:
        Rejected: nobody knows it; or it is not where wharf.yaml has it.
    """
    found, last = app.environments.get(name), choice.to_take_down(history)
    if was and found is not None and last is not None and last.engine != found.engine.value:
        found = None  # what wharf.yaml says is of the application as it is called now
    if last is None:
        if found is None:
            there = ", ".join(app.environments) or "none"
            whose = f"{name[:80]!a} of {(was or app.name)[:80]!a}"
            told = f"neither wharf.yaml nor etcd knows an environment {whose}"
            raise Rejected(f"{told}; wharf.yaml has {there}")
    elif found is None:
        try:
            found = Environment(name=name, engine=EngineName(last.engine))
        except ValueError:
            raise Rejected(f"the record of {last.release} in {name} names no engine") from None
    elif last.engine and last.engine != found.engine.value:
        raise Rejected(
            f"{name} is on {found.engine.value} by wharf.yaml, and {last.release} was released "
            f"there on {last.engine}: write that back to take it away"
        )
    return found if docker is None else replace(found, docker=docker)


def require_ours(leaving: Leaving) -> None:
    """Refuses what would be no take-down of this environment.

    Raises:
        Unavailable: there is nothing of it, or not where we are.
    """
    name, app = leaving.environment.name, leaving.app.name
    if leaving.replicas or (leaving.down is not None and leaving.down.state != "succeeded"):
        return
    if leaving.elsewhere:
        raise Unavailable(
            f"nothing of {app} in {name} runs on this engine, and requests are sent to "
            f"{departure.shown(leaving.elsewhere)}: say it there, or name its engine by --docker"
        )
    if leaving.release is None:
        raise Unavailable(f"nothing of {app} was ever released to {name}, and nothing runs there")


async def look(
    site: Site, app: App, name: str, *, was: str = "", docker: str | None = None
) -> Leaving:
    """What is there now.

    Args:
        site: whatever is outside.
        app: of wharf.yaml.
        name: of the environment.
        was: what the application was called; empty where it has its name.
        docker: address of the engine, where that is none of those written down.

    Raises:
        Rejected: no such environment is known.
        Unavailable: etcd or the engine does not answer.
    """
    service = Service(was or app.name, name)
    history = await Releases(site.etcd, service, on_remark=site.progress.step).history()
    environment = environment_meant(app, name, history, was=was, docker=docker)
    return await seen(site, replace(app, name=service.app), environment, history)


async def seen(
    site: Site, app: App, environment: Environment, history: Sequence[Numbered]
) -> Leaving:
    """The same of an environment that is known, given its history.

    Raises:
        Unavailable: etcd or the engine does not answer.
    """
    running = await site.engine_of(app, environment).running()
    replicas = tuple(each for each in running if each.own)
    ids = {each.id for each in replicas}
    service = service_of(app, environment)
    instances = Instances(site.etcd, service, by=site.by, tell=site.progress.step)
    own = {each.key.endpoint.value for each in await instances.held() if each.container in ids}
    names = {each.name for each in replicas}
    out = (await instances.hosts()).kept_out(service)
    addresses, down = await instances.addresses(), choice.taken_down(history)
    return Leaving(
        app=app,
        environment=environment,
        release=choice.to_take_down(history),
        down=down,
        is_tried_since=down is not None and history[-1].record != down,
        replicas=replicas,
        others=tuple(each for each in running if not each.own),
        elsewhere={at: what for at, what in addresses.items() if at not in own},
        drained={at: f"{name} on {host}" for at, (name, host) in out.items() if name not in names},
        back=choice.way_back(history, environment.name),
    )


def _named(replica: Replica) -> str:
    return f"{replica.name} on {replica.host}" if replica.host else replica.name
