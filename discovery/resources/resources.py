"""The resources of one configuration: read, checked, with names resolved to numbers."""

import grp
import pwd
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from discovery.builtin.config import NginxConfig
from discovery.confd.durations import seconds_of
from discovery.confd.paths import clean
from discovery.confd.resourcefile import translated
from discovery.config import JINJA, DiscoveryConfig, ResourceFile, ResourceSetFile, TemplateConfig
from wharfinger.config import load
from wharfinger.errors import ConfigError, Finding
from wharfinger.sources import Table

BUILTIN: Final = "nginx"
TEMPLATES: Final = Path(__file__).parent / "templates"
BUILTIN_TEMPLATE: Final = TEMPLATES / "nginx.conf.j2"
# Whoever has no template of that name gets ours.
SHIPPED: Final = frozenset({"haproxy.cfg.j2", "hosts.j2"})
# confd asks for no ending: any other is one of its templates.
FOREIGN: Final = frozenset({".jinja", ".jinja2", ".erb", ".mustache", ".pongo2"})


@dataclass(frozen=True, slots=True)
class Resource:
    """One file to keep true.

    Attributes:
        name: of its resource file, without the ending; `nginx` for the built-in one.
        template: the template's file; its ending names the engine.
        dest: the file to write.
        keys: what it sees of etcd, with `prefix` before each.
        prefix: see `keys`.
        uid: owner, None for the process's own.
        gid: group, None for the process's own.
        mode: permissions; None for those of the file as it is, or 0644.
        check_cmd: run before the new file counts; empty for none.
        reload_cmd: run when it counts; empty for none.
        check_timeout_seconds: for `check_cmd`.
        reload_timeout_seconds: for `reload_cmd`.
        min_instances: with fewer instances in its view nothing is rendered.
        mkdir: make the folder of `dest`.
        backup: keep the file before as `DEST.bak`.
        raw: sees instances' values unchecked.
        shell: both commands are run by /bin/sh.
        output_format: what the content must be; empty for anything.
        min_reload_interval_seconds: from one reload to the next.
        debounce_seconds: a change waits for so long a quiet time.
        nginx: set for the built-in resource.
    """

    name: str
    template: Path
    dest: Path
    keys: tuple[str, ...] = ("/",)
    prefix: str = ""
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    check_cmd: str = ""
    reload_cmd: str = ""
    check_timeout_seconds: float = 30.0
    reload_timeout_seconds: float = 60.0
    min_instances: int = 0
    mkdir: bool = False
    backup: bool = False
    raw: bool = False
    shell: bool = False
    output_format: str = ""
    min_reload_interval_seconds: float = 0.0
    debounce_seconds: float = 0.0
    nginx: NginxConfig | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What the files of a confdir say.

    Attributes:
        resources: what can be kept true.
        files: the names of the resources of each file, good or bad.
        findings: what is wrong.
        passed_over: what confd would not say a word about.
    """

    resources: tuple[Resource, ...]
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    passed_over: tuple[Finding, ...] = ()


def load_resources(config: DiscoveryConfig) -> tuple[Resource, ...]:
    """Reads the files in `confdir/conf.d`, and adds the built-in resource where it is on.

    As confd does, it looks into folders, and takes every name that ends in `toml`.

    Raises:
        ConfigError: with every finding in every file.
    """
    found = find_resources(config)
    if found.findings:
        raise ConfigError(found.findings)
    return found.resources


def find_resources(
    config: DiscoveryConfig,
    before: Found = Found(resources=()),
) -> Found:
    """The same, but a broken file costs nothing but itself.

    Args:
        config: where they are.
        before: what was found last: a file that is broken now leaves its resources as they were.
    """
    found = [] if config.nginx is None else [_builtin(config.nginx)]
    files: dict[str, tuple[str, ...]] = {}
    findings: list[Finding] = []
    passed_over: list[Finding] = []
    kept = {resource.name: resource for resource in before.resources}
    folder = config.confdir / "conf.d"
    for path in sorted(path for path in folder.rglob("*toml") if path.is_file()):
        name = str(path.relative_to(folder))
        try:
            read = _read(path, config, passed_over)
        except ConfigError as error:
            findings.extend(_placed(finding, path) for finding in error.findings)
            read = [kept[name] for name in before.files.get(name, ()) if name in kept]
        files[name] = tuple(resource.name for resource in read)
        found.extend(read)
    sound, faults = _shared(found)
    if config.sync_only:
        sound = [replace(resource, check_cmd="", reload_cmd="") for resource in sound]
    return Found(tuple(sound), files, (*findings, *faults), tuple(passed_over))


def _read(path: Path, config: DiscoveryConfig, passed_over: list[Finding]) -> list[Resource]:
    folder = config.confdir / "templates"
    below = path.relative_to(config.confdir / "conf.d")
    name = "-".join((*below.parent.parts, path.stem))

    def amend(file: Table) -> None:
        passed_over.extend(translated(file, TemplateConfig, native=JINJA))

    if not _is_set(path):
        template = load(ResourceFile, path=path, environment={}, amend=amend).value.template
        passed_over.extend(_blind(template, path))
        return [_resource(name, template, folder, config.prefix)]
    whole = load(ResourceSetFile, path=path, environment={}).value
    for template in whole.template:
        passed_over.extend(_blind(template, path))
    made: list[Resource] = []
    findings: list[Finding] = []
    for number, template in enumerate(whole.template, 1):
        shared = msgspec.structs.replace(
            template,
            check_cmd=template.check_cmd or whole.check_cmd,
            reload_cmd=template.reload_cmd or whole.reload_cmd,
        )
        try:
            findings.extend(shared.problems())
            made.append(_resource(f"{name}-{number}", shared, folder, config.prefix))
        except ConfigError as error:
            findings.extend(error.findings)
    if findings:
        raise ConfigError(findings)
    return made


def _is_set(path: Path) -> bool:
    """Whether it has several templates; what cannot be read is told by whoever reads it."""
    try:
        return isinstance(tomllib.loads(path.read_text()).get("template"), list)
    except (OSError, ValueError, RecursionError):
        return False


def _builtin(nginx: NginxConfig) -> Resource:
    return Resource(
        name=BUILTIN,
        template=BUILTIN_TEMPLATE,
        dest=nginx.dest,
        check_cmd=nginx.check_cmd,
        reload_cmd=nginx.reload_cmd,
        check_timeout_seconds=nginx.check_timeout_seconds,
        reload_timeout_seconds=nginx.reload_timeout_seconds,
        min_instances=nginx.min_instances,
        nginx=nginx,
    )


def _resource(name: str, template: TemplateConfig, folder: Path, prefix: str) -> Resource:
    if template.src in SHIPPED and not (folder / template.src).exists():
        folder = TEMPLATES
    # As confd joins them: what begins with a slash is below the folder, too.
    path = folder / template.src.lstrip("/")
    findings = list(_template_problems(path))
    uid, gid = template.uid, template.gid
    if template.owner is not None:
        try:
            uid = pwd.getpwnam(template.owner).pw_uid
        except KeyError:
            findings.append(Finding("template.owner", f"no user {template.owner!r} here"))
    if template.group is not None:
        try:
            gid = grp.getgrnam(template.group).gr_gid
        except KeyError:
            findings.append(Finding("template.group", f"no group {template.group!r} here"))
    if findings:
        raise ConfigError(findings)
    return Resource(
        name=name,
        template=path,
        dest=Path(template.dest).absolute(),
        keys=template.seen_keys,
        # confd's own way: the fork would join the two.
        prefix=clean("/" + (prefix or template.prefix)).rstrip("/"),
        uid=uid,
        gid=gid,
        mode=int(template.mode, 8) if template.mode else None,
        check_cmd=template.check_cmd,
        reload_cmd=template.reload_cmd,
        check_timeout_seconds=template.check_timeout_seconds,
        reload_timeout_seconds=template.reload_timeout_seconds,
        min_instances=template.min_instances,
        mkdir=template.mkdir,
        backup=template.backup,
        raw=template.raw,
        shell=template.by_shell,
        output_format="yaml" if template.output_format == "yml" else template.output_format,
        min_reload_interval_seconds=seconds_of(template.min_reload_interval),
        debounce_seconds=seconds_of(template.debounce),
    )


def _blind(template: TemplateConfig, path: Path) -> Iterator[Finding]:
    if template.keys is None and template.is_confds:
        problem = "is not there: the template sees nothing of etcd, as with confd"
        yield Finding("template.keys", problem, 'keys = ["/"] shows it everything', f"file {path}")


def _template_problems(path: Path) -> Iterator[Finding]:
    if path.suffix in FOREIGN:
        problem = f"no template engine for the ending {path.suffix!r}"
        yield Finding("template.src", problem, "known: .j2 for Jinja2; any other is confd's")
    elif not path.is_file():
        yield Finding("template.src", f"no file {path}", "name a file below confdir/templates")


def _placed(finding: Finding, path: Path) -> Finding:
    source = finding.source or f"file {path}"
    return Finding(finding.where, finding.problem, finding.fix, source)


def _shared(resources: list[Resource]) -> tuple[list[Resource], list[Finding]]:
    """Two resources of one name or one file would undo each other's work for ever."""
    names: dict[str, Resource] = {}
    files: dict[Path, Resource] = {}
    sound, findings = [], []
    for resource in resources:
        first = files.setdefault(resource.dest.absolute(), resource)
        if names.setdefault(resource.name, resource) is not resource:
            fix = "rename its file, or leave [discovery.nginx] out"
            findings.append(Finding(resource.name, "two resources have this name", fix))
        elif first is not resource:
            problem = f"{first.name} and {resource.name} both write {resource.dest}"
            findings.append(Finding("template.dest", problem, "give each a file of its own"))
        else:
            sound.append(resource)
    return sound, findings
