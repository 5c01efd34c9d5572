"""What a failed call to etcd means to its caller: try again, plan anew, drop it, or mend what."""

import re
from dataclasses import dataclass
from typing import Final

from grpc import StatusCode

from wharfinger.errors import Conflict, Rejected, Unavailable, WharfingerError


class Disconnected(Unavailable):
    """The connection is of no use any more; another member may answer."""


class TokenRefused(Unavailable):
    """etcd does not take the token (any more): authenticate anew."""


class UsersOff(Unavailable):
    """The cluster has no users: a token is neither to be had nor needed."""


class PasswordRefused(Unavailable):
    """etcd knows no such user, or another password of theirs, or none at all."""


class RevisionGone(Conflict):
    """That revision is compacted, or this cluster has never reached it: list anew."""


class LeaseNotFound(Conflict):
    """The lease has expired or was revoked: its keys are gone, grant another."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a failure's message needs to be of use.

    Attributes:
        endpoint: HOST:PORT that was asked.
        user: that we act as; empty for none.
        about: the keys or the lease that the call was about.
    """

    endpoint: str
    user: str = ""
    about: str = ""


# What grpc-core says (patterns) of a connection that cannot be made, and what is to be mended.
_CONNECTION_WORDS: Final = (
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not signed by the CA in etcd.ca_file: name the CA that signed it",
    ),
    (
        "Hostname Verification Check failed",
        "its certificate is for other names: use a name in etcd.endpoints that it is made for",
    ),
    (
        "Unwrap failed",
        "it ended the handshake: name a client certificate of its CA in etcd.cert_file, key_file",
    ),
    ("BAD_CERTIFICATE", "it refused our certificate: check etcd.cert_file and etcd.key_file"),
    ("security handshaker", "etcd.ca_file, cert_file or key_file holds no usable PEM"),
    (
        "Handshake read failed",
        "it does not answer in TLS: unset etcd.ca_file, or turn TLS on there",
    ),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: unset etcd.ca_file, or turn TLS on there"),
    ("Connection refused", "nothing listens there"),
    ("hostname lookup error", "that name cannot be resolved"),
    ("No route to host", "there is no route to it"),
    ("Network is unreachable", "its network is unreachable"),
    ("before receiving SETTINGS", "it takes connections but does not answer"),
    (
        # Which of them, the kernel's timing decides: etcd closes with our preface unread.
        "failed to connect.*(Socket closed|Connection reset|Broken pipe)",
        "it closed the connection: it wants TLS (set etcd.ca_file), or refuses etcd.cert_file",
    ),
    ("Socket closed|Connection reset|Broken pipe|RPC already", "it closed the connection"),
    ("ping timeout", "it has stopped answering"),
    ("keepalive", "it has stopped answering"),
)

# etcd's own words (api/v3rpc/rpctypes/error.go) for a cluster that cannot serve this now.
_ETCD_WORDS: Final = (
    ("no leader", Disconnected, "the cluster has no leader: a majority of its members is away"),
    ("server stopped", Disconnected, "it is shutting down"),
    ("not capable", Disconnected, "it is not yet capable of that: it is starting"),
    ("leader changed", Unavailable, "the leader changed meanwhile"),
    ("request timed out", Unavailable, "the cluster did not agree in time"),
    (
        "database space exceeded",
        Unavailable,
        "its database is full: compact, defragment, then disarm the alarm with etcdctl",
    ),
    ("too many requests", Unavailable, "it has too many requests in hand"),
    (
        "invalid user ID or password",
        PasswordRefused,
        "it refuses that user or password: check etcd.username and etcd.password_file",
    ),
    (
        "no password user",
        PasswordRefused,
        "that user has no password: unset etcd.username, a certificate tells who it is",
    ),
    ("authentication is not enabled", UsersOff, "it has no users: unset etcd.username"),
    ("invalid auth token", TokenRefused, "it no longer takes our token"),
    ("auth store is old", TokenRefused, "its users changed since our token was made"),
    ("user name is empty", TokenRefused, "it wants a user: set etcd.username and password_file"),
    ("user name not found", Rejected, "it knows no such user: wharfinger pki users, or etcdctl"),
    ("permission denied", Rejected, "permission denied: grant the user a role for it"),
    ("revision has been compacted", RevisionGone, "that revision is compacted"),
    ("future revision", RevisionGone, "it has never reached that revision"),
    ("lease not found", LeaseNotFound, "that lease has ended"),
    ("lease already exists", Conflict, "a lease of that id exists"),
)


_ABOUT_USERS: Final = re.compile("permission denied|no such user")


def fault(code: StatusCode, details: str, where: Circumstances) -> WharfingerError:
    """The error that tells the caller what to do about a failed call.

    Args:
        code: of the gRPC status.
        details: its text; etcd's own begin with `etcdserver:`.
        where: what the message shall name.
    """
    for words, kind, meaning in _ETCD_WORDS:
        if words in details:
            return kind(_message(meaning, where))
    if code is StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(_message("it did not answer in time", where))
    if is_answer(details):
        # It answered, so the connection is good; what it says is about this request.
        refused = code in {StatusCode.INVALID_ARGUMENT, StatusCode.FAILED_PRECONDITION}
        return (Rejected if refused else Unavailable)(_message(details, where))
    if code in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED, StatusCode.UNKNOWN}:
        return Disconnected(_message(connection_problem(details), where))
    if code is StatusCode.INVALID_ARGUMENT:
        return Rejected(_message(details, where))
    return Unavailable(_message(f"{code.name}: {details}", where))


def is_answer(details: str) -> bool:
    """Whether etcd itself said so, so that its member lives and the connection is good."""
    return "etcdserver:" in details or details.startswith("auth:")


def connection_problem(details: str) -> str:
    """Says in words for an operator why no connection came about."""
    for words, meaning in _CONNECTION_WORDS:
        if re.search(words, details):
            return meaning
    return details or "the connection broke"


def _message(what: str, where: Circumstances) -> str:
    about = f" ({where.about})" if where.about else ""
    user = f" as user {where.user}" if where.user and _ABOUT_USERS.search(what) else ""
    return f"etcd {where.endpoint}{about}{user}: {what}"
