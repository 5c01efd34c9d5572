"""`logstore token`: makes a token, shows it once, and keeps its digest."""

import argparse
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from logshipper.store.access import tokens
from logshipper.store.access.tokens import NAME
from logshipper.store.config import Config
from logshipper.store.model import DEFAULT_TENANT, TENANT
from wharfinger.cli import Verb
from wharfinger.errors import ConfigError, Exit, Finding, Rejected
from wharfinger.files import PRIVATE_MODE, write_atomically

_TOKEN_BYTES: Final = 32
_MODE_BITS: Final = 0o777
_FILES: Final = {"write": "ingest", "read": "read", "admin": "admin"}


async def _token(parsed: argparse.Namespace, config: Config) -> Exit:
    key = f"{_FILES[parsed.may]}_token_file"
    path: Path | None = getattr(config.logstore, key)
    if path is None:
        fix = f'set it: {key} = "/etc/wharfinger/{key.removesuffix("_file")}s"'
        raise ConfigError([Finding(f"logstore.{key}", "is not set", fix)])
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    add(path, f"logstore.{key}", token, parsed.tenant, parsed.name or "")
    print(token)  # noqa: T201 - this is the command's output
    return Exit.OK


def add(path: Path, where: str, token: str, tenant: str, name: str) -> None:
    """Adds a token's digest to a file, which is made if it is not there.

    Args:
        path: the file; it keeps its owner and its rights.
        where: the setting that names it.
        token: what will be shown.
        tenant: whose lines it opens.
        name: what it is called; empty for none.

    Raises:
        Rejected: the name has a token already.
        ConfigError: the file has a mistake, or cannot be written; it is as it was.
    """
    target = path.resolve()  # the folder may hold links to what is kept elsewhere
    digest = f"sha256:{sha256(token.encode()).hexdigest()}"
    line = " ".join([digest, tenant, *([f"name={name}"] if name else [])])
    try:
        with _alone(target.parent):
            text, mode, owner = _held(target)
            known, findings = tokens.parse(f"{text}{line}\n", where)
            if findings:
                raise ConfigError(findings)
            if name and [each.name for each in known.known].count(name) > 1:
                raise Rejected(f"{path} has a token of the name {name} already")
            write_atomically(target, f"{text}{line}\n".encode(), mode=mode, owner=owner)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not UTF-8"
        raise ConfigError([Finding(where, f"{path} cannot be written: {why}")]) from None


def _held(path: Path) -> tuple[str, int, tuple[int, int] | None]:
    try:
        text, found = path.read_text(encoding="utf-8"), path.stat()
    except FileNotFoundError:
        return "", PRIVATE_MODE, None
    if text and not text.endswith("\n"):
        text += "\n"
    return text, found.st_mode & _MODE_BITS, (found.st_uid, found.st_gid)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two at once would each write the file without the other's line."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("may", choices=tuple(_FILES), help="what it is good for")
    parser.add_argument("--tenant", type=_tenant, default=DEFAULT_TENANT, help="whose lines")
    parser.add_argument("--name", type=_name, help="who, in logs and metrics")


def _tenant(text: str) -> str:
    if not TENANT.fullmatch(text):
        raise argparse.ArgumentTypeError("use letters, digits, - and _")
    return text


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("use letters, digits, '.', '@', '-' and '_'")
    return text


VERB: Final[Verb[Config]] = Verb(
    "token", "make a token, show it once, keep its digest", _arguments, _token
)
