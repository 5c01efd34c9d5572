"""Lines of text on their way to documents: split, decoded, cut where they are too long; pure."""

from collections.abc import Callable, Mapping
from typing import Final

from logshipper.decode import Record
from logshipper.encoding import Encoding
from logshipper.join import FILE_STREAM
from logshipper.lines.charset import compile_charset
from logshipper.linesettings import LineSettings
from logshipper.model import Chunk, Progress, Slice
from logshipper.pipeline import Typed

_CONTINUES: Final = 0b1100_0000
_CONTINUATION: Final = 0b1000_0000
MAX_CHARACTER_BYTES: Final = 4


class TextLines(Typed):
    """What becomes of a file of text; as of a log of Docker's, once its lines are told apart.

    Args:
        owner: what ids begin with.
        fields: what each document carries beside time, message and stream.
        encoding: makes documents, as the log's sink takes them.
        limit_bytes: a line longer than this is cut into numbered pieces.
        now: RFC 3339: the time of lines that say none, which is when they are read.
        lines: what is done to lines.
        progress: where an earlier life stopped, if there was one.
    """

    def __init__(
        self,
        owner: str,
        fields: Mapping[str, str],
        *,
        encoding: Encoding,
        limit_bytes: int,
        now: Callable[[], str],
        lines: LineSettings,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(
            owner,
            fields,
            encoding=encoding,
            limit_bytes=limit_bytes,
            fallback_time=now(),
            lines=lines,
            progress=progress,
        )
        self._now = now
        self._decode = compile_charset(lines.charset)
        self._wide = lines.charset.lower().replace("_", "-") in {"utf-8", "utf8"}

    def take(self, chunk: Chunk) -> Slice:
        """Takes the next bytes of the file."""
        documents = self._described()
        documents += self._flushed() if chunk.gap else []
        self._time = self._now()
        records, lengths, undecoded = self._split(chunk)
        documents += self._decoded(chunk, records, lengths)
        return self._slice(documents, chunk.end, len(chunk.data), undecoded=undecoded)

    def _split(self, chunk: Chunk) -> tuple[list[Record], list[int], int]:
        """Records, how far each reaches less one byte for its newline, and lines with odd bytes."""
        records: list[Record] = []
        lengths: list[int] = []
        undecoded = 0
        lines = chunk.data.split(b"\n")
        whole = not lines[-1]
        if whole:
            lines.pop()
        for number, line in enumerate(lines):
            ends = whole or number < len(lines) - 1 or not chunk.more
            pieces = self._pieces(line) if len(line) > self._limit_bytes else [line]
            for at, piece in enumerate(pieces):
                last = at == len(pieces) - 1
                text, fits = self._decode(_bare(piece) if last and ends else piece)
                undecoded += not fits
                # A part is known by what it lacks: the newline.
                records.append(Record(text + "\n" if last and ends else text, FILE_STREAM))
                lengths.append(len(piece) - (not last))
        if records and not whole:
            lengths[-1] -= 1
        return records, lengths, undecoded

    def _pieces(self, line: bytes) -> list[bytes]:
        pieces = []
        begin = 0
        while len(line) - begin > self._limit_bytes:
            end = begin + self._limit_bytes
            if self._wide:
                end = _boundary(line, end)
            pieces.append(line[begin:end])
            begin = end
        return [*pieces, line[begin:]]


def _boundary(line: bytes, end: int) -> int:
    """The last place up to `end` where a character begins, if there is one nearby."""
    for back in range(MAX_CHARACTER_BYTES):
        if line[end - back] & _CONTINUES != _CONTINUATION:
            return end - back
    return end


def _bare(line: bytes) -> bytes:
    # Where a program writes on at its old place in a file that was cut to nothing, the kernel
    # shows NUL bytes in front.
    return line.removesuffix(b"\r").lstrip(b"\0")
