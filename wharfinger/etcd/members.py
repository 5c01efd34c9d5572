"""What each member of the cluster says of itself."""

import asyncio
import time
from typing import Any, Final

from wharfinger.errors import Unavailable
from wharfinger.etcd.connection import Connection, channel_to
from wharfinger.etcd.dial import credentials_of
from wharfinger.etcd.messages import MEMBER_STATUS, rpc
from wharfinger.kv import EndpointStatus
from wharfinger.sections import EtcdConfig

PROBE_SECONDS: Final = 2.0


async def probe(connection: Connection) -> None:
    """Makes sure that the peer answers and can serve.

    Raises:
        Unavailable: it does not, or cannot, and why.
    """
    if ailment := _ailment(await _ask(connection)):
        raise Unavailable(f"etcd {connection.endpoint}: {ailment}")


async def status_of(endpoint: str, config: EtcdConfig) -> EndpointStatus:
    """One endpoint as seen from here; never raises for what is wrong there."""
    asked_at = time.monotonic()
    try:
        credentials = await asyncio.to_thread(credentials_of, config)
        connection = Connection(endpoint, channel_to(endpoint, credentials))
        try:
            answer = await _ask(connection)
        finally:
            await connection.close()
    except Unavailable as error:
        return EndpointStatus(
            endpoint, reachable=False, why=str(error).removeprefix(f"etcd {endpoint}: ")
        )
    return EndpointStatus(
        endpoint,
        reachable=True,
        why=_ailment(answer),
        version=answer.version,
        has_leader=answer.leader != 0,
        is_leader=answer.leader == answer.header.member_id,
        revision=answer.header.revision,
        latency_seconds=time.monotonic() - asked_at,
    )


async def _ask(connection: Connection) -> Any:
    # No leader is asked for: the answer itself tells whether there is one.
    return await connection.call(
        MEMBER_STATUS,
        rpc.StatusRequest(),
        timeout_seconds=PROBE_SECONDS,
        plain=True,
    )


def _ailment(status: Any) -> str:
    if not status.leader:
        return "it knows no leader: a majority of the members is away, or it is cut off"
    if status.isLearner:
        return "it is a learner and serves nobody yet"
    return ""
