"""The [logstore] section, and the whole configuration that the log store reads."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from logshipper.store.backendconfig import BackendConfig
from wharfinger.config import Section, doc
from wharfinger.endpoints import parse_address
from wharfinger.errors import Finding
from wharfinger.sections import HostConfig, LogConfig


class LogstoreConfig(Section, frozen=True, kw_only=True):
    """The central log store."""

    listen: Annotated[
        str, doc("HOST:PORT of everything: ingest, API, page, health.", restart=True)
    ] = "127.0.0.1:7280"
    data_dir: Annotated[
        Path | None,
        doc("Where the lines are.", shown="(host.state_dir)/logstore", restart=True),
    ] = None
    ingest_token_file: Annotated[
        Path | None,
        doc("Tokens that may write, one a line: TOKEN or sha256:HEX, then a tenant if several."),
    ] = None
    read_token_file: Annotated[Path | None, doc("Tokens that may read, in the same form.")] = None
    retention_days: Annotated[int, doc("Whole days that a line is kept.", ge=1, le=3650)] = 7
    retention_bytes: Annotated[
        int | None,
        doc("Beyond so many bytes the oldest days go early.", shown="100000000000", ge=1),
    ] = None
    min_free_bytes: Annotated[
        int, doc("With less free on the disk, new lines are refused until there is more.", ge=0)
    ] = 256 * 2**20
    queue_bytes: Annotated[
        int, doc("Bodies waiting to be committed; beyond it senders get 429.", ge=2**20)
    ] = 64 * 2**20

    backend: Annotated[BackendConfig, doc("Another engine that holds the lines.")] = msgspec.field(
        default_factory=BackendConfig
    )

    def problems(self) -> Iterator[Finding]:
        """Says what is wrong in more than one field at once."""
        try:
            host, _ = parse_address(self.listen)
        except ValueError as error:
            yield Finding("listen", str(error), 'write "127.0.0.1:7280"')
            return
        if is_loopback(host):
            return
        for key, who in (("ingest_token_file", "write"), ("read_token_file", "read")):
            if getattr(self, key) is None:
                yield Finding(
                    "listen",
                    f"{self.listen} is open to other hosts, and without {key} anyone may {who}",
                    f"set {key}, or listen on 127.0.0.1",
                )


class Config(Section, frozen=True, kw_only=True):
    """What the log store reads of the file."""

    host: Annotated[HostConfig, doc("This host.")] = msgspec.field(default_factory=HostConfig)
    log: Annotated[LogConfig, doc("What the daemons say.")] = msgspec.field(
        default_factory=LogConfig
    )
    logstore: Annotated[LogstoreConfig, doc("The central log store.")] = msgspec.field(
        default_factory=LogstoreConfig
    )

    @property
    def data_dir(self) -> Path:
        """Where the lines are."""
        return self.logstore.data_dir or self.host.state_dir / "logstore"


def is_loopback(host: str) -> bool:
    """Whether only this host can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
