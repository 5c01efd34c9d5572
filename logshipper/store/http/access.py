"""Who may: tokens from files, each bound to a tenant, compared in constant time."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from logshipper.store.model import DEFAULT_TENANT, TENANT
from wharfinger.errors import ConfigError, Finding

_DIGEST: Final = re.compile(r"sha256:([0-9a-fA-F]{64})", re.ASCII)
_MIN_CHARACTERS: Final = 8


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one file, as digests; none at all lets everyone in, as the default tenant."""

    digests: tuple[tuple[bytes, str], ...] = ()

    def tenant(self, authorization: str) -> str | None:
        """The tenant whose token an `Authorization` header holds; None if it may not.

        Takes `Bearer TOKEN`, `Basic` with the token as password (RFC 7617), and `ApiKey` with
        the token plain or as Elasticsearch writes it, base64 of `id:token`.
        """
        if not self.digests:
            return DEFAULT_TENANT
        found = None
        for candidate in _candidates(authorization):
            digest = sha256(candidate).digest()
            for known, tenant in self.digests:
                # Every one is compared, so that the time tells nothing.
                if hmac.compare_digest(known, digest):
                    found = tenant
        return found

    @property
    def tenants(self) -> frozenset[str]:
        """Every tenant that has a token."""
        return frozenset(tenant for _, tenant in self.digests)


def parse(text: str, where: str) -> tuple[Tokens, tuple[Finding, ...]]:
    """Reads a token file's text.

    Args:
        text: one token a line, a tenant after it; `#` starts a comment line.
        where: the setting that names the file, for findings, which never hold a token.
    """
    digests: list[tuple[bytes, str]] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        token, tenant, *rest = [*words, DEFAULT_TENANT][: max(2, len(words))]
        at = f"{where} line {number}"
        if rest:
            findings.append(Finding(at, "is not TOKEN TENANT", "write two words"))
        elif not TENANT.fullmatch(tenant):
            findings.append(Finding(at, "has no possible tenant", "use letters, digits, - and _"))
        elif digest := _DIGEST.fullmatch(token):
            digests.append((bytes.fromhex(digest[1]), tenant))
        elif token.startswith("sha256:") or len(token) < _MIN_CHARACTERS:
            fix = f"use at least {_MIN_CHARACTERS} characters, or sha256: and 64 hex digits"
            findings.append(Finding(at, "is no token", fix))
        else:
            digests.append((sha256(token.encode()).digest(), tenant))
    if not digests and not findings:
        # An empty file must not mean "everyone".
        findings.append(Finding(where, "names a file without a token", "write one a line"))
    return Tokens(tuple(digests)), tuple(findings)


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


def _candidates(authorization: str) -> Iterator[bytes]:
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
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
