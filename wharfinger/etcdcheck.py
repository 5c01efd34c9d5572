"""What a daemon's `check` says of the way to etcd."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from wharfinger import certificate
from wharfinger.errors import Finding, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.expiry import Standing
from wharfinger.sections import EtcdConfig


async def findings(config: EtcdConfig) -> list[Finding]:
    """What stands between this host and the cluster, for `check`; never raises."""
    etcd = Etcd(config)
    try:
        found = [
            Finding("etcd.endpoints", f"{each.endpoint}: {each.why}")
            for each in await etcd.status()
            if each.why
        ]
        if len(found) < len(config.endpoints):
            await etcd.open()
    except WharfingerError as error:
        found.append(Finding("etcd", str(error)))
    finally:
        await etcd.close()
    # A server that asks for none lets it pass, until it asks.
    return [*found, *_certificate(config, {"ended"})]


def remarks(config: EtcdConfig) -> list[Finding]:
    """What `check` says besides: that a client certificate ends soon."""
    return _certificate(config, {"soon", "near"})


def _certificate(config: EtcdConfig, standings: AbstractSet[Standing]) -> list[Finding]:
    path, now = config.cert_file, datetime.now(UTC)
    validity = certificate.validity_of(path) if path is not None else None
    if validity is None or validity.standing(now) not in standings:
        return []
    fix = "put a new pair at etcd.cert_file and etcd.key_file: no restart is needed"
    return [Finding("etcd.cert_file", f"{path} {validity.remark(now)}", fix)]
