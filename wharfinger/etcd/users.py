"""etcd's users and roles (etcd: api/etcdserverpb, service Auth)."""

from typing import Any, Final

from wharfinger.etcd.faults import PasswordRefused, UsersOff
from wharfinger.etcd.messages import (
    AUTH_ENABLE,
    AUTHENTICATE,
    EVERYTHING,
    ROLE_ADD,
    ROLE_DELETE,
    ROLE_GET,
    ROLE_GRANT,
    ROLE_LIST,
    ROLE_REVOKE,
    USER_ADD,
    USER_DELETE,
    USER_GET,
    USER_GRANT,
    USER_LIST,
    USER_REVOKE,
    rpc,
)
from wharfinger.etcd.session import Session
from wharfinger.kv import KeyRange, Permission, key_from_bytes, key_to_bytes

# authpb.Permission.Type
_KINDS: Final = ("read", "write", "readwrite")


class Users:
    """Looks at them and changes them; once users count, that needs one with the role `root`.

    Every method raises what every call of `Etcd` does.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def enabled(self) -> bool:
        """Whether users count at all."""
        # AuthStatus came with 3.5; before that only a refusal tells.
        request = rpc.AuthenticateRequest(name="root", password="")
        try:
            await self._session.call(AUTHENTICATE, request, "are there users", repeatable=True)
        except UsersOff:
            return False
        except PasswordRefused:
            pass
        return True

    async def all_users(self) -> dict[str, frozenset[str]]:
        """The roles of each user."""
        listed = await self._ask(USER_LIST, rpc.AuthUserListRequest(), "list users")
        found = {}
        for name in listed.users:
            answer = await self._ask(USER_GET, rpc.AuthUserGetRequest(name=name), f"user {name}")
            found[name] = frozenset(answer.roles)
        return found

    async def all_roles(self) -> dict[str, frozenset[Permission]]:
        """What each role may do."""
        listed = await self._ask(ROLE_LIST, rpc.AuthRoleListRequest(), "list roles")
        found = {}
        for name in listed.roles:
            answer = await self._ask(ROLE_GET, rpc.AuthRoleGetRequest(role=name), f"role {name}")
            found[name] = frozenset(_permission(each) for each in answer.perm)
        return found

    async def enable(self) -> None:
        """From now on users count."""
        await self._session.call(AUTH_ENABLE, rpc.AuthEnableRequest(), "enable users")

    async def add_user(self, user: str) -> None:
        """One without a password: nobody can be it but by a certificate of that name."""
        options = rpc.UserAddOptions(no_password=True)
        request = rpc.AuthUserAddRequest(name=user, options=options)
        await self._session.call(USER_ADD, request, f"add user {user}")

    async def delete_user(self, user: str) -> None:
        """Its sessions end with the next thing that they ask."""
        request = rpc.AuthUserDeleteRequest(name=user)
        await self._session.call(USER_DELETE, request, f"delete user {user}")

    async def give(self, user: str, role: str) -> None:
        """A user has this role as well."""
        request = rpc.AuthUserGrantRoleRequest(user=user, role=role)
        await self._session.call(USER_GRANT, request, f"give {user} {role}")

    async def take(self, user: str, role: str) -> None:
        """A user has this role no longer."""
        request = rpc.AuthUserRevokeRoleRequest(name=user, role=role)
        await self._session.call(USER_REVOKE, request, f"take {role} from {user}")

    async def add_role(self, role: str) -> None:
        """One that may do nothing yet."""
        await self._session.call(ROLE_ADD, rpc.AuthRoleAddRequest(name=role), f"add role {role}")

    async def delete_role(self, role: str) -> None:
        """Nobody has it any more."""
        request = rpc.AuthRoleDeleteRequest(role=role)
        await self._session.call(ROLE_DELETE, request, f"delete role {role}")

    async def grant(self, role: str, may: Permission) -> None:
        """A role may do this; it replaces what it may do with the same range."""
        start, end = _bounds(may.keys)
        permission = rpc.Permission(permType=_KINDS.index(may.kind), key=start, range_end=end)
        request = rpc.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        await self._session.call(ROLE_GRANT, request, f"grant {role} {may.keys.start}")

    async def withdraw(self, role: str, keys: KeyRange) -> None:
        """A role may do nothing any more with this range."""
        start, end = _bounds(keys)
        request = rpc.AuthRoleRevokePermissionRequest(role=role, key=start, range_end=end)
        await self._session.call(ROLE_REVOKE, request, f"withdraw {role} {keys.start}")

    async def _ask(self, method: Any, request: Any, about: str) -> Any:
        return await self._session.call(method, request, about, repeatable=True)


def _permission(message: Any) -> Permission:
    start = key_from_bytes(message.key)
    if not message.range_end:
        end: str | None = f"{start}\0"  # that key alone
    else:
        end = None if message.range_end == EVERYTHING else key_from_bytes(message.range_end)
    return Permission(_KINDS[message.permType], KeyRange(start, end))


def _bounds(keys: KeyRange) -> tuple[bytes, bytes]:
    start = key_to_bytes(keys.start)
    if keys.end is None:
        return start, EVERYTHING
    return start, b"" if keys.end == f"{keys.start}\0" else key_to_bytes(keys.end)
