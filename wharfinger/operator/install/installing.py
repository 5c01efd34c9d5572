"""An installation from its request to its result: look, check, plan, show, do, wait."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from wharfinger.errors import Exit, Finding, Rejected, Unavailable
from wharfinger.operator import terminal
from wharfinger.operator.install import (
    applying,
    asking,
    checks,
    configuration,
    credentials,
    looking,
    showing,
    starting,
    surroundings,
    wishing,
)
from wharfinger.operator.install.model import CONFIG, ROLES, Plan, Record, Start, Step, roles_of
from wharfinger.operator.install.plan import plan
from wharfinger.operator.install.removal import removal
from wharfinger.operator.install.root import Root
from wharfinger.operator.install.wishing import Answers

RUNTIME_STAYS: Final = Finding(
    "runtime", "stays in front of runc", "wharfinger uninstall --runtime takes it out"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line and the environment say.

    Attributes:
        root: the root folder of the host.
        role: as it was written; None where it was not.
        settings: of the configuration, dotted key to text.
        store: the log store's address.
        pki: folder or archive of certificates and secrets.
        programs: the folder that the units shall call.
        nginx: discovery writes for Nginx.
        runtime: the runtime in front of runc is there, or will be.
        force: files that others have changed are written anew.
        start: units are started.
        wait_seconds: for them to be ready.
        purge: data and secrets are removed as well.
        dry_run: show, and change nothing.
        as_json: for programs.
        asks: a person may be asked.
    """

    root: Path = Path("/")
    role: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    store: str | None = None
    pki: Path | None = None
    programs: str | None = None
    nginx: bool = True
    runtime: bool = False
    force: bool = False
    start: bool = True
    wait_seconds: float = 60.0
    purge: bool = False
    dry_run: bool = False
    as_json: bool = False
    asks: bool = False


async def install(request: Request) -> Exit:
    """Puts on a host what is missing, starts it, and waits until it is ready.

    Returns:
        OK; UNAVAILABLE where something must be mended first or a daemon failed; TRY_LATER where
        one is not ready yet.

    Raises:
        Rejected: something that is needed was not said, or cannot be done.
        ConfigError: the configuration has a mistake.
        Unavailable: a step failed; the same request goes on from there.
        Conflict: another installation is under way.
    """
    with closing(_root(request)) as root:
        record = applying.read_record(root)
        answers = _answers(request, record)
        wanted, asked, config = wishing.wish(answers, root, record)
        with credentials.staged(config.etcd, answers.credentials) as etcd:
            ours = looking.processes(root)
            around = await surroundings.look(root, asked, config.docker, etcd, ours)
        refused = list(checks.refusals(asked, around))
        warned = list(checks.warnings(asked, around))
        if refused and not request.dry_run:
            return _refuse(refused, warned, as_json=request.as_json)
        found = looking.found(root, record, wanted)
        planned = plan(wanted, found)
        if request.dry_run:
            _show(request, root, planned, warned, refused)
            return Exit.UNAVAILABLE if refused else Exit.OK
        return await _carry_out(request, root, planned, warned, record)


async def uninstall(request: Request) -> Exit:
    """Takes off a host what was put there; data and what others have changed stay, unless purged.

    Returns:
        OK; UNAVAILABLE where Nginx must be looked after by hand.

    Raises:
        Rejected: there is no such role.
        Unavailable: a step failed; the same request goes on from there.
        Conflict: another installation is under way.
    """
    with closing(_root(request)) as root:
        record = applying.read_record(root)
        roles = _going(request, record)
        found = looking.found(root, record, None)
        config = configuration.configured(root)
        data, reload = looking.data(root, config), looking.reload(root, config)
        planned = removal(roles, found, purge=request.purge, data=data, reload=reload)
        if request.runtime and not (planned.after and planned.after.roles):
            planned = replace(planned, remarks=(*planned.remarks, RUNTIME_STAYS))
        if request.dry_run:
            _show(request, root, planned, [], [])
            return Exit.OK
        if planned.steps and os.geteuid() != 0:
            return _refuse([checks.NOT_ROOT], [], as_json=request.as_json)
        return await _carry_out(request, root, planned, [], record)


