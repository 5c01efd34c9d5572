"""Sends dead letters once more; what is refused again stays among them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from logshipper.deadletter import DeadLetters, Letter, letter, mark_of, offset_of, read_letter
from logshipper.model import Refusal
from logshipper.sinks.contract import Indigestible, Later, Sink, TooLarge
from wharfinger.backoff import Backoff
from wharfinger.errors import Conflict, Unavailable
from wharfinger.files import write_atomically

BATCH_BYTES: Final = 2**20
ATTEMPTS: Final = 5
# Somebody is waiting at a terminal.
LONGEST_WAIT_SECONDS: Final = 30.0
TOO_LARGE_STATUS: Final = 413
BAD_REQUEST_STATUS: Final = 400


@dataclass(slots=True)
class Outcome:
    """What became of the letters.

    Attributes:
        delivered: the sink has them now.
        refused: it refused them again; they stay.
        unreadable: torn, or of a sink of another type; they stay.
        dropped_bytes: of other letters that had to go for those that stay: the file is full.
    """

    delivered: int = 0
    refused: int = 0
    unreadable: int = 0
    dropped_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some letters of a file.

    Attributes:
        end: offset behind the last.
        letters: those that can be sent, with their documents.
        others: lines that cannot.
    """

    end: int
    letters: tuple[tuple[Letter, bytes], ...]
    others: tuple[bytes, ...]


class Replay:
    """One pass over a sink's dead letters, beside a shipper that may be running.

    It may be killed at any time: what it has taken is noted batch by batch, and the next pass goes
    on there. Letters of that one batch may then be sent twice, or stand twice in the file.

    Args:
        letters: the sink's.
        sink: where they go.
        backoff: between attempts, unless the sink says when.
    """

    def __init__(self, letters: DeadLetters, sink: Sink, backoff: Backoff | None = None) -> None:
        self._letters = letters
        self._sink = sink
        self._backoff = backoff or Backoff(0.5, 5.0)
        self.outcome = Outcome()

    async def run(self) -> None:
        """Sends all letters that are there now; `outcome` grows as it goes.

        Raises:
            Unavailable: the sink takes nothing; what is left waits for the next pass.
            Conflict: another replay of this sink is running.
            OSError: the disk fails.
        """
        try:
            with self._letters.locked("replaying", wait=False):
                for path in self._letters.claim():
                    await self._file(path)
        except BlockingIOError as error:
            raise Conflict("another replay of this sink is running") from error

    async def _file(self, path: Path) -> None:
        mark = mark_of(path)
        begin = await asyncio.to_thread(offset_of, path)
        for piece in _pieces(path, begin, self._letters.kind, self._sink.limit_documents):
            kept = [line + b"\n" for line in piece.others]
            kept += await self._sent(list(piece.letters))
            self.outcome.unreadable += len(piece.others)
            if kept:
                dropped = await asyncio.to_thread(self._letters.append, b"".join(kept))
                self.outcome.dropped_bytes += dropped
            await asyncio.to_thread(write_atomically, mark, str(piece.end).encode())
        await asyncio.to_thread(_remove, path, mark)

    async def _sent(self, letters: list[tuple[Letter, bytes]]) -> list[bytes]:
        """Sends a batch; gives the lines of those that were refused again."""
        kept: list[bytes] = []
        work, attempts = [letters] if letters else [], 0
        while work:
            part = work.pop()
            try:
                verdict = await self._sink.send([document for _, document in part])
            except (TooLarge, Indigestible) as error:
                if len(part) > 1:
                    work += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                status = TOO_LARGE_STATUS if isinstance(error, TooLarge) else BAD_REQUEST_STATUS
                kept += self._refused(part, [Refusal(part[0][1], status, str(error))])
            except Unavailable as error:
                attempts += 1
                await self._wait(error, attempts)
                work.append(part)
            else:
                attempts = attempts + 1 if not verdict.accepted else 0
                self.outcome.delivered += verdict.accepted
                kept += self._refused(part, verdict.refused)
                if again := {id(document) for document in verdict.again}:
                    await self._wait(Unavailable("refuses them for now"), attempts)
                    work.append([each for each in part if id(each[1]) in again])
        return kept

    def _refused(
        self, part: list[tuple[Letter, bytes]], refusals: Sequence[Refusal]
    ) -> list[bytes]:
        replays = {id(document): old.replays for old, document in part}
        self.outcome.refused += len(refusals)
        letters = (
            letter(each, self._letters.kind, replays.get(id(each.document), 0) + 1)
            for each in refusals
        )
        return [msgspec.json.encode(each) + b"\n" for each in letters]

    async def _wait(self, error: Unavailable, attempts: int) -> None:
        asked = error.retry_after_seconds if isinstance(error, Later) else 0.0
        if attempts >= ATTEMPTS or asked > LONGEST_WAIT_SECONDS:
            raise error
        await asyncio.sleep(max(asked, self._backoff.next_delay_seconds()))


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _pieces(path: Path, begin: int, kind: str, limit: int) -> Iterator[_Piece]:
    """The letters of a file from an offset on, in batches."""
    letters: list[tuple[Letter, bytes]] = []
    others: list[bytes] = []
    size, end = 0, begin
    with path.open("rb") as file:
        file.seek(begin)
        for line in file:
            end += len(line)
            bare = line.rstrip(b"\n")
            if not bare:
                continue
            try:
                read = read_letter(bare)
                content = read.content
            except ValueError:
                others.append(bare)
                continue
            if read.type != kind:
                others.append(bare)
                continue
            letters.append((read, content))
            size += len(content)
            if size >= BATCH_BYTES or len(letters) >= limit:
                yield _Piece(end, tuple(letters), tuple(others))
                letters, others, size = [], [], 0
    if letters or others:
        yield _Piece(end, tuple(letters), tuple(others))
