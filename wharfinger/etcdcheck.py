"""What a daemon's `check` says of the way to etcd."""

from typing import Final

from wharfinger import certificatecheck
from wharfinger.errors import Finding, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.sections import EtcdConfig

_FIX: Final = "put a new pair at etcd.cert_file and etcd.key_file: no restart is needed"


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
    over = certificatecheck.OVER
    return [*found, *certificatecheck.findings("etcd", config.cert_file, over, fix=_FIX)]


def remarks(config: EtcdConfig) -> list[Finding]:
    """What `check` says besides: that a client certificate ends soon."""
    ending = certificatecheck.ENDING
    return certificatecheck.findings("etcd", config.cert_file, ending, fix=_FIX)
