"""What a failed call means to its caller, and the words that an operator gets."""

import pytest
from grpc import StatusCode as Code

from wharfinger.errors import Conflict, Rejected, Unavailable, WharfingerError
from wharfinger.etcd.faults import (
    Circumstances,
    Disconnected,
    LeaseNotFound,
    PasswordRefused,
    RevisionGone,
    TokenRefused,
    UsersOff,
    fault,
)

WHERE = Circumstances("10.0.0.1:2379", "alice", "put /shop_prod/x")

NO_CONNECTION = "failed to connect to all addresses; last error: UNKNOWN:"
VERIFY = "SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: unable to get local issuer"

# (code, details as etcd 3.4 and grpc 1.85 give them, error, a part of its message)
FAULTS: list[tuple[Code, str, type[WharfingerError], str]] = [
    (Code.UNAVAILABLE, "etcdserver: no leader", Disconnected, "majority"),
    (Code.UNAVAILABLE, "etcdserver: server stopped", Disconnected, "shutting down"),
    (Code.UNAVAILABLE, "etcdserver: leader changed", Unavailable, "leader changed"),
    (Code.UNAVAILABLE, "etcdserver: request timed out", Unavailable, "did not agree in time"),
    (
        Code.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to previous leader failure",
        Unavailable,
        "did not agree in time",
    ),
    (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", Unavailable, "full"),
    (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Unavailable, "too many requests"),
    (
        Code.INVALID_ARGUMENT,
        "etcdserver: authentication failed, invalid user ID or password",
        PasswordRefused,
        "etcd.password_file",
    ),
    (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", TokenRefused, "token"),
    (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", TokenRefused, "users"),
    (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", TokenRefused, "etcd.username"),
    (
        Code.FAILED_PRECONDITION,
        "etcdserver: authentication is not enabled",
        UsersOff,
        "unset etcd.username",
    ),
    (
        Code.PERMISSION_DENIED,
        "etcdserver: permission denied",
        Rejected,
        "(put /shop_prod/x) as user alice: permission denied",
    ),
    (
        Code.OUT_OF_RANGE,
        "etcdserver: mvcc: required revision has been compacted",
        RevisionGone,
        "compacted",
    ),
    (
        Code.OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision",
        RevisionGone,
        "never reached",
    ),
    (Code.NOT_FOUND, "etcdserver: requested lease not found", LeaseNotFound, "ended"),
    (Code.FAILED_PRECONDITION, "etcdserver: lease already exists", Conflict, "exists"),
    (Code.INVALID_ARGUMENT, "etcdserver: request is too large", Rejected, "too large"),
    (Code.INVALID_ARGUMENT, "etcdserver: key is not provided", Rejected, "not provided"),
    (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request", Rejected, "dupl"),
    (Code.UNAVAILABLE, "etcdserver: not healthy for reconfigure", Unavailable, "reconfigure"),
    (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", Unavailable, "in time"),
    (Code.UNAVAILABLE, "Socket closed", Disconnected, "closed the connection"),
    (
        Code.UNAVAILABLE,
        f"{NO_CONNECTION} ipv4:1.2.3.4:5: Failed to connect to remote host: Connection refused",
        Disconnected,
        "nothing listens there",
    ),
    (
        Code.UNAVAILABLE,
        f"{NO_CONNECTION} Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: {VERIFY}",
        Disconnected,
        "etcd.ca_file",
    ),
    (
        Code.UNAVAILABLE,
        f"{NO_CONNECTION} ipv4:1.2.3.4:5: Socket closed",
        Disconnected,
        "it wants TLS (set etcd.ca_file)",
    ),
    (
        Code.UNAVAILABLE,
        f"{NO_CONNECTION} ipv4:1.2.3.4:5: recvmsg:Connection reset by peer (104)",
        Disconnected,
        "or refuses etcd.cert_file",
    ),
    (Code.UNAVAILABLE, "recvmsg:Connection reset by peer (104)", Disconnected, "it closed the"),
    (Code.UNAVAILABLE, "sendmsg: Broken pipe (32)", Disconnected, "it closed the connection"),
    (Code.UNAVAILABLE, "keepalive watchdog timeout", Disconnected, "stopped answering"),
    (Code.CANCELLED, "", Disconnected, "the connection broke"),
    (Code.UNIMPLEMENTED, "unknown service", Unavailable, "UNIMPLEMENTED: unknown service"),
    (Code.INVALID_ARGUMENT, "bad metadata", Rejected, "bad metadata"),
]


@pytest.mark.parametrize(("code", "details", "kind", "words"), FAULTS)
def test_each_failure_says_what_to_do(
    code: Code, details: str, kind: type[WharfingerError], words: str
) -> None:
    error = fault(code, details, WHERE)
    assert type(error) is kind
    assert words in str(error)
    assert "10.0.0.1:2379" in str(error)


def test_the_user_is_named_only_where_it_matters() -> None:
    assert "alice" not in str(fault(Code.UNAVAILABLE, "etcdserver: no leader", WHERE))
