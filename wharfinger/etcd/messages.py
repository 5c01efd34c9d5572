"""Between our values and etcd's messages: the one place that knows aetcd's stubs and types."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

import aetcd.rpc

from wharfinger.errors import Rejected
from wharfinger.etcd.connection import Method
from wharfinger.kv import (
    Compare,
    Count,
    Delete,
    DeletePrefix,
    Event,
    Get,
    KeyRange,
    KeyValue,
    Operation,
    Put,
    Result,
    WatchAnswer,
    key_from_bytes,
    key_to_bytes,
)

# Generated code without types; what goes in and out of this module has them.
rpc: Any = aetcd.rpc

# etcd: as the end of a range it means all keys from the start on.
EVERYTHING: Final = b"\0"


class Codec:
    """Between our values and etcd's messages; adds and takes off the site's prefix."""

    def __init__(self, site: str) -> None:
        self._site = key_to_bytes(site)

    def key(self, key: str) -> bytes:
        """The key as etcd has it.

        Raises:
            Rejected: it would be no key of this site.
        """
        if not key or (self._site and not key.startswith("/")):
            # `/site` + `2/x` would be a key of the site `/site2`.
            raise Rejected(f"{key[:80]!r} is no key: it must begin with '/'")
        return self._site + key_to_bytes(key)

    def bounds(self, keys: KeyRange) -> tuple[bytes, bytes]:
        """The first key, and the first after the last, as etcd wants them."""
        start = self.key(keys.start) if keys.start else self._site + b"/" * bool(self._site)
        if keys.end is not None:
            return start, self._site + key_to_bytes(keys.end)
        return start or b"\0", self._site + b"0" if self._site else EVERYTHING

    def is_own(self, key: bytes) -> bool:
        """Whether the key belongs to this site."""
        return key.startswith(self._site)

    def own_key(self, key: bytes) -> str:
        """The key without the site's prefix."""
        return key_from_bytes(key[len(self._site) :])

    def kv(self, kv: Any) -> KeyValue:
        """etcd: `mvccpb.KeyValue`."""
        return KeyValue(
            self.own_key(kv.key),
            kv.value,
            kv.create_revision,
            kv.mod_revision,
            kv.version,
            kv.lease,
        )

    def event(self, event: Any) -> Event:
        """etcd: `mvccpb.Event`; of a deleted key it gives only the key and the revision."""
        kv = event.kv
        put = event.type == rpc.Event.PUT
        return Event(self.own_key(kv.key), kv.mod_revision, self.kv(kv) if put else None)

    def watch_answer(self, message: Any) -> WatchAnswer:
        """etcd: `WatchResponse`."""
        return WatchAnswer(
            message.watch_id,
            message.header.revision,
            created=message.created,
            canceled=message.canceled,
            compact_revision=message.compact_revision,
            reason=message.cancel_reason,
            events=tuple(map(self.event, message.events)),
        )

    def compare(self, condition: Compare) -> Any:
        """etcd: `Compare`."""
        return rpc.Compare(
            key=self.key(condition.key),
            target=_TARGETS[condition.target],
            result=_OPERATORS[condition.operator],
            **{condition.target: condition.operand},
        )

    def operation(self, operation: Operation) -> Any:
        """etcd: `RequestOp`."""
        match operation:
            case Put(key, value, lease):
                put = rpc.PutRequest(key=self.key(key), value=value, lease=lease)
                return rpc.RequestOp(request_put=put)
            case Delete(key):
                delete = rpc.DeleteRangeRequest(key=self.key(key))
                return rpc.RequestOp(request_delete_range=delete)
            case DeletePrefix(prefix):
                start, end = self.bounds(KeyRange.of_prefix(prefix))
                delete = rpc.DeleteRangeRequest(key=start, range_end=end)
                return rpc.RequestOp(request_delete_range=delete)
            case Get(key, revision):
                read = rpc.RangeRequest(key=self.key(key), revision=revision)
            case Count(keys, revision):
                start, end = self.bounds(keys)
                read = rpc.RangeRequest(
                    key=start, range_end=end, revision=revision, count_only=True
                )
            case _:
                assert_never(operation)
        return rpc.RequestOp(request_range=read)

    def result(self, operation: Operation, response: Any) -> Result:
        """etcd: `ResponseOp`."""
        match operation:
            case Put():
                return None
            case Delete() | DeletePrefix():
                return int(response.response_delete_range.deleted)
            case Count():
                return int(response.response_range.count)
            case Get():
                found = response.response_range.kvs
                return self.kv(found[0]) if found else None
            case _:
                assert_never(operation)


_TARGETS: Final = {
    "version": rpc.Compare.VERSION,
    "create_revision": rpc.Compare.CREATE,
    "mod_revision": rpc.Compare.MOD,
    "value": rpc.Compare.VALUE,
    "lease": rpc.Compare.LEASE,
}
_OPERATORS: Final = {
    "==": rpc.Compare.EQUAL,
    "!=": rpc.Compare.NOT_EQUAL,
    ">": rpc.Compare.GREATER,
    "<": rpc.Compare.LESS,
}


def _method(stub: Any, name: str) -> Method:
    def over(channel: Any) -> Any:
        return getattr(stub(channel), name)

    return over


RANGE: Final = _method(rpc.KVStub, "Range")
TRANSACT: Final = _method(rpc.KVStub, "Txn")
GRANT: Final = _method(rpc.LeaseStub, "LeaseGrant")
REVOKE: Final = _method(rpc.LeaseStub, "LeaseRevoke")
TIME_TO_LIVE: Final = _method(rpc.LeaseStub, "LeaseTimeToLive")
KEEP_ALIVE: Final = _method(rpc.LeaseStub, "LeaseKeepAlive")
WATCH: Final = _method(rpc.WatchStub, "Watch")
AUTHENTICATE: Final = _method(rpc.AuthStub, "Authenticate")
MEMBER_STATUS: Final = _method(rpc.MaintenanceStub, "Status")
AUTH_ENABLE: Final = _method(rpc.AuthStub, "AuthEnable")
USER_LIST: Final = _method(rpc.AuthStub, "UserList")
USER_GET: Final = _method(rpc.AuthStub, "UserGet")
USER_ADD: Final = _method(rpc.AuthStub, "UserAdd")
USER_DELETE: Final = _method(rpc.AuthStub, "UserDelete")
USER_GRANT: Final = _method(rpc.AuthStub, "UserGrantRole")
USER_REVOKE: Final = _method(rpc.AuthStub, "UserRevokeRole")
ROLE_LIST: Final = _method(rpc.AuthStub, "RoleList")
ROLE_GET: Final = _method(rpc.AuthStub, "RoleGet")
ROLE_ADD: Final = _method(rpc.AuthStub, "RoleAdd")
ROLE_DELETE: Final = _method(rpc.AuthStub, "RoleDelete")
ROLE_GRANT: Final = _method(rpc.AuthStub, "RoleGrantPermission")
ROLE_REVOKE: Final = _method(rpc.AuthStub, "RoleRevokePermission")


def describe(operations: Sequence[Operation]) -> str:
    """Names what a transaction touches, for an error's message; never a value."""
    named = [f"{type(step).__name__.lower()} {_subject(step)}" for step in operations[:3]]
    return ", ".join([*named, f"and {len(operations) - 3} more"] if operations[3:] else named)


def _subject(operation: Operation) -> str:
    match operation:
        case Count(keys):
            return keys.start[:120]
        case DeletePrefix(prefix):
            return prefix[:120]
        case Put() | Delete() | Get():
            return operation.key[:120]
