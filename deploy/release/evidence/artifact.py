"""Evidence as the registry keeps it: a manifest whose subject is the image's digest.

Sources: OCI image-spec v1.1, manifest.md ("Guidelines for Artifact Usage"); the tag is like that
of its referrers' fallback, of which no registry needs to know.
"""

import re
from typing import Final

import msgspec

from deploy.release.evidence.model import MAX_CHECK_LENGTH, Evidence, note_of
from wharfinger.errors import Rejected

CONFIG_TYPE: Final = "application/vnd.wharfinger.evidence.v1+json"
REPORT_TYPES: Final = {b"<": "application/xml", b"{": "application/json", b"[": "application/json"}
OTHER_TYPE: Final = "application/octet-stream"
# An artifact without anything has this (image-spec, "empty descriptor").
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
EMPTY: Final = b"{}"
MAX_CONFIG_BYTES: Final = 64 << 10
# Microseconds since 1970 until the year 2286; one more would not be read.
MAX_NUMBER: Final = 10**16 - 1
_CHECK: Final = rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_CHECK_LENGTH - 1}}}"
_TAG: Final = re.compile(rf"sha256-([0-9a-f]{{64}})\.({_CHECK})\.([0-9]{{1,16}})")
_EVIDENCE: Final = msgspec.json.Decoder(Evidence)


def tag(digest: str, check: str, number: int) -> str:
    """`sha256-<hex>.<check>.<number>`."""
    return f"{digest.replace(':', '-')}.{check}.{number}"


def tag_read(text: str, digest: str) -> tuple[str, int] | None:
    """Check and number of a tag of evidence for that digest; None of any other tag."""
    found = _TAG.fullmatch(text)
    if found is None or f"sha256:{found[1]}" != digest:
        return None
    return found[2], int(found[3])


def encode(evidence: Evidence) -> bytes:
    """What lies in the registry as the manifest's config."""
    return msgspec.json.encode(evidence)


def decode(data: bytes) -> Evidence:
    """Reads it.

    Raises:
        Rejected: it is none.
    """
    try:
        found = _EVIDENCE.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"it is no evidence: {error}") from None
    texts = [each for each in msgspec.structs.astuple(found) if isinstance(each, str)]
    if not all(map(str.isprintable, texts)):
        raise Rejected("it has characters that cannot be printed")
    return found


def unreadable(check: str, why: str) -> Evidence:
    """What stands for a report that cannot be read any more: it may have been of a failure.

    Args:
        check: of its tag.
        why: it cannot be.
    """
    return Evidence(check=check, passed=False, errors=1, note=note_of(f"cannot be read: {why}"))


def report_type(report: bytes) -> str:
    """Of what a report is, for who looks at it in the registry."""
    return REPORT_TYPES.get(report.lstrip()[:1], OTHER_TYPE)
