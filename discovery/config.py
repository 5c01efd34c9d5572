"""The `[discovery]` section, and the resource files below its confdir."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from discovery.builtin.config import NginxConfig
from discovery.commandline import command_problems
from discovery.confd.durations import duration_problem
from wharfinger.config import Section, doc
from wharfinger.errors import Finding
from wharfinger.sections import EtcdConfig, HostConfig, LogConfig

_MODE: Final = re.compile(r"(?:0o?)?[0-7]{3,4}", re.ASCII)
JINJA: Final = ".j2"


class ExecConfig(Section, frozen=True, kw_only=True):
    """A child that runs on what is rendered, as consul-template has it."""

    command: Annotated[str, doc("Run without a shell once every file is there.")]
    reload_signal: Annotated[
        Literal["", "HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"],
        doc("Sent after a change; empty: it is ended and run again."),
    ] = ""
    kill_signal: Annotated[
        Literal["HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2"], doc("Asks it to end.")
    ] = "TERM"
    # systemd's own patience ends after 90 seconds.
    kill_timeout_seconds: Annotated[float, doc("It is killed after that.", ge=0, le=80)] = 15.0
    splay_seconds: Annotated[
        float, doc("A signal or a restart waits for a random time up to that.", ge=0)
    ] = 0.0

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        if not self.command:
            yield Finding("command", "is empty", "write the program and its arguments")
        yield from command_problems("command", self.command)


class DiscoveryConfig(Section, frozen=True, kw_only=True):
    """etcd to configuration files, checked, swapped in whole, reloaded."""

    listen: Annotated[str, doc("HOST:PORT of /healthz, /metrics, /status.", restart=True)] = (
        "127.0.0.1:7202"
    )
    confdir: Annotated[Path, doc("Holds conf.d/*.toml and templates/, as confd's does.")] = Path(
        "/etc/wharfinger/discovery"
    )
    settle_seconds: Annotated[
        float, doc("A burst of changes is over when nothing came for so long.", ge=0)
    ] = 0.05
    settle_max_seconds: Annotated[float, doc("No change waits longer for quiet.", ge=0)] = 0.5
    min_reload_interval_seconds: Annotated[
        float, doc("From one render to the next; the last change is never lost.", ge=0)
    ] = 0.0
    splay_seconds: Annotated[
        float, doc("Each host renders so much later at most, always by the same.", ge=0)
    ] = 0.0
    interval_seconds: Annotated[
        float, doc("Lists everything anew so often, beside the watch; 0 for never.", ge=0)
    ] = 600.0
    prefix: Annotated[str, doc("Of every resource, in the place of its own.")] = ""
    sync_only: Annotated[bool, doc("Write files, run neither check_cmd nor reload_cmd.")] = False
    keep_stage_file: Annotated[
        bool, doc("A file that failed its check stays beside dest as .NAME.staged.")
    ] = False
    exec: Annotated[
        ExecConfig | None,
        doc("Present: a child runs on what is rendered.", shown="(off)", restart=True),
    ] = None
    nginx: Annotated[
        NginxConfig | None, doc("Present: the built-in Nginx resource is on.", shown="(off)")
    ] = None

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        if self.settle_max_seconds < self.settle_seconds:
            yield Finding("settle_max_seconds", "is below settle_seconds", "make it at least that")


class Config(Section, frozen=True, kw_only=True):
    """All that discovery reads of the file."""

    host: HostConfig = HostConfig()
    etcd: EtcdConfig = EtcdConfig()
    log: LogConfig = LogConfig()
    discovery: DiscoveryConfig = DiscoveryConfig()


class TemplateConfig(Section, frozen=True, kw_only=True):
    """The `[template]` table of a resource file: confd's fields and ours."""

    src: Annotated[str, doc("Template below confdir/templates: Jinja2 if it ends in .j2.")]
    dest: Annotated[str, doc("File to write, by its whole path.")]
    keys: Annotated[
        tuple[str, ...] | None,
        doc(
            "Keys, with all below them, that it sees.",
            shown='["/"], and none for the templates of confd, as there',
        ),
    ] = None
    prefix: Annotated[str, doc("Put before each of keys, and taken off again.")] = ""
    uid: Annotated[int | None, doc("Owner of dest by number.", shown="0")] = None
    gid: Annotated[int | None, doc("Group of dest by number.", shown="0")] = None
    owner: Annotated[str | None, doc("Owner of dest by name.")] = None
    group: Annotated[str | None, doc("Group of dest by name.")] = None
    mode: Annotated[str, doc("Permissions of dest in octal; as they are, or 0644.")] = ""
    check_cmd: Annotated[str, doc("Must pass; {{.src}} is the staged file.")] = ""
    reload_cmd: Annotated[str, doc("Run after the swap; {{.dest}} is the file.")] = ""
    check_timeout_seconds: Annotated[float, doc("check_cmd is ended after that.", gt=0)] = 30.0
    reload_timeout_seconds: Annotated[float, doc("reload_cmd is ended after that.", gt=0)] = 60.0
    min_instances: Annotated[
        int, doc("With fewer instances in all, the last good file stays.", ge=0)
    ] = 0
    mkdir: Annotated[bool, doc("Make the folder of dest.")] = False
    backup: Annotated[bool, doc("Keep the file before as DEST.bak.")] = False
    raw: Annotated[bool, doc("Show instances' values as they stand in etcd, unchecked.")] = False
    shell: Annotated[
        bool | None,
        doc("Run both commands by /bin/sh -c.", shown="(as confd does, for confd's templates)"),
    ] = None
    output_format: Annotated[
        Literal["", "json", "yaml", "yml", "toml", "xml"],
        doc("What is rendered must be that: json, yaml, toml or xml."),
    ] = ""
    min_reload_interval: Annotated[
        str, doc('From one reload to the next: "30s".', check=duration_problem)
    ] = "0s"
    debounce: Annotated[
        str,
        doc(
            'A change waits until it is quiet so long, at most 4 times: "2s".',
            check=duration_problem,
        ),
    ] = "0s"

    @property
    def by_shell(self) -> bool:
        """Whether a shell runs the commands: as confd has it, for the templates of confd."""
        return self.is_confds if self.shell is None else self.shell

    @property
    def is_confds(self) -> bool:
        """Whether it is a resource of confd's, which is taken as confd takes it."""
        return not self.src.endswith(JINJA)

    @property
    def seen_keys(self) -> tuple[str, ...]:
        """The keys that it sees: confd asks its store for what is named, and for nothing else."""
        if self.keys is not None:
            return self.keys
        return () if self.is_confds else ("/",)

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        if not self.seen_keys and not self.is_confds:
            yield Finding("keys", "is empty", 'write keys = ["/"] to see everything')
        if self.mode and not _MODE.fullmatch(self.mode):
            yield Finding("mode", f"{self.mode[:40]!r} is no octal mode", 'write it "0644"')
        for number, name in (("uid", "owner"), ("gid", "group")):
            if getattr(self, number) is not None and getattr(self, name) is not None:
                yield Finding(name, f"{number} and {name} are both set", "keep one of them")
        if not self.is_confds and (self.src.startswith("/") or ".." in Path(self.src).parts):
            yield Finding("src", "is not below confdir/templates", "name a file there")
        if not self.is_confds and not self.dest.startswith("/"):
            yield Finding("dest", f"{self.dest[:80]!r} is not absolute", "write the whole path")
        for number in ("uid", "gid"):
            if (getattr(self, number) or 0) < 0:
                yield Finding(number, "is negative", "leave it out to keep what is there")
        yield from self._path_problems()
        for where in ("check_cmd", "reload_cmd"):
            yield from command_problems(where, getattr(self, where), shell=self.by_shell)

    def _path_problems(self) -> Iterator[Finding]:
        for where in ("src", "dest"):
            if "\0" in getattr(self, where):
                yield Finding(where, "has a NUL", "no path can")
        # What ends in a slash would be the folder itself, were it empty.
        if not self.dest.rpartition("/")[2].strip("."):
            yield Finding("dest", f"{self.dest[:80]!r} names no file", "write the whole path")


class ResourceFile(Section, frozen=True, kw_only=True):
    """A file `confdir/conf.d/NAME.toml`."""

    template: TemplateConfig


class ResourceSetFile(Section, frozen=True, kw_only=True):
    """A file with several `[[template]]`, which are checked and reloaded as one."""

    template: tuple[TemplateConfig, ...]
    check_cmd: Annotated[str, doc("Of each that has none of its own.")] = ""
    reload_cmd: Annotated[str, doc("Of each that has none of its own; run once for all.")] = ""

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        if not self.template:
            yield Finding("template", "is empty", "write a [[template]] for each file")
