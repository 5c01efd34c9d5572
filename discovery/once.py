"""One pass without a daemon: list, render, publish, leave; or only show the difference."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from discovery import guard
from discovery.builtin.certificates import Certificates
from discovery.builtin.nginxfile import Site
from discovery.config import Config
from discovery.daemon import locked, prefixes_of, state_dir_of
from discovery.lanes.lanes import Lanes
from discovery.memory import Memory
from discovery.model import Snapshot
from discovery.nginx.pushing import Pushing
from discovery.nginx.running import reader_of
from discovery.observer import Observer
from discovery.publish import holds
from discovery.publish.history import History
from discovery.publish.publisher import Publisher
from discovery.publish.swap import Swap
from discovery.resources.render import compile_template, render
from discovery.resources.resources import Resource, find_resources, load_resources
from discovery.services.mock import snapshot_of
from discovery.services.tree import UNHEARD, Tree
from wharfinger.errors import Exit, Finding, Rejected
from wharfinger.etcd import Etcd
from wharfinger.kv import Listed, ranges_of
from wharfinger.lifecycle import Scope
from wharfinger.notify import Notifier

_SEEDED: Final = re.compile(r'(w\.seed\("[A-Za-z0-9._-]+", )[0-9]+')


async def publish_once(config: Config) -> tuple[Exit, list[str]]:
    """Renders and publishes everything once.

    Returns:
        The exit code, and of each resource that did not get into service why.

    Raises:
        Unavailable: etcd cannot be listed, or a daemon runs with this state.
    """
    found = find_resources(config.discovery)
    resources = found.resources
    state_dir = state_dir_of(config)
    async with locked(state_dir):
        publisher = Publisher(state_dir, reader_of, keep_staged=config.discovery.keep_stage_file)
        await publisher.recover()
        scope = Scope("discovery", Notifier())
        snapshot = await _guarded(config, resources, scope)

        async def latest() -> Snapshot:
            return snapshot

        for finding in found.passed_over:
            scope.events.emit("resource file is taken as by confd", "warning", what=str(finding))
        history = History(state_dir)
        holds.renew(history, holds.fingerprints(resources, config.discovery.confdir / "templates"))
        lanes = Lanes(
            config,
            resources,
            snapshot=latest,
            publisher=publisher,
            pushing=Pushing(scope, config.host.runtime_dir),
            history=history,
            scope=scope,
        )
        await lanes.apply()
    failures = [*lanes.failures, *map(str, found.findings)]
    code = Exit.CONFIG if found.findings else Exit.TRY_LATER if failures else Exit.OK
    return code, failures


async def differences(config: Config, data: Path | None = None) -> tuple[Exit, list[str]]:
    """What a pass would change, as unified diffs; writes nothing.

    Args:
        config: of the daemon.
        data: a file that is read in the place of etcd (see `discovery.services.mock`).

    Raises:
        ConfigError: a resource file has a fault.
        Unavailable: etcd cannot be listed.
    """
    resources = load_resources(config.discovery)
    snapshot = snapshot_of(data) if data else await _listed(config, resources)
    # A trial with made-up data shows what the templates do.
    history = None if data else History(config.host.state_dir / "discovery")
    code, lines = Exit.OK, list[str]()
    for resource in resources:
        try:
            lines.extend(_difference(resource, _wanted(config, resource, snapshot, history)))
        except Rejected as error:
            code = Exit.TRY_LATER
            lines.append(f"# {resource.name}: {error}")
    return code, lines


async def findings_with(config: Config, data: Path) -> list[Finding]:
    """What is wrong with resources and templates if etcd held what this file says.

    Nothing is asked, run or written.

    Raises:
        ConfigError: the file cannot be used.
    """
    snapshot = snapshot_of(data)
    found = find_resources(config.discovery)
    findings: list[Finding] = list(found.findings)
    rejected = list(snapshot.rejected)
    for resource in found.resources:
        try:
            template = compile_template(resource.template)
            rendered = render(resource, template, snapshot, _site(config, resource, snapshot))
        except Rejected as error:
            findings.append(Finding(resource.name, str(error), "", str(data)))
        else:
            rejected += rendered.refused
    findings += (Finding(one.key, f"is left out: {one.reason}", "", str(data)) for one in rejected)
    return findings


def _wanted(
    config: Config, resource: Resource, snapshot: Snapshot, history: History | None
) -> bytes:
    hold = history.held(resource.name) if history and resource.nginx is None else None
    if history and hold:
        return history.content(resource.name, hold.generation)
    template = compile_template(resource.template)
    return render(resource, template, snapshot, _site(config, resource, snapshot)).content


def _site(config: Config, resource: Resource, snapshot: Snapshot) -> Site:
    """As the daemon would most likely have it: it asks Nginx, which a look must not."""
    if resource.nginx is None:
        return Site()
    push = resource.nginx.mode == "push" or _SEEDED.search(_content(resource.dest)) is not None
    pushed_to = resource.nginx.pushed_at(config.host.runtime_dir)
    hosts = {route.host for service in snapshot.services for route in service.routes}
    certificates = Certificates(resource.nginx.tls_dir).of(hosts)
    return Site(push and resource.nginx.mode != "reload", pushed_to, certificates)


def _content(path: Path) -> str:
    return (Swap(path).content or b"").decode(errors="backslashreplace")


def _difference(resource: Resource, content: bytes) -> Iterator[str]:
    # When a service's peers were seeded is no difference between them.
    before = _SEEDED.sub(r"\g<1>0", _content(resource.dest))
    yield from difflib.unified_diff(
        _lines(before),
        _lines(content.decode(errors="backslashreplace")),
        f"{resource.dest}",
        f"{resource.dest} (rendered)",
        lineterm="",
    )


def _lines(text: str) -> list[str]:
    """Its lines; a value of etcd's may hold whatever else looks like the end of one."""
    *lines, rest = text.split("\n")
    return [*lines, f"{rest}\n\\ No newline at end of file"] if rest else lines


async def _guarded(config: Config, resources: tuple[Resource, ...], scope: Scope) -> Snapshot:
    """As the daemon has it: what etcd has lost since the last pass is kept while it answers."""
    async with Etcd(config.etcd) as etcd:
        prefixes = prefixes_of(resources)
        observer = Observer(
            etcd, prefixes, scope=scope, state_dir=state_dir_of(config), on_change=lambda: None
        )
        found = await etcd.list_ranges(ranges_of(prefixes, UNHEARD))
        await observer.take(Listed(found))
        for _ in range(guard.FAILURES_TO_DROP):
            await observer.probe()
        snapshot = await observer.served()
        await observer.save()
    return snapshot


async def _listed(config: Config, resources: tuple[Resource, ...]) -> Snapshot:
    async with Etcd(config.etcd) as etcd:
        found = await etcd.list_ranges(ranges_of(prefixes_of(resources), UNHEARD))
    tree = Tree()
    tree.hear(Listed(found))
    # A service that the daemon remembers keeps its upstream in this pass, too.
    known = Memory(config.host.state_dir / "discovery").known()
    return guard.served(tree.snapshot(), {}, known)
