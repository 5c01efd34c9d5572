"""Regular expressions with a time limit: each runs in a process that is killed when it is up."""

import marshal
import select
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from logshipper.store.model import BadQuery

_WORKER: Final = Path(__file__).with_name("regexworker.py")
BATCH_SECONDS: Final = 5.0


class Matcher:
    """One regular expression, applied to batches of texts; blocking, for a reader's thread.

    Args:
        pattern: an expression that `re` takes.
        batch_seconds: how long it may take over one batch.
    """

    def __init__(self, pattern: str, *, batch_seconds: float = BATCH_SECONDS) -> None:
        self._pattern = pattern
        self._batch_seconds = batch_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def matching(self, texts: Sequence[str]) -> frozenset[int]:
        """The numbers of the texts in which the expression is found.

        Raises:
            BadQuery: it took too long.
        """
        process = self._started()
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            marshal.dump(list(texts), process.stdin)
            process.stdin.flush()
            poll = select.poll()
            poll.register(process.stdout, select.POLLIN)
            if not poll.poll(self._batch_seconds * 1000):
                raise TimeoutError
            return frozenset(marshal.load(process.stdout))  # noqa: S302 - our own child wrote it
        except (OSError, EOFError) as error:  # TimeoutError is an OSError; EOF: its own limits
            self.close()
            raise BadQuery(
                f"/{self._pattern[:80]}/ takes too long", "make it simpler: no repeats in repeats"
            ) from error

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            assert self._process.stdin is not None  # noqa: S101
            marshal.dump(self._pattern, self._process.stdin)
        return self._process
