"""Secrets out of files: read at the start, and again when they are refused or a reload asks."""

import base64
import os
import ssl
from pathlib import Path

from logshipper.sinksection import HttpConfig, SinkConfig, TlsConfig
from wharfinger.errors import ConfigError, Finding

SECRET_LIMIT_BYTES = 64 * 2**10


def secret_lines(config: SinkConfig, key: str) -> list[str]:
    """The lines of a secret's file that are not empty.

    Args:
        config: of the sink.
        key: of the file in it.

    Raises:
        ConfigError: it cannot be read, or holds nothing that a header can carry.
    """
    return _lines(config, key, getattr(config, key))


def _lines(config: SinkConfig, key: str, path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(SECRET_LIMIT_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise _wrong(config, key, f"{path}: {why}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not all(line.isascii() and line.isprintable() for line in lines):
        raise _wrong(config, key, f"{path} holds no secret that can be sent")
    return lines


def secret_headers(config: HttpConfig) -> dict[str, str]:
    """The headers that say who one is.

    Raises:
        ConfigError: a file cannot be used.
    """
    headers = {
        name: _lines(config, "header_files", path)[0] for name, path in config.header_files.items()
    }
    if said := _authorization(config):
        headers["Authorization"] = said
    return headers


def _authorization(config: HttpConfig) -> str:
    if config.token_file is not None:
        return f"Bearer {secret_lines(config, 'token_file')[0]}"
    if config.api_key_file is not None:
        return f"ApiKey {secret_lines(config, 'api_key_file')[0]}"
    if config.user and config.password_file is not None:
        password = secret_lines(config, "password_file")[0]
        return f"Basic {base64.b64encode(f'{config.user}:{password}'.encode()).decode()}"
    return ""


def tls(config: TlsConfig) -> ssl.SSLContext:
    """What a connection over TLS trusts and shows.

    Raises:
        ConfigError: a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _wrong(config, "ca_file", f"{config.ca_file}: {error}") from error
    if config.cert_file is not None and config.key_file is not None:
        try:
            # A key with a passphrase would ask for it on the terminal.
            context.load_cert_chain(config.cert_file, config.key_file, password="")
        except (OSError, ssl.SSLError) as error:
            raise _unfit(config, error) from error
    return context


def _unfit(config: TlsConfig, error: OSError) -> ConfigError:
    """Which of the two files it is: OpenSSL names none."""
    why = getattr(error, "reason", None) or error.strerror or str(error)
    for key, path in (("cert_file", config.cert_file), ("key_file", config.key_file)):
        if path is not None and not os.access(path, os.R_OK):
            return _wrong(config, key, f"{path} cannot be read")
    if "KEY_VALUES_MISMATCH" in why:
        return _wrong(config, "key_file", f"{config.key_file} is not the key of {config.cert_file}")
    return _wrong(config, "cert_file", f"{config.cert_file} and its key_file cannot be used: {why}")


def _wrong(config: SinkConfig, key: str, problem: str) -> ConfigError:
    return ConfigError([Finding(f"logshipper.sinks.{config.name}.{key}", problem)])
