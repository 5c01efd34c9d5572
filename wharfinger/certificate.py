"""Until when a certificate is good: the one thing that Python's ssl does not say of its own."""

import re
import ssl
from datetime import UTC, datetime
from typing import Final

_FIRST: Final = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_LONG_FORM: Final = 0x80


def good_until(text: str) -> datetime | None:
    """When the first certificate of a PEM file ends (RFC 5280, section 4.1.2.5).

    Returns:
        None if that cannot be read: whoever loads the certificate says what is wrong with it.
    """
    found = _FIRST.search(text)
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(found.group())) if found else None
    except (ValueError, IndexError):
        return None


def _not_after(der: bytes) -> datetime:
    _, signed, _ = _element(der, 0)
    _, inner, _ = _element(signed, 0)
    at = 0
    tag, _, behind = _element(inner, at)
    if tag == _VERSION:
        at = behind
    for _ in ("serial number", "signature", "issuer"):
        _, _, at = _element(inner, at)
    _, validity, _ = _element(inner, at)
    _, _, at = _element(validity, 0)
    tag, value, _ = _element(validity, at)
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC)


def _element(der: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag, content and the place behind an element of DER (X.690)."""
    tag, size, at = der[at], der[at + 1], at + 2
    if size >= _LONG_FORM:
        digits = size - _LONG_FORM
        size, at = int.from_bytes(der[at : at + digits], "big"), at + digits
    if at + size > len(der):
        raise ValueError("cut short")
    return tag, der[at : at + size], at + size
