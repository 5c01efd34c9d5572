"""From the users and roles that etcd has to those that it shall have, step by step; pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from wharfinger.kv import KeyRange, Permission
from wharfinger.operator.pki.model import ROOT
from wharfinger.operator.pki.rights import Ours, Standing


@dataclass(frozen=True, slots=True)
class AddRole:
    """A role that may do nothing yet."""

    role: str

    def __str__(self) -> str:
        return f"add role {self.role}"


@dataclass(frozen=True, slots=True)
class DeleteRole:
    """A role that nobody shall have any more."""

    role: str

    def __str__(self) -> str:
        return f"delete role {self.role}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role may do this as well."""

    role: str
    may: Permission

    def __str__(self) -> str:
        return f"grant {self.role}: {_words(self.may)}"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A role may do this no longer."""

    role: str
    may: Permission

    def __str__(self) -> str:
        return f"withdraw {self.role}: {_words(self.may)}"


@dataclass(frozen=True, slots=True)
class AddUser:
    """A user without a password: known by the common name of a certificate alone."""

    user: str

    def __str__(self) -> str:
        return f"add user {self.user}, by certificate alone"


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """A user that was revoked."""

    user: str

    def __str__(self) -> str:
        return f"delete user {self.user}"


@dataclass(frozen=True, slots=True)
class Give:
    """A user has this role as well."""

    user: str
    role: str

    def __str__(self) -> str:
        return f"give {self.user} the role {self.role}"


@dataclass(frozen=True, slots=True)
class Take:
    """A user has this role no longer."""

    user: str
    role: str

    def __str__(self) -> str:
        return f"take the role {self.role} from {self.user}"


@dataclass(frozen=True, slots=True)
class Enable:
    """From now on etcd asks who it is."""

    def __str__(self) -> str:
        return "enable users: etcd asks who it is from now on"


Step = AddRole | DeleteRole | Grant | Withdraw | AddUser | DeleteUser | Give | Take | Enable


def steps(have: Standing, want: Standing, ours: Ours, *, enabled: bool) -> tuple[Step, ...]:
    """What has to be done: rights come before they are needed, and go when nobody has them.

    Args:
        have: what etcd has; what is not ours in it stays.
        want: what it shall have.
        ours: what may be changed and removed.
        enabled: whether users count already.
    """
    found = [*_granting(have, want), *_withdrawing(have, want, ours)]
    return tuple(found if enabled else [*found, Enable()])


def _granting(have: Standing, want: Standing) -> Iterator[Step]:
    for role, may in want.roles.items():
        if role not in have.roles:
            yield AddRole(role)
        before = have.roles.get(role, frozenset())
        for each in sorted(may - before, key=_order):
            yield Grant(role, each)
    for user, roles in want.users.items():
        if user not in have.users:
            yield AddUser(user)
        for role in sorted(roles - have.users.get(user, frozenset())):
            yield Give(user, role)


def _withdrawing(have: Standing, want: Standing, ours: Ours) -> Iterator[Step]:
    for user, roles in have.users.items():
        if user not in ours.users or user == ROOT:
            continue
        if user not in want.users:
            yield DeleteUser(user)
            continue
        # A role that somebody has made and given by hand is no business of ours, root's is.
        for role in sorted((roles - want.users[user]) & (ours.roles | {ROOT})):
            yield Take(user, role)
    for role, may in have.roles.items():
        if role not in ours.roles:
            continue
        if role not in want.roles:
            yield DeleteRole(role)
            continue
        granted = {each.keys for each in want.roles[role]}
        for each in sorted(may - want.roles[role], key=_order):
            # etcd has one permission for a range: granting has replaced this one.
            if each.keys not in granted:
                yield Withdraw(role, each)


def _order(may: Permission) -> tuple[str, str]:
    return may.keys.start, may.kind


def _words(may: Permission) -> str:
    keys = may.keys
    if keys == KeyRange.of_prefix(keys.start):
        return f"{may.kind} {keys.start}*"
    return f"{may.kind} {keys.start} .. {keys.end or 'the end'}"
