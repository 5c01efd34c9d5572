"""Documents as logs of Alibaba's SLS (see its Data encoding), and its signature; pure."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from logshipper.decode import Record
from logshipper.encoding import beside
from logshipper.model import Message
from logshipper.sinks.encoding.times import SECOND_NS, nanoseconds
from wharfinger.wire import LENGTH, block, fixed32, key, number, varint

_LOG: Final = key(1, LENGTH)
_CONTENTS: Final = key(2, LENGTH)
_VALUE: Final = key(2, LENGTH)
_ID, _MESSAGE, _STREAM = (block(1, name) for name in (b"id", b"message", b"stream"))
_UINT32: Final = 2**32 - 1


class SlsEncoding:
    """Every field is text; the nanoseconds have a field of their own."""

    def compile(self, fields: Mapping[str, str]) -> "SlsEncoder":
        """Makes the encoder of one log."""
        return SlsEncoder({name: text for name, text in fields.items() if text})


class SlsEncoder:
    """Makes the documents of one log: each a log as a field of its group.

    Args:
        fields: what each of them carries.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {**fields, "id": ""}
        self._tail = b"".join(_content(name, text) for name, text in fields.items())

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote."""
        documents: list[bytes] = []
        for record, length in zip(records, lengths, strict=True):
            identity, at = f"{prefix}{offset:x}", record.time or time
            text = record.log.removesuffix("\n")
            documents.append(self._log(identity, at, text, record.stream, b""))
            offset += length + 1
        return documents

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""
        said = beside(message, self._fields)
        more = b"".join(_content(name, _text(value)) for name, value in said.items())
        return self._log(message.id, message.time, message.text, message.stream, more)

    def _log(self, identity: str, time: str, text: str, stream: str, more: bytes) -> bytes:
        seconds, rest = divmod(nanoseconds(time), SECOND_NS)
        # One allocation for the whole log; these lines are most of the path's cost.
        log = b"%b%b%b%b%b%b%b" % (
            number(1, min(max(seconds, 0), _UINT32)),
            _valued(_ID, identity),
            _valued(_MESSAGE, text),
            _valued(_STREAM, stream),
            more,
            self._tail,
            fixed32(4, rest),
        )
        return b"%b%b%b" % (_LOG, varint(len(log)), log)


def _content(name: str, text: str) -> bytes:
    return _valued(block(1, name.encode()), text)


def _valued(name: bytes, text: str) -> bytes:
    """A field of Contents: its name, encoded already, and its value."""
    data = text.encode("utf-8", "replace")
    size = varint(len(data))
    whole = varint(len(name) + len(_VALUE) + len(size) + len(data))
    return b"%b%b%b%b%b%b" % (_CONTENTS, whole, name, _VALUE, size, data)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def body(documents: Sequence[bytes], *, topic: str, source: str) -> bytes:
    """A LogGroup.

    Args:
        documents: its logs.
        topic: may be empty.
        source: the host.
    """
    more = block(3, topic.encode()) if topic else b""
    return b"".join(documents) + more + block(4, source.encode())


def signature(secret: str, method: str, path: str, headers: Mapping[str, str]) -> str:
    """What stands behind `Authorization: LOG <id>:` (SLS documentation, Request signatures, V1).

    Args:
        secret: of the AccessKey.
        method: in capitals.
        path: with its query, whose names are in alphabetical order.
        headers: all that are sent and begin with x-log- or x-acs-, Date, Content-MD5 and
            Content-Type, in their usual spelling.
    """
    own = {name.lower(): text.strip() for name, text in headers.items()}
    custom = sorted(name for name in own if name.startswith(("x-log-", "x-acs-")))
    told = "\n".join(
        [
            method,
            own.get("content-md5", ""),
            own.get("content-type", ""),
            own["date"],
            *(f"{name}:{own[name]}" for name in custom),
            path,
        ]
    )
    digest = hmac.new(secret.encode(), told.encode(), hashlib.sha1)
    return base64.b64encode(digest.digest()).decode()
