"""The authority's folder: its pair, the register, lists of tokens, and who may change it now."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from wharfinger import lock
from wharfinger.errors import ConfigError, Finding, Rejected
from wharfinger.files import DEFAULT_MODE, PRIVATE_MODE, make_folder, write_atomically
from wharfinger.operator.pki import signing, tokens
from wharfinger.operator.pki.bundle import CA, CRL, PRIVATE_FOLDER
from wharfinger.operator.pki.model import Register
from wharfinger.operator.pki.passphrase import Passphrase
from wharfinger.operator.pki.signing import Authority, Pair

CA_KEY: Final = "ca.key"
INDEX: Final = "index.json"
HOSTS: Final = "hosts"
TOKENS: Final = "tokens"
_LOCK: Final = ".lock"
_GROUP_OR_OTHERS: Final = 0o077


class Folder:
    """Everything that the authority keeps.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        """Whether there is an authority, or a part of one that somebody may need."""
        return self._at(CA).exists() or (self._at(CA_KEY).exists() and not self._is_torn)

    @property
    def _is_torn(self) -> bool:
        """Whether `begin` was broken off: the certificate comes last, and nobody has one."""
        try:
            return not msgspec.json.decode(self._at(INDEX).read_bytes(), type=Register).issued
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return False

    def bundle(self, name: str) -> Path:
        """Where a bundle goes unless it is said otherwise."""
        return self.path / HOSTS / name

    @property
    def ca(self) -> bytes:
        """The authority's certificate, which everybody trusts."""
        return self._read(CA)

    def begin(self, name: str, pair: Pair) -> None:
        """Keeps a new authority; what is there is never written over.

        Raises:
            Rejected: there is one, or a part of one.
        """
        if self.exists:
            raise Rejected(f"{self.path} holds an authority already: name another folder")
        self.save(Register(name=name))
        self._write(CA_KEY, pair.key, PRIVATE_MODE)
        self._write(CA, pair.certificate, DEFAULT_MODE)

    def authority(self, passphrase: Passphrase) -> Authority:
        """The authority, unlocked.

        Raises:
            ConfigError: it is damaged, or cannot be unlocked.
        """
        pair = Pair(self.ca, self._read(CA_KEY))
        if self._at(CA_KEY).stat().st_mode & _GROUP_OR_OTHERS:
            path = self._at(CA_KEY)
            raise ConfigError([Finding(str(path), "is open to others", f"chmod 600 {path}")])
        given = passphrase.asked() if signing.is_locked(pair.key) else None
        return signing.unlocked(pair, given, str(self.path))

    def register(self) -> Register:
        """Who has a certificate.

        Raises:
            ConfigError: it cannot be read, or is damaged.
        """
        try:
            return msgspec.json.decode(self._read(INDEX), type=Register)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigError([Finding(str(self._at(INDEX)), f"is damaged: {error}")]) from error

    def save(self, register: Register) -> None:
        """Keeps the register."""
        page = msgspec.json.format(msgspec.json.encode(register), indent=1)
        self._write(INDEX, page + b"\n", PRIVATE_MODE)

    def token_lists(self) -> dict[str, str]:
        """The digests of tokens by kind; those that are empty are left out."""
        paths = {kind: self.path / TOKENS / name for kind, name in tokens.KINDS.items()}
        return {
            kind: text
            for kind, path in paths.items()
            if path.exists() and (text := path.read_text(encoding="utf-8")).strip()
        }

    def save_token_lists(self, lists: dict[str, str]) -> None:
        """Keeps them."""
        make_folder(self.path / TOKENS, PRIVATE_FOLDER)
        for kind, text in lists.items():
            self._write(f"{TOKENS}/{tokens.KINDS[kind]}", text.encode(), PRIVATE_MODE)

    @property
    def crl(self) -> bytes:
        """The list of certificates that were taken back; empty as long as none was."""
        return self._read(CRL) if self._at(CRL).exists() else b""

    def save_crl(self, crl: bytes) -> None:
        """Keeps it."""
        self._write(CRL, crl, DEFAULT_MODE)

    @contextmanager
    def alone(self, *, make: bool = False) -> Iterator[None]:
        """One at a time.

        Args:
            make: makes the folder, where it is not there.

        Raises:
            ConfigError: there is no authority, or the folder is not ours.
            Unavailable: somebody else changes it just now.
        """
        try:
            if make:
                make_folder(self.path, PRIVATE_FOLDER)
            elif not self.exists:
                raise self._missing()
            with lock.held(self._at(_LOCK), "wharfinger pki"):
                yield
        except OSError as error:
            why = f"cannot be used: {error.strerror or error}"
            where = os.fspath(error.filename or self.path)
            raise ConfigError([Finding(where, why)]) from error

    def _missing(self) -> ConfigError:
        fix = f"make one: wharfinger pki init --dir {self.path}"
        return ConfigError([Finding(str(self.path), "holds no authority", fix)])

    def _at(self, name: str) -> Path:
        return self.path / name

    def _read(self, name: str) -> bytes:
        try:
            return self._at(name).read_bytes()
        except FileNotFoundError:
            if not self.exists:
                raise self._missing() from None
            raise ConfigError([Finding(str(self._at(name)), "is missing")]) from None
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            raise ConfigError([Finding(str(self._at(name)), why)]) from error

    def _write(self, name: str, content: bytes, mode: int) -> None:
        write_atomically(self._at(name), content, mode=mode)