def has_role(role: str) -> bool:
    """Whether this host has a role; somebody who may not read that does not install either."""
    with closing(Root(Path("/"))) as root, suppress(Unavailable, Rejected):
        record = applying.read_record(root)
        return record is not None and role in record.roles
    return False


def _root(request: Request) -> Root:
    try:
        return Root(request.root)
    except OSError as error:
        raise Rejected(f"--root {request.root}: {error.strerror}") from error


def _answers(request: Request, record: Record | None) -> Answers:
    had = record.roles if record else frozenset()
    someone = asking.ask if request.asks and asking.at_terminal() else None
    roles = asking.roles(request.role, had, someone)
    environment = dict(os.environ)
    known = {
        "etcd": bool(had)
        or "etcd.endpoints" in request.settings
        or "WHARFINGER_ETCD__ENDPOINTS" in environment
        or request.root.joinpath(CONFIG[1:]).exists(),
        "store": bool(had or request.store) or request.root.joinpath(CONFIG[1:]).exists(),
    }
    further, store = asking.further(roles, known, someone)
    return Answers(
        roles=roles,
        settings={**further, **request.settings},
        environment=environment,
        store=request.store or store,
        credentials=credentials.given(request.pki) if request.pki else {},
        programs=request.programs,
        nginx=request.nginx,
        runtime=request.runtime,
        force=request.force,
        start=request.start,
    )


def _going(request: Request, record: Record | None) -> frozenset[str]:
    if request.role is None:
        had = record.roles if record else frozenset()
        return had or frozenset(ROLES if request.purge else ())
    try:
        return roles_of(request.role)
    except ValueError as error:
        raise Rejected(f"--role: {error}") from error


def _refuse(refused: Sequence[Finding], warned: Sequence[Finding], *, as_json: bool) -> Exit:
    if as_json:
        terminal.show_page({"findings": list(refused), "warnings": list(warned)})
        return Exit.UNAVAILABLE
    for each in warned:
        terminal.complain(f"warning: {each}")
    for each in refused:
        terminal.complain(str(each))
    terminal.complain("nothing was changed")
    return Exit.UNAVAILABLE


def _show(
    request: Request,
    root: Root,
    planned: Plan,
    warned: Sequence[Finding],
    refused: Sequence[Finding],
) -> None:
    if request.as_json:
        terminal.show_page({**showing.page(planned, root, warned), "findings": list(refused)})
        return
    for each in (*refused, *warned, *planned.remarks):
        terminal.complain(str(each))
    for line in showing.lines(planned, root):
        terminal.write(f"{line}\n")
    if not planned.steps:
        terminal.write("nothing to do\n")


async def _carry_out(
    request: Request,
    root: Root,
    planned: Plan,
    warned: Sequence[Finding],
    record: Record | None,
) -> Exit:
    told = _teller(root) if not request.as_json else lambda _step: None
    left: tuple[Finding, ...] = ()
    if not request.as_json:
        for each in (*warned, *planned.remarks):
            terminal.complain(str(each))
    if planned.steps or planned.after != record:
        left = applying.apply(planned, root, told, starting.begin)
    started = [name for step in planned.steps if isinstance(step, Start) for name in step.daemons]
    outcomes = await starting.awaited(started, request.wait_seconds, as_json=request.as_json)
    if request.as_json:
        page = showing.page(planned, root, warned)
        terminal.show_page({**page, "outcomes": outcomes, "findings": list(left)})
    elif not planned.steps:
        terminal.write("nothing to do\n")
    for each in left if not request.as_json else ():
        terminal.complain(str(each))
    return Exit.UNAVAILABLE if left else starting.verdict(outcomes)


def _teller(root: Root) -> Callable[[Step], None]:
    """Tells each step on a line, and the many files of the manual on one."""
    shared = []

    def told(step: Step) -> None:
        if showing.is_shared(step):
            shared.append(step)
            if len(shared) > 1:
                return
        line = showing.SHARED if showing.is_shared(step) else showing.headline(step, root)
        terminal.write(f"{line}\n")

    return told
