"""The flags that verbs share."""

import argparse
import re
from pathlib import Path
from typing import Final

from deploy.release.app.grammar import DOCKER_ADDRESS, DOCKER_FIX
from deploy.release.app.parsing import NAME
from wharfinger.cli import Parser
from wharfinger.operator.verbs import add_shown

MAX_SECONDS: Final = 86_400.0
MAX_COUNT: Final = 10_000
_RELEASE: Final = re.compile(r"r[1-9][0-9]{0,11}", re.ASCII)
_DOCKER: Final = re.compile(DOCKER_ADDRESS, re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def add_app(parser: Parser) -> None:
    """Adds --file, --config and --json, for what is about an application."""
    add_shown(parser)
    parser.add_argument(
        "--file", type=Path, default=Path(NAME), metavar="FILE", help=f"the application ({NAME})"
    )


def add_lock(parser: Parser) -> None:
    """Adds --wait and --by, for what changes an environment."""
    parser.add_argument(
        "--wait",
        type=seconds,
        metavar="SECONDS",
        help="for somebody else's rollout (deploy.lock_wait_seconds)",
    )
    add_asker(parser)


def add_asker(parser: Parser) -> None:
    """Adds --by, for what is kept under somebody's name."""
    parser.add_argument("--by", metavar="NAME", help="who asks (deploy.by)")


def add_digest(parser: Parser, *, named: bool = False) -> None:
    """Adds --digest, and rN where a release may be named as well."""
    if named:
        parser.add_argument(
            "release", nargs="?", default="", type=_release, metavar="rN", help="a pushed release"
        )
    parser.add_argument(
        "--digest", default="", type=_digest, metavar="sha256:...", help="this image and no other"
    )


def add_environment(
    parser: Parser, name: str = "environment", told: str = "", *, shown: str = "ENV"
) -> None:
    """Adds the name of an environment."""
    parser.add_argument(name, metavar=shown, help=told or "an environment in wharf.yaml")


def given(text: str) -> str:
    """A name that is not empty: a script's variable that is not set would mean another one.

    Raises:
        argparse.ArgumentTypeError: it is.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: leave the flag out, or say which")
    return text


def docker(text: str) -> str:
    """An engine's address, as wharf.yaml takes it.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not _DOCKER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!a} is no engine's address: {DOCKER_FIX}")
    return text


def release(text: str) -> str:
    """The name of a release.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    return _release(text)


def count(text: str) -> int:
    """How many; at least one.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    found = (
        int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNT)) else 0
    )
    if not 1 <= found <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"give a number from 1 to {MAX_COUNT}")
    return found


def _release(text: str) -> str:
    if text and not _RELEASE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!a} is no release: write r12")
    return text


def _digest(text: str) -> str:
    # As `deploy push` prints it, and with the repository before it.
    found = text.rpartition("@")[2]
    if text and not _DIGEST.fullmatch(found):
        raise argparse.ArgumentTypeError(f"{text[:80]!a} is no digest: write sha256:...")
    return found


def seconds(text: str) -> float:
    """A time that is waited.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"give seconds, from 0 to {MAX_SECONDS:g}")
    return found
