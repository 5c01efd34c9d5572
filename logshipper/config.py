"""The [logshipper] section, and the whole configuration that the log shipper reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from logshipper.globs import parse_globs
from logshipper.lines.charset import compile_charset
from logshipper.linesconfig import LinesConfig
from logshipper.sinkconfig import AnySink, BulkConfig
from wharfinger.config import Section, doc
from wharfinger.errors import Finding, Rejected
from wharfinger.sections import DockerConfig, HostConfig, LogConfig


class FilesConfig(Section, frozen=True, kw_only=True):
    """Files of text on the host."""

    paths: Annotated[
        tuple[str, ...],
        doc("Absolute globs: *, ? and ** between slashes; links are not followed.", restart=True),
    ] = ()
    app: Annotated[str, doc("Documents carry it.", restart=True)] = ""
    env: Annotated[str, doc("Documents carry it.", restart=True)] = ""
    charset: Annotated[str, doc("What the files are written in.", restart=True)] = "utf-8"

    def problems(self) -> Iterator[Finding]:
        """Says which globs are none."""
        _, wrong = parse_globs(self.paths)
        for why in wrong:
            yield Finding("paths", why, 'write "/var/log/app/*.log"')
        if not self.paths:
            yield Finding("paths", "is empty", 'write paths = ["/var/log/app/*.log"]')
        try:
            compile_charset(self.charset)
        except Rejected as refusal:
            yield Finding("charset", str(refusal))


class LogshipperConfig(Section, frozen=True, kw_only=True):
    """The log shipper."""

    listen: Annotated[str, doc("Address of /healthz, /metrics, /status.", restart=True)] = (
        "127.0.0.1:7203"
    )
    sinks: Annotated[tuple[AnySink, ...], doc("Where logs go; each on its own.")] = (BulkConfig(),)
    poll_seconds: Annotated[
        float,
        doc("Look at every log so often, should inotify miss something.", gt=0, restart=True),
    ] = 5.0
    max_message_bytes: Annotated[
        int, doc("Longer messages are cut into numbered pieces.", ge=65_536, restart=True)
    ] = 2**20
    hold_deleted_bytes: Annotated[
        int,
        doc(
            "Unread bytes in deleted log files that may be kept on disk while a sink is down.",
            ge=0,
            restart=True,
        ),
    ] = 2**30
    spool_bytes: Annotated[
        int,
        doc(
            "Disk space for log files that Docker deleted before a sink took them, of each sink"
            " (compressed; 0: none, they are only held open).",
            ge=0,
            restart=True,
        ),
    ] = 2**30
    lag_alarm_bytes: Annotated[
        int, doc("Unhealthy when one log has so much that no sink holds yet.", ge=1)
    ] = 64 * 2**20
    lag_alarm_seconds: Annotated[
        float,
        doc("Unhealthy when a line has waited so long for a sink to hold it.", gt=0),
    ] = 300.0
    loss_alarm_seconds: Annotated[
        float, doc("Unhealthy for so long after bytes were lost.", ge=0)
    ] = 300.0

    events: Annotated[
        bool,
        doc(
            "What the daemons of this host say in /events is shipped, as app wharfinger.",
            restart=True,
        ),
    ] = False

    lines: Annotated[
        LinesConfig, doc("What is done to lines, where a container's labels say nothing else.")
    ] = LinesConfig()

    files: Annotated[
        tuple[FilesConfig, ...],
        doc("Files of the host's own that are shipped as containers' logs are.", restart=True),
    ] = ()

    def problems(self) -> Iterator[Finding]:
        """Says what is wrong in more than one field at once."""
        names = [sink.name for sink in self.sinks]
        if not names:
            yield Finding("sinks", "is empty", "write at least one [[logshipper.sinks]]")
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Finding("sinks", f"two are named {name!r}", "give each a name of its own")


class Config(Section, frozen=True, kw_only=True):
    """What the log shipper reads."""

    host: HostConfig = HostConfig()
    docker: DockerConfig = DockerConfig()
    log: LogConfig = LogConfig()
    logshipper: LogshipperConfig = LogshipperConfig()

    def folder_of(self, sink: AnySink) -> Path:
        """Where the shipper keeps what it knows of a sink."""
        return self.host.state_dir / "logshipper" / sink.name
