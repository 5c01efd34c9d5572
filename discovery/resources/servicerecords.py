"""The DNS messages that ask for SRV records and answer (RFC 1035, RFC 2782)."""

import string
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from discovery.gotemplate.confd.host import ServiceRecord

SRV: Final = 33
_INTERNET: Final = 1
_RECURSION_DESIRED: Final = 0x0100
_TRUNCATED: Final = 0x0200
_RESPONSE: Final = 0x8000
_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!2H")
_RECORD: Final = struct.Struct("!2HIH")
_SERVICE: Final = struct.Struct("!3H")
_MAX_LABEL: Final = 63
_MAX_NAME: Final = 253
_POINTER: Final = 0xC0
_MAX_POINTERS: Final = 32
_PLAIN: Final = frozenset(f"{string.ascii_letters}{string.digits}-_.".encode())


class BadMessage(Exception):
    """It is no answer to the question, or its name cannot be asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says.

    Attributes:
        records: none where it knows none.
        truncated: there is more, to be had by TCP.
    """

    records: tuple[ServiceRecord, ...]
    truncated: bool = False


def question(identity: int, name: str) -> bytes:
    """The message that asks for a name's records.

    Raises:
        BadMessage: it is no name.
    """
    labels = name.rstrip(".").split(".")
    try:
        encoded = [label.encode("ascii") for label in labels]
    except UnicodeEncodeError:
        raise BadMessage(f"{name!a} is no host name") from None
    if len(name) > _MAX_NAME or not all(0 < len(label) <= _MAX_LABEL for label in encoded):
        raise BadMessage(f"{name!a} is no host name")
    header = _HEADER.pack(identity, _RECURSION_DESIRED, 1, 0, 0, 0)
    wire = b"".join(bytes([len(label)]) + label for label in encoded)
    return header + wire + b"\0" + _QUESTION.pack(SRV, _INTERNET)


def answer(message: bytes, asked: bytes) -> Answer:
    """Reads an answer to what was asked.

    Raises:
        BadMessage: it is none.
    """
    try:
        return _answer(message, asked)
    except (struct.error, IndexError):
        raise BadMessage("a DNS answer ends too early") from None


def _answer(message: bytes, asked: bytes) -> Answer:
    identity, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
    body = asked[_HEADER.size :]
    if identity != _HEADER.unpack_from(asked)[0] or not flags & _RESPONSE or questions != 1:
        raise BadMessage("a DNS message answers something else")
    if message[_HEADER.size : _HEADER.size + len(body)].lower() != body.lower():
        raise BadMessage("a DNS message answers something else")
    at = _HEADER.size + len(body)
    records: list[ServiceRecord] = []
    if flags & _TRUNCATED:
        return Answer((), truncated=True)
    for _ in range(answers):
        _, at = _name(message, at)
        kind, _, _, length = _RECORD.unpack_from(message, at)
        at += _RECORD.size
        if kind == SRV:
            priority, weight, port = _SERVICE.unpack_from(message, at)
            target, _ = _name(message, at + _SERVICE.size)
            records.append(ServiceRecord(target, port, priority, weight))
        at += length
    return Answer(tuple(records))


def _name(message: bytes, at: int) -> tuple[str, int]:
    """The name that begins here, and where the message goes on."""
    labels: list[bytes] = []
    after, pointers = -1, 0
    while (length := message[at]) != 0:
        if length & _POINTER == _POINTER:
            after = at + 2 if after < 0 else after
            at = (length & ~_POINTER) << 8 | message[at + 1]
            pointers += 1
            if pointers > _MAX_POINTERS:
                raise BadMessage("a DNS name goes round in circles")
            continue
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    return _text(labels), (at + 1 if after < 0 else after)


def _text(labels: Sequence[bytes]) -> str:
    """A name as it is shown: nothing of a hostile one may end a line or a string."""
    name = b"".join(label + b"." for label in labels) or b"."
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in name)
