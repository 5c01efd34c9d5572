"""Tokens from files, each bound to a tenant, compared in constant time."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from logshipper.store.model import DEFAULT_TENANT, TENANT
from wharfinger.errors import ConfigError, Finding

# Names stand in logs and as labels of metrics.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:([0-9a-fA-F]{64})", re.ASCII)
_NAMED: Final = "name="
_MIN_CHARACTERS: Final = 8
_SHOWN_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token, which is not the token.

    Attributes:
        digest: SHA-256 of it.
        tenant: whose lines it opens.
        name: what it is called where somebody reads it.
    """

    digest: bytes
    tenant: str = DEFAULT_TENANT
    name: str = ""

    @property
    def shown(self) -> str:
        """Its name; without one, the first digits of its digest, which give nothing away."""
        return self.name or f"sha256:{self.digest.hex()[:_SHOWN_DIGITS]}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one file; none at all where there is no file."""

    known: tuple[Token, ...] = ()

    def find(self, digests: Sequence[bytes]) -> Token | None:
        """The token of which one of these is the digest."""
        found = None
        for digest in digests:
            for token in self.known:
                # Every one is compared, so that the time tells nothing.
                if hmac.compare_digest(token.digest, digest):
                    found = token
        return found

    @property
    def tenants(self) -> frozenset[str]:
        """Every tenant that has a token."""
        return frozenset(token.tenant for token in self.known)


def digests(authorization: str) -> tuple[bytes, ...]:
    """The digests of what may be the token in an `Authorization` header; none if it has none.

    Takes `Bearer TOKEN`, `Basic` with the token as password (RFC 7617), and `ApiKey` with
    the token plain or as Elasticsearch writes it, base64 of `id:token`.
    """
    return tuple(sha256(candidate).digest() for candidate in _candidates(authorization))


def parse(text: str, where: str) -> tuple[Tokens, tuple[Finding, ...]]:
    """Reads a token file's text.

    Args:
        text: one token a line, then its tenant and its name, if it has them: `TOKEN`,
            `TOKEN TENANT`, `TOKEN TENANT NAME`, `TOKEN name=NAME`; `#` starts a comment line.
        where: the setting that names the file, for findings, which never hold a token.
    """
    known: list[Token] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        read = _line(words, f"{where} line {number}")
        if isinstance(read, Finding):
            findings.append(read)
        else:
            known.append(read)
    if not known and not findings:
        # An empty file must not mean "everyone".
        findings.append(Finding(where, "names a file without a token", "write one a line"))
    return Tokens(tuple(known)), tuple(findings)


def load(path: Path | None, where: str) -> Tokens:
    """Reads a token file; no file, no tokens.

    Raises:
        ConfigError: it cannot be read, or a line of it is wrong.
    """
    if path is None:
        return Tokens()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not UTF-8"
        raise ConfigError([Finding(where, f"{path} cannot be read: {why}")]) from None
    tokens, findings = parse(text, where)
    if findings:
        raise ConfigError(findings)
    return tokens


def _line(words: Sequence[str], at: str) -> Token | Finding:
    token, *rest = words
    places = [word for word in rest if not word.startswith(_NAMED)]
    names = [word.removeprefix(_NAMED) for word in rest if word.startswith(_NAMED)]
    tenant, *more = [*places, DEFAULT_TENANT][: max(1, len(places))]
    names += more
    if len(names) > 1:
        return Finding(at, "is not TOKEN TENANT NAME", "write three words at most")
    if not TENANT.fullmatch(tenant):
        return Finding(at, "has no possible tenant", "use letters, digits, - and _")
    if names and not NAME.fullmatch(names[0]):
        return Finding(at, "has no possible name", "use letters, digits, '.', '@', '-' and '_'")
    name = names[0] if names else ""
    if digest := _DIGEST.fullmatch(token):
        return Token(bytes.fromhex(digest[1]), tenant, name)
    if token.startswith("sha256:") or len(token) < _MIN_CHARACTERS:
        fix = f"use at least {_MIN_CHARACTERS} characters, or sha256: and 64 hex digits"
        return Finding(at, "is no token", fix)
    return Token(sha256(token.encode()).digest(), tenant, name)


def _candidates(authorization: str) -> Iterator[bytes]:
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if not value:
        return
    match scheme.lower():
        case "bearer":
            yield value.encode(errors="replace")
        case "basic":
            decoded = _base64(value)
            if decoded is not None:
                yield decoded.partition(b":")[2]
        case "apikey":
            yield value.encode(errors="replace")
            decoded = _base64(value)
            if decoded is not None:
                yield decoded
                yield decoded.partition(b":")[2]


def _base64(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
