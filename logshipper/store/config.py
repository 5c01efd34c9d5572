"""The [logstore] section, and the whole configuration that the log store reads."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from logshipper.store.backendconfig import BackendConfig
from logshipper.store.fleetconfig import FleetConfig
from logshipper.store.model import DEFAULT_TENANT, TENANT
from wharfinger.config import Section, doc
from wharfinger.endpoints import parse_address
from wharfinger.errors import Finding
from wharfinger.sections import EtcdConfig, HostConfig, LogConfig
from wharfinger.servertls import TlsFiles


def _networks(texts: Sequence[str]) -> str:
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            return f"{text[:80]!r} is no network: {error}"
        if network.prefixlen == 0:
            return f"{text} is everybody, and anybody could say who they are"
    return ""


def _header(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9-]{0,64}", name, re.ASCII):
        return ""
    return f"{name[:80]!r} is no header's name"


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
        doc(
            "Tokens that may write, one a line: TOKEN or sha256:HEX, then tenant and name, if any."
        ),
    ] = None
    read_token_file: Annotated[
        Path | None, doc("Tokens that may read, in the same form; both are read again by itself.")
    ] = None
    admin_token_file: Annotated[
        Path | None,
        doc("Tokens that may read and drain what runs (fleet), in the same form."),
    ] = None
    session_days: Annotated[
        int, doc("Days that a browser stays signed in; it is signed out with its token.", ge=1)
    ] = 7
    cert_file: Annotated[
        Path | None,
        doc(
            "Certificate of this store, and those above it; turns TLS on.",
            shown='"/path"',
            restart=True,
        ),
    ] = None
    key_file: Annotated[
        Path | None, doc("Its key; both are read again by itself.", shown='"/path"', restart=True)
    ] = None
    client_ca_file: Annotated[
        Path | None,
        doc("CA whose certificate everybody has to show who comes.", shown='"/path"', restart=True),
    ] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        doc("Networks of proxies whose X-Forwarded-For and user_header count.", check=_networks),
    ] = ()
    user_header: Annotated[
        str,
        doc(
            "Header in which these proxies name the user who may read.",
            shown='"X-Forwarded-User"',
            check=_header,
        ),
    ] = ""
    user_tenant: Annotated[
        str, doc("Tenant of users that user_tenants does not name; empty to refuse them.")
    ] = DEFAULT_TENANT
    user_tenants: Annotated[
        dict[str, str],
        doc("Tenants of users, by name; of certificates, too.", shown='{ alice = "team-a" }'),
    ] = msgspec.field(default_factory=dict)
    host_names: Annotated[
        tuple[str, ...],
        doc("Names that browsers may use for a store without read tokens, beside localhost."),
    ] = ()
    read_requests_per_second: Annotated[
        float | None, doc("Questions of one reader; beyond it 429.", shown="20", gt=0)
    ] = None
    ingest_bytes_per_second: Annotated[
        int | None, doc("Unpacked bytes of one sender; beyond it 429.", shown="50000000", ge=1)
    ] = None
    audit_file: Annotated[
        Path | None, doc("Takes a line of JSON for each question and download.", shown='"/path"')
    ] = None
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
    fleet: Annotated[FleetConfig, doc("The fleet, beside the lines.")] = msgspec.field(
        default_factory=FleetConfig
    )

    def problems(self) -> Iterator[Finding]:
        """Says what is wrong in more than one field at once."""
        try:
            host, _ = parse_address(self.listen)
        except ValueError as error:
            yield Finding("listen", str(error), 'write "127.0.0.1:7280"')
            return
        yield from self._who()
        # Who shows a certificate of one's own CA is somebody.
        if is_loopback(host) or self.client_ca_file is not None:
            return
        for key, who in (("ingest_token_file", "write"), ("read_token_file", "read")):
            if getattr(self, key) is None and not (who == "read" and self.user_header):
                yield Finding(
                    "listen",
                    f"{self.listen} is open to other hosts, and without {key} anyone may {who}",
                    f"set {key}, or listen on 127.0.0.1",
                )

    @property
    def tls(self) -> TlsFiles | None:
        """What is served over TLS with; None without."""
        if self.cert_file is None or self.key_file is None:
            return None
        return TlsFiles(self.cert_file, self.key_file, self.client_ca_file, "logstore")

    def _who(self) -> Iterator[Finding]:
        if (self.cert_file is None) != (self.key_file is None):
            yield Finding("cert_file", "cert_file and key_file go together", "set both")
        if self.client_ca_file is not None and self.cert_file is None:
            fix = "set cert_file and key_file"
            yield Finding("client_ca_file", "certificates are shown over TLS only", fix)
        if self.user_header and not self.trusted_proxies:
            fix = "set trusted_proxies to the proxy's address"
            yield Finding("user_header", "counts from trusted proxies only", fix)
        if self.user_tenant and not TENANT.fullmatch(self.user_tenant):
            fix = "use letters, digits, - and _"
            yield Finding("user_tenant", f"{self.user_tenant[:64]!r} is no tenant", fix)
        for user, tenant in self.user_tenants.items():
            if not TENANT.fullmatch(tenant):
                fix = "use letters, digits, - and _"
                yield Finding("user_tenants", f"{user[:64]!r} has no possible tenant", fix)


class Config(Section, frozen=True, kw_only=True):
    """What the log store reads of the file."""

    host: Annotated[HostConfig, doc("This host.")] = msgspec.field(default_factory=HostConfig)
    etcd: Annotated[EtcdConfig, doc("The etcd v3 cluster.")] = msgspec.field(
        default_factory=EtcdConfig
    )
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
