"""What an uninstall takes away: what was put there, unless somebody has changed it since."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from wharfinger.errors import Finding
from wharfinger.operator.install.model import (
    TARGET,
    Found,
    Kept,
    Plan,
    Record,
    Reload,
    Remove,
    Run,
    Step,
    Unit,
    daemons,
    unit,
)

# What goes with the lines and keys of a site: it opens them when they are installed again.
WITH_DATA = ("secret", "token")
# What makes folders at a boot: without that of its socket Nginx would not start by the file it has.
MADE_AT_BOOT = "/etc/tmpfiles.d/"


def removal(
    roles: frozenset[str],
    found: Found,
    *,
    purge: bool,
    data: Mapping[str, Sequence[str]],
    reload: Reload | None = None,
) -> Plan:
    """The steps that take roles from a host.

    Args:
        roles: to be taken away; those that the host does not have are none.
        found: what is there.
        purge: data, secrets and what was changed by hand as well.
        data: the folders of each daemon's data, that are there.
        reload: of the Nginx that runs; None where none does.
    """
    record = found.record
    if record is None:
        if not purge:
            return Plan()
        # An uninstall before it has kept the data, or a package has put the rest there.
        record = Record("", roles)
    going, left = record.roles & roles, record.roles - roles
    whole = not left
    steps: list[Step] = [*_stopping(daemons(going), found, whole=whole)]
    held: dict[str, Kept] = {}
    remarks: list[Finding] = []
    serves = any(map(_is_nginx, data.get("discovery", ())))
    for path, kept in record.files.items():
        goes = whole or kept.role in going
        if goes and serves and not purge and path in found.files and path.startswith(MADE_AT_BOOT):
            why = "is kept: Nginx's file needs its folder after a boot"
            remarks.append(Finding(path, why, "--purge removes both"))
            held[path] = kept
            continue
        step, remark = _taken(path, kept, found, goes=goes, purge=purge)
        steps += [step] if step else []
        remarks += [remark] if remark else []
        if step is None and path in found.files:
            held[path] = kept
    steps += _data(daemons(going or (roles if whole else going)), data, remarks, purge=purge)
    if reload and any(isinstance(each, Remove) and _is_nginx(each.path) for each in steps):
        steps.append(reload)
    if found.live and any(
        "/systemd/system/" in each.path for each in steps if isinstance(each, Remove)
    ):
        steps.append(Run(("systemctl", "daemon-reload"), "has systemd forget its units"))
    after = replace(record, roles=left, files=held, unfinished=()) if left or held else None
    return Plan(tuple(steps), tuple(remarks), found.record, after)


def _stopping(names: Sequence[str], found: Found, *, whole: bool) -> Iterator[Step]:
    wanted = [unit(each) for each in reversed(names)] + ([TARGET] if whole else [])
    seen = {each: found.units.get(each, Unit()) for each in wanted}
    running = [each for each, is_ in seen.items() if is_.state in ("active", "activating")]
    if found.live and running:
        yield Run(("systemctl", "stop", *running), "stops them")
    if enabled := [each for each, is_ in seen.items() if is_.enabled == "enabled"]:
        yield Run(("systemctl", "disable", *enabled), "no boot starts them", offline=True)


def _taken(
    path: str, kept: Kept, found: Found, *, goes: bool, purge: bool
) -> tuple[Remove | None, Finding | None]:
    """The step for one file, or why there is none."""
    present = found.files.get(path)
    if not goes or present is None:
        return None, None
    if purge:
        return Remove(path, "was put there, and all goes"), None
    if kept.kind in WITH_DATA:
        return None, Finding(path, "is kept, with the data", "--purge removes it")
    if present.data is None or present.digest not in kept.digests:
        return None, Finding(path, "was changed by hand and is kept", "--purge removes it")
    return Remove(path, "was put there"), None


def _data(
    names: Sequence[str],
    data: Mapping[str, Sequence[str]],
    remarks: list[Finding],
    *,
    purge: bool,
) -> Iterator[Remove]:
    for name in names:
        for folder in data.get(name, ()):
            if purge:
                yield Remove(folder, f"is what {name} has written")
            else:
                what = "Nginx serves by it" if _is_nginx(folder) else "it holds data"
                remarks.append(Finding(folder, f"is kept: {what}", "--purge removes it"))


def _is_nginx(path: str) -> bool:
    """Whether it is what discovery writes for Nginx, and not a folder of ours."""
    return path.endswith(".conf") and not path.startswith(MADE_AT_BOOT)
