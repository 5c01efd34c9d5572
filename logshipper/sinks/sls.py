"""Alibaba Cloud's log service: PutLogs, signed, and all or nothing."""

import asyncio
import hashlib
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Final

import lz4.block
import msgspec
from yarl import URL

from logshipper.encoding import Encoding
from logshipper.model import Verdict
from logshipper.sinkconfig import SlsConfig
from logshipper.sinks.contract import TooLarge
from logshipper.sinks.credentials import secret_lines
from logshipper.sinks.encoding import sls
from logshipper.sinks.http import Answer, Connections, refused_whole
from wharfinger.errors import ConfigError, Finding
from wharfinger.text import quantity

API_VERSION: Final = "0.6.0"
# x-log-bodyrawsize reaches up to this (its documentation, Common request headers).
LIMIT_BYTES: Final = 3 * 2**20
_TOO_LARGE: Final = frozenset({"PostBodyTooLarge"})
_POISONED: Final = frozenset({"PostBodyInvalid", "PostBodyUncompressError", "InvalidParameter"})


class Sls:
    """One Logstore.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.

    Raises:
        ConfigError: the AccessKey or a certificate cannot be used.
    """

    remote = True
    limit_documents = 4096

    def __init__(self, config: SlsConfig) -> None:
        self._config = config
        self.encoding: Encoding = sls.SlsEncoding()
        self._path = f"/logstores/{config.logstore}/shards/lb"
        self._url = URL(config.url.rstrip("/") + self._path)
        self._source = socket.gethostname()
        self._secrets = _access_key(config)
        self._connections = Connections(config, config.url)
        self.certificates = self._connections.certificates

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents: SLS takes all of them, or none.

        Raises:
            Unavailable: no answer, or one that says nothing of the documents.
            TooLarge: it is more than a request may hold.
            Indigestible: one of them is at fault.
        """
        raw = sls.body(documents, topic=self._config.topic, source=self._source)
        if len(raw) > LIMIT_BYTES:
            raise TooLarge(f"{len(raw)} bytes; SLS takes {LIMIT_BYTES} at once")
        body = await asyncio.to_thread(lz4.block.compress, raw, store_size=False)
        headers = self.headers(body, len(raw), datetime.now(UTC))
        answer = await self._connections.post(self._url, body, headers)
        if answer.status == HTTPStatus.OK:
            return Verdict(len(documents))
        raise await asyncio.to_thread(self._error, answer)

    def headers(self, body: bytes, raw_bytes: int, now: datetime) -> dict[str, str]:
        """The headers of a request, signed.

        Args:
            body: compressed.
            raw_bytes: before that.
            now: with a time zone.
        """
        identity, secret, *tokens = self._secrets
        headers = {
            "Date": format_datetime(now.astimezone(UTC), usegmt=True),
            "Content-Type": "application/x-protobuf",
            "Content-MD5": hashlib.md5(body, usedforsecurity=False).hexdigest().upper(),
            "x-log-apiversion": API_VERSION,
            "x-log-bodyrawsize": str(raw_bytes),
            "x-log-compresstype": "lz4",
            "x-log-signaturemethod": "hmac-sha1",
        }
        if tokens:
            headers["x-acs-security-token"] = tokens[0]
        signed = sls.signature(secret, "POST", self._path, headers)
        return {**headers, "Authorization": f"LOG {identity}:{signed}"}

    async def reach(self) -> None:
        """Looks whether it is there."""
        await self._connections.reach()

    def refresh(self) -> None:
        """Reads the AccessKey and the certificates again."""
        self._secrets = _access_key(self._config)
        self._connections.refresh()

    async def close(self) -> None:
        """Closes its connections."""
        await self._connections.close()

    def _error(self, answer: Answer) -> Exception:
        """Its documentation, Common error codes: the code says more than the status."""
        try:
            code = msgspec.json.decode(answer.body).get("errorCode", "")
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
            code = ""
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or code in _TOO_LARGE:
            return TooLarge(answer.why)
        if answer.status == HTTPStatus.BAD_REQUEST and code in _POISONED:
            return refused_whole(answer)
        why = answer.why
        # 403 is a quota as well as a wrong key: both are tried again.
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            try:
                self.refresh()
            except ConfigError as error:
                why += f": its secret cannot be read again: {error}"
        return answer.later(why)


def _access_key(config: SlsConfig) -> list[str]:
    if config.access_key_file is None:
        return ["", ""]
    lines = secret_lines(config, "access_key_file")
    if len(lines) not in {2, 3}:
        held = quantity(len(lines), "line")
        problem = f"{config.access_key_file} holds {held}, not an id and a secret"
        raise ConfigError([Finding(f"logshipper.sinks.{config.name}.access_key_file", problem)])
    return lines
