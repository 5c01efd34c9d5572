"""Loki's push API: one answer for all entries, and one bad entry makes it a refusal."""

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from logshipper.encoding import Encoding
from logshipper.model import Refusal, Verdict
from logshipper.sinkconfig import LokiConfig
from logshipper.sinks.encoding import loki
from logshipper.sinks.encoding.times import nanoseconds
from logshipper.sinks.http import Answer, Endpoint, refused_whole

# What Loki says of entries that it will never take (pkg/validation, pkg/ingester/stream.go).
# Anything else may be the fault of a proxy, or of a configuration that somebody will mend.
FOR_GOOD: Final = re.compile(
    rb"entry out of order|entry too far behind|timestamp too (?:old|new)|Max entry size"
    rb"|structured metadata too large|too many structured metadata labels"
    rb"|label (?:name|value) too long"
)
_TOO_OLD: Final = re.compile(
    rb"timestamp too old: \S+, oldest acceptable timestamp is: ([0-9T:.Z+-]+)"
)
_IGNORED: Final = re.compile(rb"total ignored: (\d+) out of (\d+)")
_REASON_CHARACTERS: Final = 300


class Loki(Endpoint):
    """One push endpoint.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """

    limit_documents = 20_000

    def __init__(self, config: LokiConfig) -> None:
        self.encoding: Encoding = loki.LokiEncoding(
            config.stream_labels, metadata=config.structured_metadata
        )
        super().__init__(config, "/loki/api/v1/push", "application/json")

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents and tells what became of each.

        Loki keeps the good entries of a request that it answers 400, and drops what it has
        already: smaller requests find the bad ones, and nothing is stored twice.

        Raises:
            Unavailable: no answer, or one that says nothing of the documents.
            TooLarge: 413.
            Indigestible: 400 for some of several entries, or for a reason that is not theirs.
        """
        body = await asyncio.to_thread(loki.body, documents)
        answer = await self.post(body)
        if answer.status in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            return Verdict(len(documents))
        if answer.status != HTTPStatus.BAD_REQUEST:
            raise answer.later()
        return judge(documents, answer)


def judge(documents: Sequence[bytes], answer: Answer) -> Verdict:
    """What a 400 says of the documents.

    Raises:
        Indigestible: it does not say which, or not that they are at fault.
    """
    if (too_old := _TOO_OLD.search(answer.body)) and len(documents) > 1:
        # After a long outage that may be nearly all of them: no need to find each by halving.
        limit_ns = nanoseconds(too_old[1].decode())
        old = [document for document in documents if loki.when_ns(document) < limit_ns]
        if old:
            rest = tuple(each for each in documents if loki.when_ns(each) >= limit_ns)
            return Verdict(0, rest, _refusals(old, answer))
    ignored = _IGNORED.search(answer.body)
    # The count is that of one stream.
    everything = ignored is not None and int(ignored[1]) == int(ignored[2]) == len(documents)
    if not FOR_GOOD.search(answer.body) or not (everything or len(documents) == 1):
        raise refused_whole(answer)
    return Verdict(0, (), _refusals(documents, answer))


def _refusals(documents: Sequence[bytes], answer: Answer) -> tuple[Refusal, ...]:
    reason = answer.body[:_REASON_CHARACTERS].decode("utf-8", "replace")
    return tuple(Refusal(document, answer.status, reason) for document in documents)
