"""The end of the certificate that etcd is shown: red before it comes, green with another one."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wharfinger import certificate
from wharfinger.health import Check
from wharfinger.scope import Scope
from wharfinger.sections import EtcdConfig

CHECK: Final = "etcd certificate"
LOOK_SECONDS: Final = 5.0
# A mount that hangs says nothing of a certificate that ends.
STALE_SECONDS: Final = 60.0
_FIX: Final = "put a new pair into its place: no restart is needed"


def begin(scope: Scope, config: EtcdConfig) -> None:
    """Watches it for the daemon's whole life, where there is one."""
    if config.cert_file is not None:
        check = scope.health.check(CHECK, stale_after_seconds=STALE_SECONDS)
        scope.spawn(CHECK, _watch(config.cert_file, check))


async def _watch(path: Path, check: Check) -> None:
    while True:
        await asyncio.to_thread(look, path, check)
        await asyncio.sleep(LOOK_SECONDS)


def look(path: Path, check: Check) -> None:
    """Looks at it once; one that cannot be read is told by whoever dials with it."""
    now = datetime.now(UTC)
    validity = certificate.validity_of(path)
    if validity is not None and validity.standing(now) in {"near", "ended"}:
        check.fail(f"etcd.cert_file {path} {validity.remark(now)}; {_FIX}")
    else:
        check.ok("" if validity is None else validity.remark(now))
