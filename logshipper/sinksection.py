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
# RFC 9110, 5.6.2 and 5.5; beyond ASCII nobody agrees on what a value means.
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
HEADER_VALUE: Final = re.compile(r"[!-~](?:[\t -~]*[!-~])?")
# What is said of a body, and of the connection, follows from it.
OWN_HEADERS: Final = frozenset({"content-encoding", "content-length", "transfer-encoding", "host"})
SECRET_HEADERS: Final = re.compile(
    r"(?i)authorization|cookie|passw|secret|(?:^|[-_])(?:auth|token|(?:api-?)?key)(?:$|[-_])"
)

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
        ),
    ] = ()
    envs: Annotated[tuple[str, ...], doc("The same for the environment.", shown='["prod"]')] = ()
    names: Annotated[
        tuple[str, ...], doc("The same for the container's name.", shown='["web-*"]')
    ] = ()
    images: Annotated[
        tuple[str, ...], doc("The same for its image, as it was started.", shown='["*/shop:*"]')
    ] = ()
    labels: Annotated[
        tuple[str, ...],
        doc(
            "The same for its labels: NAME=PATTERN, or NAME alone.",
            shown='["com.example.team=pay*"]',
        ),
    ] = ()
    variables: Annotated[
        tuple[str, ...],
        doc("The same for its environment variables.", shown='["!DEBUG=1"]'),
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
    dead_letter_bytes: Annotated[
        int,
        doc(
            "Disk for what the sink refused; the older half goes for more.", ge=2**20, restart=True
        ),
    ] = 128 * 2**20
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
    header_files: Annotated[
        dict[str, Path],
        doc(
            "Headers that are secret: each in a file.",
            shown='{ X-Api-Key = "/path" }',
            restart=True,
        ),
    ] = {}  # noqa: RUF012
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
        if ":" in self.user or not self.user.isprintable():
            yield Finding("user", "cannot stand before a colon (RFC 7617)", "use another name")
        for name in self.header_files:
            if not HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
                yield Finding("header_files", f"{name[:80]!r} is no header that can be set")
        for name, value in self.headers.items():
            if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
                why = f"{name[:80]!r} or its value cannot stand in a header"
                yield Finding("headers", why, "use printable ASCII, on one line")
            elif name.lower() in OWN_HEADERS:
                yield Finding("headers", f"{name} follows from the body and the address", "drop it")
            elif SECRET_HEADERS.search(name):
                fix = "use token_file, api_key_file, user and password_file, or header_files"
                yield Finding("headers", f"{name} holds a secret", fix)


def url_problems(url: str) -> Iterator[Finding]:
    """Says what is wrong with the key `url`."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and parts.port != 0
        whole = whole and _names_host(parts.hostname or "")
        whole = whole and url.isprintable() and " " not in url
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
