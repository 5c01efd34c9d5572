"""What is wrong with etcd: asked, and measured with a key of our own; and what stands in it."""

import time
from collections.abc import Mapping
from typing import Final

from wharfinger.errors import Finding, Unavailable, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.keys import HOSTS, INSTANCES, host_key
from wharfinger.kv import KeyValue, ranges_of
from wharfinger.operator.doctor.diagnosis import Pace, of_members, of_pace
from wharfinger.sections import EtcdConfig

READS: Final = 20
LEASE_SECONDS: Final = 10
NAME: Final = "doctor"


async def examine(config: EtcdConfig, host: str, lease_ttl_seconds: int) -> list[Finding]:
    """Looks at each member, and measures the session that a daemon would have."""
    etcd = Etcd(config)
    found: list[Finding] = []
    try:
        found += of_members(await etcd.status())
        if len(found) < len(config.endpoints):
            found += of_pace(await measured(etcd, host), lease_ttl_seconds)
    except WharfingerError as error:
        found.append(Finding("etcd", str(error)))
    finally:
        await etcd.close()
    return found


async def measured(etcd: Etcd, host: str) -> Pace:
    """The pace of some reads and of one write, of a key that is gone afterwards.

    Raises:
        WharfingerError: etcd does not answer, or refuses us.
    """
    await etcd.open()  # the way there is not what is measured
    key = host_key(host, NAME)
    reads = []
    for _ in range(READS):
        began = time.perf_counter()
        await etcd.get(key)
        reads.append(time.perf_counter() - began)
    lease = await etcd.grant(LEASE_SECONDS)
    try:
        began = time.perf_counter()
        await etcd.put(key, b"{}", lease=lease.id)
        return Pace(reads, time.perf_counter() - began)
    finally:
        await etcd.revoke(lease.id)


async def described(config: EtcdConfig) -> Mapping[str, KeyValue]:
    """What describes instances and hosts; nothing while etcd is away (another finding says).

    Raises:
        Rejected: etcd refuses us.
    """
    etcd = Etcd(config)
    try:
        return (await etcd.list_ranges(ranges_of([INSTANCES, HOSTS]))).items
    except Unavailable:
        return {}
    finally:
        await etcd.close()
