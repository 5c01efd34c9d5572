"""What a certificate says of itself: the things that Python's ssl does not say of one's own."""

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wharfinger.expiry import Validity

_FIRST: Final = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_LONG_FORM: Final = 0x80
_COMMON_NAME: Final = bytes((0x55, 0x04, 0x03))  # RFC 5280, appendix A.1: id-at-commonName


def validity(text: str) -> Validity | None:
    """From when until when the first certificate of a PEM file is good.

    Returns:
        None if that cannot be read: whoever loads the certificate says what is wrong with it.
    """
    try:
        between, _ = _parts(text)
        begins, at = _time(between, 0)
        ends, _ = _time(between, at)
    except (ValueError, IndexError):
        return None
    return Validity(begins, ends)


def common_name(text: str) -> str:
    """The last common name in the subject of the first certificate, which is etcd's user.

    Returns:
        Nothing where there is none, or it cannot be read.
    """
    found = ""
    try:
        _, subject = _parts(text)
        at = 0
        while at < len(subject):
            _, relative, at = _element(subject, at)
            _, attribute, _ = _element(relative, 0)
            _, kind, behind = _element(attribute, 0)
            if kind == _COMMON_NAME:
                _, value, _ = _element(attribute, behind)
                found = value.decode("utf-8", "replace")
    except (ValueError, IndexError):
        return ""
    return found


def validity_of(path: Path) -> Validity | None:
    """The same of a file; None if it cannot be read."""
    try:
        return validity(path.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None


def common_name_of(path: Path) -> str:
    """The same of a file; nothing if it cannot be read."""
    try:
        return common_name(path.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return ""


def _parts(text: str) -> tuple[bytes, bytes]:
    """The validity and the subject (RFC 5280, section 4.1)."""
    found = _FIRST.search(text)
    if found is None:
        raise ValueError("no certificate")
    _, signed, _ = _element(ssl.PEM_cert_to_DER_cert(found.group()), 0)
    _, inner, _ = _element(signed, 0)
    at = 0
    tag, _, behind = _element(inner, at)
    if tag == _VERSION:
        at = behind
    for _ in ("serial number", "signature", "issuer"):
        _, _, at = _element(inner, at)
    _, between, at = _element(inner, at)
    _, subject, _ = _element(inner, at)
    return between, subject


def _time(der: bytes, at: int) -> tuple[datetime, int]:
    tag, value, behind = _element(der, at)
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC), behind


def _element(der: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag, content and the place behind an element of DER (X.690)."""
    tag, size, at = der[at], der[at + 1], at + 2
    if size >= _LONG_FORM:
        digits = size - _LONG_FORM
        size, at = int.from_bytes(der[at : at + digits], "big"), at + digits
    if at + size > len(der):
        raise ValueError("cut short")
    return tag, der[at : at + size], at + size
