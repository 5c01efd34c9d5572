"""The passphrase of the authority's key: from a file, the environment or a terminal, never argv."""

import argparse
import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wharfinger.errors import ConfigError, Finding

VARIABLE: Final = "WHARFINGER_PKI_PASSPHRASE"
_MIN_CHARACTERS: Final = 8
_FIX: Final = f"name a file (--passphrase-file), or set {VARIABLE}"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Where it comes from.

    Attributes:
        path: of a file with it on its first line.
    """

    path: Path | None = None

    @classmethod
    def of(cls, parsed: argparse.Namespace) -> "Passphrase":
        """As the command line names it."""
        return cls(parsed.passphrase_file)

    def given(self) -> bytes | None:
        """What file or environment say; None if they say nothing.

        Raises:
            ConfigError: the file cannot be used.
        """
        if self.path is not None:
            try:
                lines = self.path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "is not UTF-8"
                raise ConfigError([Finding(str(self.path), f"cannot be read: {why}")]) from None
            return _long(lines[0] if lines else "", str(self.path))
        if (text := os.environ.get(VARIABLE)) is not None:
            return _long(text, VARIABLE)
        return None

    def asked(self) -> bytes:
        """The same; where they say nothing, a person at a terminal is asked.

        Raises:
            ConfigError: nobody can be asked.
        """
        if (found := self.given()) is not None:
            return found
        if not sys.stdin.isatty():
            raise ConfigError([Finding("ca.key", "has a passphrase", _FIX)])
        return getpass.getpass("passphrase of the authority's key: ").encode()

    def new(self) -> bytes:
        """One for a new key.

        Raises:
            ConfigError: nobody can be asked, it is too short, or was not repeated.
        """
        if (found := self.given()) is not None:
            return found
        if not sys.stdin.isatty():
            raise ConfigError([Finding("--encrypt", "nobody is there to be asked", _FIX)])
        first = _long(getpass.getpass("passphrase for the authority's key: "), "--encrypt")
        if getpass.getpass("again: ").encode() != first:
            raise ConfigError([Finding("--encrypt", "the two differ")])
        return first


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds the flag."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=f"of the authority's key; else {VARIABLE} in the environment, else it is asked",
    )


def _long(text: str, where: str) -> bytes:
    if len(text) < _MIN_CHARACTERS:
        raise ConfigError([Finding(where, f"has less than {_MIN_CHARACTERS} characters")])
    return text.encode()
