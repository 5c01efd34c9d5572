"""What every [[logshipper.sinks]] table has, and those over TLS and over HTTP beside it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from wharfinger.errors import Finding
from wharfinger.schema import Section, doc

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
ADDRESS_PATTERN: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([1-9][0-9]{0,4})", re.ASCII
)
SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})

Compression: TypeAlias = Literal["gzip", "zstd", "none"]


class SinkConfig(Section, frozen=True, kw_only=True):
    """One place that logs go to, with a checkpoint of its own."""

    name: Annotated[
        str, doc("Name of its checkpoint and metrics; several sinks need one each.", restart=True)
    ] = "main"
    type: Annotated[str, doc("What it is.", restart=True)] = ""
    apps: Annotated[
        tuple[str, ...],
        doc(
            "Only what these patterns match is taken; all without any; `!` excludes.",
            shown='["shop", "pay-*", "!pay-test"]',
            restart=True,
        ),
    ] = ()
    envs: Annotated[
        tuple[str, ...], doc("The same for the environment.", shown='["prod"]', restart=True)
    ] = ()
    labels: Annotated[
        tuple[str, ...],
        doc(
            "The same for labels of the container: NAME=PATTERN, or NAME alone.",
            shown='["com.example.team=pay*"]',
            restart=True,
        ),
    ] = ()
    request_timeout_seconds: Annotated[
        float, doc("For one request; a sink that hangs is tried again.", gt=0, restart=True)
    ] = 30.0
    batch_bytes: Annotated[
        int, doc("Size of a body before compression.", ge=1024, restart=True)
    ] = 2 * 2**20
    batch_seconds: Annotated[
        float, doc("Longest wait for a body to fill.", gt=0, le=60, restart=True)
    ] = 0.2
    requests: Annotated[int, doc("Requests at the same time.", ge=1, le=64, restart=True)] = 4

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        if not NAME_PATTERN.fullmatch(self.name):
            fix = "use letters, digits, '.', '-' and '_', at most 64 characters"
            yield Finding("name", f"{self.name[:64]!r} cannot be a folder's name", fix)


class TlsConfig(SinkConfig, frozen=True, kw_only=True):
    """A sink that may be reached over TLS."""

    ca_file: Annotated[
        Path | None,
        doc(
            "Who signs the server's certificate; the system's list else.",
            shown='"/path"',
            restart=True,
        ),
    ] = None
    cert_file: Annotated[
        Path | None,
        doc("Certificate that the server asks for (mTLS).", shown='"/path"', restart=True),
    ] = None
    key_file: Annotated[Path | None, doc("Its key.", shown='"/path"', restart=True)] = None

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        yield from super().problems()
        if (self.cert_file is None) != (self.key_file is None):
            given, missing = (
                ("cert_file", "key_file") if self.cert_file else ("key_file", "cert_file")
            )
            yield Finding(given, f"stands without {missing}", f"write {missing} as well")


class HttpConfig(TlsConfig, frozen=True, kw_only=True):
    """A sink that is reached over HTTP."""

    url: Annotated[str, doc("Where it listens.", restart=True)] = ""
    compression: Annotated[Compression, doc("Of bodies.", restart=True)] = "gzip"
    token_file: Annotated[
        Path | None,
        doc("File with the bearer token, alone on its first line.", shown='"/path"', restart=True),
    ] = None
    api_key_file: Annotated[
        Path | None,
        doc("File with an Elasticsearch API key, encoded.", shown='"/path"', restart=True),
    ] = None
    user: Annotated[str, doc("For basic authentication.", shown='"name"', restart=True)] = ""
    password_file: Annotated[
        Path | None, doc("File with the user's password.", shown='"/path"', restart=True)
    ] = None
    headers: Annotated[
        dict[str, str],
        doc("Further headers, none secret.", shown='{ X-Scope-OrgID = "tenant" }', restart=True),
    ] = {}  # noqa: RUF012 - msgspec copies an empty dict for each
    parameters: Annotated[
        dict[str, str],
        doc("What stands behind the `?` of the address.", shown='{ name = "value" }', restart=True),
    ] = {}  # noqa: RUF012

    def problems(self) -> Iterator[Finding]:
        """Says what a type cannot."""
        yield from super().problems()
        yield from url_problems(self.url)
        ways = {
            "token_file": self.token_file,
            "api_key_file": self.api_key_file,
            "user": self.user or None,
        }
        chosen = [key for key, value in ways.items() if value is not None]
        for key in chosen[1:]:
            yield Finding(key, f"stands beside {chosen[0]}", "keep one of them")
        if bool(self.user) != (self.password_file is not None):
            key = "user" if self.user else "password_file"
            yield Finding(key, "user and password_file go together", "write both")
        for name in self.headers:
            if name.lower() in SECRET_HEADERS:
                fix = "use token_file, api_key_file, or user and password_file"
                yield Finding("headers", f"{name} holds a secret", fix)


def url_problems(url: str) -> Iterator[Finding]:
    """Says what is wrong with the key `url`."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and parts.port != 0
        whole = whole and _names_host(parts.hostname or "")
    except ValueError:
        whole = False
    if not whole:
        yield Finding("url", f"{url[:80]!r} is no address", 'write "http://HOST:PORT"')
    elif parts.username or parts.password:
        yield Finding(
            "url",
            "holds a password",
            "put it into a file: token_file, or password_file beside user",
        )
    elif parts.query or parts.fragment:
        yield Finding("url", "holds more than an address", 'write parameters = { name = "value" }')


def address_problems(key: str, address: str) -> Iterator[Finding]:
    """Says what is wrong with HOST:PORT."""
    found = ADDRESS_PATTERN.fullmatch(address)
    largest = 65_535
    if found is None or int(found[2]) > largest or not _names_host(found[1].strip("[]")):
        yield Finding(key, f"{address[:80]!r} is no address", 'write "HOST:PORT"')


def _names_host(host: str) -> bool:
    """Whether the resolver takes it: it raises what nobody expects for a label that is empty."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return bool(host) and host.isprintable()
