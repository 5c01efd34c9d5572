"""Documents as syslog messages (RFC 5424); pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from logshipper.decode import Record
from logshipper.encoding import beside, text_of
from logshipper.model import PREFIX, Message
from logshipper.sinks.encoding.times import SECOND_NS, nanoseconds

INFO: Final = 6
# Docker's own syslog driver gives the streams these severities.
_STREAMS: Final = {"stdout": INFO, "stderr": 3}
SEVERITIES: Final = {
    "emerg": 0,
    "panic": 0,
    "alert": 1,
    "critical": 2,
    "crit": 2,
    "fatal": 2,
    "error": 3,
    "err": 3,
    "warning": 4,
    "warn": 4,
    "notice": 5,
    "info": INFO,
    "debug": 7,
    "trace": 7,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAME_CHARACTERS: Final = 32


class SyslogEncoding:
    """APP-NAME is the app, PROCID the container, MSGID the stream; the rest is structured data.

    Args:
        facility: 0 to 23.
        element: name of the structured data.
    """

    def __init__(self, facility: int, element: str) -> None:
        self._facility = facility
        self._element = element

    def compile(self, fields: Mapping[str, str]) -> "SyslogEncoder":
        """Makes the encoder of one log."""
        held = {name: text for name, text in fields.items() if text}
        return SyslogEncoder(held, self._facility, self._element)


class SyslogEncoder:
    """Makes the documents of one log, without any framing.

    Args:
        fields: what is known of the container.
        facility: 0 to 23.
        element: name of the structured data.
    """

    def __init__(self, fields: Mapping[str, str], facility: int, element: str) -> None:
        self._fields = {**fields, "id": ""}
        self._facility = facility
        self._element = element
        app = fields.get("app") or fields.get("container_name", "")
        self._host = _header(fields.get("host", ""), 255)
        self._source = f"{_header(app, 48)} {_header(fields.get('container', '')[:12], 128)}"
        beside_header = {key: text for key, text in fields.items() if key not in {"app", "host"}}
        self._taken = {"id", *map(_parameter_name, beside_header)}
        self._data = "".join(_parameter(name, text) for name, text in beside_header.items())

    def lines(
        self, prefix: str, offset: int, records: Sequence[Record], lengths: Sequence[int], time: str
    ) -> list[bytes]:
        """Encodes lines that nothing rewrote."""
        documents: list[bytes] = []
        for record, length in zip(records, lengths, strict=True):
            text, at = record.log.removesuffix("\n"), record.time or time
            message = Message(f"{prefix}{offset:x}", text, record.stream, at)
            documents.append(self._line(message, ""))
            offset += length + 1
        return documents

    def message(self, message: Message) -> bytes:
        """Encodes a message that was joined, cut or rewritten."""
        said = beside(message, self._fields)
        more = (self._beside(name, text_of(value)) for name, value in said.items())
        return self._line(message, "".join(more))

    def _beside(self, name: str, text: str) -> str:
        # Of two parameters of one name receivers keep the last: whose line it is must not change.
        taken = _parameter_name(name) in self._taken
        return _parameter(f"{PREFIX}{name}" if taken else name, text)

    def _line(self, message: Message, more: str) -> bytes:
        severity = _STREAMS.get(message.stream, INFO)
        if message.level:
            severity = SEVERITIES.get(message.level.lower(), severity)
        return (
            f"<{self._facility * 8 + severity}>1 {_moment(message.time)} {self._host} "
            f"{self._source} {_header(message.stream, 32)} "
            f'[{self._element} id="{message.id}"{self._data}{more}] {message.text}'
        ).encode("utf-8", "replace")


def _moment(time: str) -> str:
    """TIMESTAMP: at most microseconds (RFC 5424, 6.2.3)."""
    seconds, rest = divmod(nanoseconds(time), SECOND_NS)
    return f"{_second(seconds)}.{rest // 1000:06}Z" if seconds > 0 else "-"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _header(text: str, limit: int) -> str:
    """A field of the header: printable ASCII without spaces, `-` for none."""
    kept = "".join(sign if "!" <= sign <= "~" else "_" for sign in text[:limit])
    return kept or "-"


def _parameter(name: str, text: str) -> str:
    """SD-PARAM (RFC 5424, 6.3.3)."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]").replace("\n", " ")
    return f' {_parameter_name(name)}="{text}"'


def _parameter_name(name: str) -> str:
    kept = "".join(
        sign if "!" <= sign <= "~" and sign not in '="]' else "_"
        for sign in name[:_NAME_CHARACTERS]
    )
    return kept or "_"


def framed(documents: Sequence[bytes]) -> bytes:
    """Octet counting (RFC 6587, 3.4.1; RFC 5425, 4.3): a text may hold newlines."""
    return b"".join(b"%d %b" % (len(document), document) for document in documents)
