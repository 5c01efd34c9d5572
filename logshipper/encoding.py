"""The last step of a pipeline belongs to the sink: what an encoding is to it; pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from logshipper.decode import Record
from logshipper.model import PREFIX, Message

# What a document says by itself; a parsed field of that name gets out of its way.
OWN: Final = frozenset({"@timestamp", "message", "stream"})


class Encoder(Protocol):
    """Makes the documents of one log as its sink takes them; compiled once for each log.

    A document is bytes that stand for themselves: they are batched, halved, sent again and kept
    among the dead letters as they are.
    """

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote, one document each: the way of nearly every line.

        Args:
            prefix: of the ids; what follows it is the line's offset, hexadecimal.
            offset: of the first line.
            records: complete messages, one behind the other in the file.
            lengths: of the lines, without their newlines.
            time: for the records before the first that has one.
        """

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""


@runtime_checkable
class Splicer(Encoder, Protocol):
    """One whose documents are JSON objects, so that a text may stand in them as Docker wrote it."""

    def spliced(self, prefix: str, offset: int, insides: Sequence[bytes]) -> list[bytes]:
        """Puts lines into documents; the same as `lines`, but for the spelling of JSON.

        Args:
            prefix: of the ids; what follows it is the line's offset, hexadecimal.
            offset: of the first line.
            insides: of lines that stand one behind the other in the file.
        """


class Encoding(Protocol):
    """How a sink wants its documents."""

    def compile(self, fields: Mapping[str, str]) -> Encoder:
        """Makes the encoder of one log.

        Args:
            fields: what each document carries of the container; empty ones are left out.
        """


def beside(message: Message, fields: Mapping[str, str]) -> dict[str, Any]:
    """What a document says beside id, time, text, stream and the container's fields."""
    said: dict[str, Any] = {}
    if not (message.level or message.piece or message.fields):
        return said
    if message.level:
        said["level"] = message.level
    if message.piece:
        # The names of Docker's own marks for cut lines, in its journald driver.
        said["partial_id"] = message.base
        said["partial_ordinal"] = message.piece
        said["partial_last"] = message.last
    for key, value in (message.fields or {}).items():
        # Whose container it is, is not for its text to say; nor is a value to be dropped for that.
        taken = key in OWN or key in fields or key in said
        said[f"{PREFIX}{key}" if taken else key] = value
    return said


def text_of(value: object) -> str:
    """A parsed value for a sink that knows only text: JSON for what is none."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
