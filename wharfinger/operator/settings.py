"""What the operator's command reads of the host's configuration: a section at a time."""

import os
import ssl
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec

from wharfinger import servertls
from wharfinger.config import Section, load
from wharfinger.errors import ConfigError, Finding
from wharfinger.sample import sections
from wharfinger.sections import EtcdConfig
from wharfinger.servertls import TlsFiles


def daemons() -> dict[str, type[Section]]:
    """The section's model of each daemon, that is of whatever listens.

    Raises:
        ConfigError: a daemon's model is not installed.
    """
    return {
        name: model
        for name, model in sections().items()
        if "listen" in {field.name for field in msgspec.structs.fields(model)}
    }


def section(name: str, model: type[Section], path: Path | None) -> Any:
    """One section of the file and the environment; a mistake in another one is no matter here.

    Raises:
        ConfigError: with every finding in it.
    """
    whole = cast(
        "type[Section]",
        msgspec.defstruct(
            "Config", [(name, model, model())], bases=(Section,), frozen=True, kw_only=True
        ),
    )
    return getattr(load(whole, path=path).value, name)


def url(listening: Any) -> str:
    """Where a daemon of this host answers, given its section."""
    scheme = "https" if getattr(listening, "tls", None) else "http"
    return f"{scheme}://{listening.listen}"


def tls(listening: Any) -> ssl.SSLContext | bool:
    """How its certificate is checked, as aiohttp takes it: it must be the one in the section.

    Raises:
        ConfigError: the certificate cannot be read.
    """
    files: TlsFiles | None = getattr(listening, "tls", None)
    return True if files is None else servertls.trusting(files)


def etcd(path: Path | None) -> EtcdConfig:
    """How etcd is reached.

    Raises:
        ConfigError: with every finding.
    """
    found: EtcdConfig = section("etcd", EtcdConfig, path)
    return found


def connection_problem(error: aiohttp.ClientConnectorError) -> str:
    """Why nobody answers there, in the system's words (`Connection refused`)."""
    if isinstance(error.os_error, ssl.SSLError):  # its number is none of the system's
        return f"no TLS: {error.os_error}"
    # asyncio puts its own words in the place of the system's.
    number = error.os_error.errno or 0
    return os.strerror(number) if number > 0 else str(error.os_error)


def first_token(path: Path) -> str:
    """The first token of a file that is written in plain.

    Raises:
        ConfigError: the file cannot be read, or holds digests only.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Finding(str(path), f"cannot be read: {error}")]) from error
    for line in text.splitlines():
        token = line.split("#")[0].split()[:1]
        if token and not token[0].startswith("sha256:") and token[0].isascii():
            return token[0]
    fix = "name a file with a token in plain: --token-file FILE"
    raise ConfigError([Finding(str(path), "holds no token that could be sent", fix)])
