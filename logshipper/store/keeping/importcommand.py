"""`logstore import`: a file of lines into the store, however often, each line once."""

import argparse
import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Final

from logshipper.store.config import Config, LogstoreConfig
from logshipper.store.engine.folder import DiskTrouble, Folder
from logshipper.store.engine.retention import Limits
from logshipper.store.keeping import bodies, importing, packing
from logshipper.store.keeping.importing import Outcome, Target
from logshipper.store.keeping.progress import Progress
from logshipper.store.model import DEFAULT_TENANT, TENANT
from wharfinger import cli, servertls
from wharfinger.address import own_url
from wharfinger.errors import Conflict, Exit, Rejected, Unavailable
from wharfinger.jsontext import encode_line
from wharfinger.text import printable


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        help="what `export` wrote, or other lines; packed or not; - is stdin",
    )
    parser.add_argument(
        "--format", choices=bodies.FORMATS, help="if the first line does not tell it"
    )
    parser.add_argument(
        "--tenant",
        default=DEFAULT_TENANT,
        metavar="TENANT",
        help="whose lines they shall be, where the store is stopped; else its token says that",
    )
    parser.add_argument("--url", metavar="URL", help="of a store that runs, here or elsewhere")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="if not [logstore] ingest_token_file"
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="of the authority of --url, if not a usual one"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


async def _run(parsed: argparse.Namespace, config: Config) -> Exit:
    if not TENANT.fullmatch(parsed.tenant):
        raise Rejected(f"{parsed.tenant!r:.80} cannot be a tenant")
    outcome = Outcome()
    try:
        with packing.opened(parsed.file) as (source, file):
            lines, form = _recognised(packing.lines(source, parsed.file), parsed.format)
            progress = _Shown(file, parsed.file)
            async with _target(parsed, config, form) as target:
                days = config.logstore.retention_days
                await importing.bring(progress.of(lines), form, target, days, outcome)
    except asyncio.CancelledError:
        _tell(parsed, config, outcome)
        raise Conflict("interrupted: what is in stays in; import again") from None
    except (Rejected, Unavailable):
        if outcome.lines:
            _tell(parsed, config, outcome)
        raise
    _tell(parsed, config, outcome)
    if outcome.bad:
        return Exit.USAGE
    return Exit.CONFIG if outcome.old else Exit.OK


class _Shown:
    """Shows how much of the file has been read, packed as it is."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._is_file = name != packing.STANDARD
        size = os.fstat(file.fileno()).st_size if self._is_file else 0
        self._progress = Progress("bytes" if self._is_file else "lines", size)

    def of(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """The same lines."""
        for number, line in enumerate(lines):
            yield line
            if number % 1000 == 0:
                at = self._file.tell() if self._is_file else number
                self._progress.add("read", at - self._progress.done)
        self._progress.end()


def _recognised(lines: Iterator[bytes], form: str | None) -> tuple[Iterator[bytes], str]:
    blank: list[bytes] = []
    for line in lines:
        if line.strip():
            again = chain(blank, (line,), lines)
            return again, form or bodies.recognised(line)
        blank.append(b"")
    return iter(()), form or "jsonline"


@asynccontextmanager
async def _target(parsed: argparse.Namespace, config: Config, form: str) -> AsyncIterator[Target]:
    folder = Folder(config.data_dir)
    async with AsyncExitStack() as stack:
        if parsed.url is None:
            try:
                stack.enter_context(folder.locked())
            except DiskTrouble:
                raise
            except Unavailable:
                # Its store runs: that takes the lines.
                pass
            else:
                section = config.logstore
                limits = Limits(
                    section.retention_days, section.retention_bytes, section.min_free_bytes
                )
                yield await stack.enter_async_context(
                    importing.into_files(folder, limits, parsed.tenant)
                )
                return
        if parsed.tenant != DEFAULT_TENANT:
            raise Rejected("the store runs: there a token says whose lines they are, not --tenant")
        url = parsed.url or own_url(config.logstore.listen, tls=config.logstore.tls is not None)
        token = _token(parsed.token_file or config.logstore.ingest_token_file)
        tls = _tls(parsed, config.logstore)
        yield await stack.enter_async_context(importing.over_http(url, token, form, tls=tls))


def _tls(parsed: argparse.Namespace, section: LogstoreConfig) -> ssl.SSLContext | bool:
    if parsed.ca_file is not None:
        try:
            return ssl.create_default_context(cafile=parsed.ca_file)
        except (OSError, ValueError) as error:
            raise Rejected(f"{parsed.ca_file} holds no certificates: {error}") from None
    if parsed.url is None and section.tls is not None:
        return servertls.trusting(section.tls)
    return True


def _token(path: Path | None) -> str:
    """The first token of a file that is written out; its others may be known by digest only."""
    if path is None:
        return ""
    try:
        words = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"{path} cannot be read: {error}") from None
    for word in words:
        if not word.startswith(("#", "sha256:")):
            return word
    raise Rejected(f"{path} holds no token but digests; name one with --token-file")


def _tell(parsed: argparse.Namespace, config: Config, outcome: Outcome) -> None:
    if parsed.json:
        print(encode_line(outcome).decode())  # noqa: T201 - for programs
        return
    for number, reason in outcome.reasons:
        print(printable(f"line {number} {reason}"))  # noqa: T201
    told = f"{outcome.new:,} new, {outcome.known:,} known, {outcome.bad:,} bad"
    if outcome.old:
        days = config.logstore.retention_days
        told += f"; {outcome.old:,} are older than retention_days = {days}, and were left out"
    print(f"{parsed.file}: {told}")  # noqa: T201


IMPORT: Final[cli.Verb[Config]] = cli.Verb(
    name="import",
    summary="bring lines in, through the store or, where it is stopped, into its files",
    arguments=_arguments,
    run=_run,
)
