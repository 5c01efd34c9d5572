"""An export's form: a JSON object or a plain text for each line, packed if the client takes it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web
from isal import isal_zlib

from logshipper.store.http.hits import render
from logshipper.store.lines import times
from logshipper.store.lines.words import plain
from logshipper.store.model import BadQuery, Found
from wharfinger import levels

_GZIP_BITS: Final = 31  # a gzip header and trailer around the stream (zlib's manual)
_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Form:
    """How an export is written.

    Attributes:
        text: plain text instead of JSON.
        gzip: whether it is packed.
    """

    text: bool
    gzip: bool

    def headers(self) -> dict[str, str]:
        """What the answer says of itself."""
        name = "logs.txt" if self.text else "logs.ndjson"
        return {
            "Content-Type": "text/plain; charset=utf-8" if self.text else "application/x-ndjson",
            "Content-Disposition": f'attachment; filename="{name}"',
            # Lines are hostile: no browser may take them for a page.
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept-Encoding",
            **({"Content-Encoding": "gzip"} if self.gzip else {}),
        }

    def body(self, found: Sequence[Found]) -> bytes:
        """These lines, not packed."""
        if self.text:
            return "".join(map(as_text, found)).encode(errors="replace")
        return b"".join(msgspec.json.encode(render(one)) + b"\n" for one in found)


class Packer:
    """Packs a stream, part by part.

    Args:
        form: whether at all.
    """

    def __init__(self, form: Form) -> None:
        self._packing = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_BITS) if form.gzip else None

    def pack(self, data: bytes) -> bytes:
        """What may be sent so far; nothing while there is too little to pack."""
        return data if self._packing is None else self._packing.compress(data)

    def end(self) -> bytes:
        """The rest."""
        return b"" if self._packing is None else self._packing.flush()


def form(request: web.Request) -> Form:
    """The form that a request asks for.

    Raises:
        BadQuery: there is no such form.
    """
    name = request.query.get("format", "ndjson")
    if name not in {"ndjson", "text"}:
        raise BadQuery(f"format={name[:20]!r} is no form", "write format=ndjson or format=text")
    return Form(name == "text", accepts_gzip(request.headers.getall("Accept-Encoding", [])))


def accepts_gzip(accepted: Iterable[str]) -> bool:
    """Whether `Accept-Encoding` names gzip, and not with a weight of nothing (RFC 9110, 12.5.3)."""
    for coding in ",".join(accepted).split(","):
        name, *parameters = [part.strip().lower() for part in coding.split(";")]
        if name == "gzip":
            return not any(p.startswith("q=0") and not p[3:].strip(".0") for p in parameters)
    return False


def as_text(found: Found) -> str:
    """Time, level, application and environment, host, then the message without its colours."""
    line = found.line
    service = "_".join(filter(None, (line.stream.app, line.stream.env))) or "-"
    level = levels.NAMES[line.level].upper() or "-"
    host = line.stream.host or "-"
    return f"{times.text(line.time_ns)} {level} {service} {host} {plain(line.message)}\n"
