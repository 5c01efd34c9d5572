"""What a `check` says of the certificate that we show somebody, by its end."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wharfinger import certificate
from wharfinger.errors import Finding
from wharfinger.expiry import Standing

# It does nothing more.
OVER: Final[AbstractSet[Standing]] = {"ended"}
# It has to be renewed soon: within 14 days, of one that lives for days only a quarter of its life.
ENDING: Final[AbstractSet[Standing]] = {"soon", "near"}


def findings(
    section: str, path: Path | None, standings: AbstractSet[Standing], *, fix: str
) -> list[Finding]:
    """What is to be said of it; one that cannot be read is told by whoever loads it.

    Args:
        section: of the settings, in which it is `cert_file`.
        path: its file; None for none.
        standings: to be told of.
        fix: what to do about it.
    """
    validity, now = certificate.validity_of(path) if path is not None else None, datetime.now(UTC)
    if validity is None or validity.standing(now) not in standings:
        return []
    return [Finding(f"{section}.cert_file", f"{path} {validity.remark(now)}", fix)]
