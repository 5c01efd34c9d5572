"""How we show a registry who we are: Basic, or a token from whom it trusts.

Sources: distribution, docs/spec/auth/token.md and oauth.md.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import msgspec
from yarl import URL

from deploy.release.reference import is_loopback
from deploy.release.registry.access import Access, Credentials
from deploy.release.registry.challenge import Challenge
from deploy.release.registry.credentials import credentials
from deploy.release.registry.messages import Reply, Request
from wharfinger.errors import Rejected, Unavailable

_CLIENT: Final = "wharfinger"
Send = Callable[[Request, URL, Mapping[str, str]], Awaitable[Reply]]
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class Authority:
    """What is shown to one registry.

    Args:
        registry: `HOST[:PORT]`.
        access: where docker keeps who we are, and who else may be shown it.
        send: sends a request to an address.
    """

    def __init__(self, registry: str, access: Access, send: Send) -> None:
        self._registry = registry
        self._access = access
        self._send = send
        self._credentials: Credentials | None = None
        self._held: dict[str, str] = {}

    def held(self, scope: str) -> str:
        """The header that was good for it before; empty for none."""
        return self._held.get(scope, "")

    async def prove(self, asked: Sequence[Challenge], scope: str, *, plain: bool) -> str:
        """The header by which the registry knows us.

        Args:
            asked: what it takes.
            scope: what we want to do.
            plain: whether it is asked without TLS.

        Raises:
            Rejected: we cannot show what it wants.
            Unavailable: who gives the token is away.
            ConfigError: what docker keeps cannot be read.
        """
        if self._credentials is None:
            self._credentials = await credentials(self._registry, self._access.config_dir)
        ours = self._credentials
        schemes = {each.scheme: each.parameters for each in reversed(asked)}
        if ours.registry_token:
            header = f"Bearer {ours.registry_token}"
        elif "bearer" in schemes:
            header = await self._token(schemes["bearer"], scope, ours, plain=plain)
        elif "basic" in schemes and ours.password:
            header = _basic(ours)
        else:
            unheard = "it asks for what is not spoken here"
            raise Rejected(self.refusal("no password is kept" if "basic" in schemes else unheard))
        self._held[scope] = header
        return header

    def refusal(self, why: str) -> str:
        """What to say where it does not want us."""
        login = f"docker login {self._registry}"
        if not self._credentials:
            return f"registry {self._registry} lets in nobody without a login: {why}: {login}"
        return f"registry {self._registry} refuses {self._credentials.who}: {why}: {login}"

    async def _token(
        self, asked: Mapping[str, str], scope: str, ours: Credentials, *, plain: bool
    ) -> str:
        url = self._realm(asked.get("realm", ""), ours, plain=plain)
        wanted = {"service": asked.get("service", ""), "scope": scope, "client_id": _CLIENT}
        request = Request(path=url.raw_path, scope=scope)
        if ours.identity_token:
            wanted |= {"grant_type": "refresh_token", "refresh_token": ours.identity_token}
            body = urlencode(wanted).encode()
            reply = await self._send(replace(request, method="POST", body=body), url, _FORM)
        else:
            headers = {"Authorization": _basic(ours)} if ours.password else {}
            reply = await self._send(request, url.update_query(wanted), headers)
        busy = reply.status == HTTPStatus.TOO_MANY_REQUESTS
        if busy or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"{url.authority}, which gives tokens, answers {reply.why}")
        if reply.status != HTTPStatus.OK:
            raise Rejected(self.refusal(f"{url.authority}, which gives tokens, says {reply.why}"))
        return f"Bearer {_token_of(reply.body, url.authority)}"

    def _realm(self, text: str, ours: Credentials, *, plain: bool) -> URL:
        try:
            url = URL(text)
            host = url.host if url.user is None and url.password is None else None
        except ValueError:
            host = None
        own = URL(f"https://{self._registry}").host
        near = host == own or bool(host and is_loopback(host) and is_loopback(own or ""))
        if not host or not (url.scheme == "https" or (plain and near and url.scheme == "http")):
            # A password goes there.
            raise Rejected(f"registry {self._registry} sends us to {text[:80]!a} for a token")
        if ours and not near and host not in self._access.token_hosts:
            raise Rejected(
                f"registry {self._registry} sends us to {host[:80]!a} for a token, which is not to"
                " be shown our password unless deploy.registry_token_hosts names it"
            )
        return url


def _basic(ours: Credentials) -> str:
    """RFC 7617; registries take the name and the password as UTF-8."""
    pair = f"{ours.user}:{ours.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _token_of(body: bytes, authority: str) -> str:
    try:
        found = msgspec.json.decode(body, type=_Token)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Rejected(f"{authority} gives no token that can be read") from None
    token = found.token or found.access_token
    if not (token and token.isascii() and token.isprintable()):
        raise Rejected(f"{authority} gives no token that can be sent")
    return token
