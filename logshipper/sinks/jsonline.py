"""JSON lines over HTTP: VictoriaLogs' own way in, and anything that takes NDJSON."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec

from logshipper.encoding import Encoding
from logshipper.model import Refusal, Verdict
from logshipper.sinkconfig import JsonlineConfig
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from logshipper.sinks.http import Answer, Endpoint, refused_whole


class _Counts(msgspec.Struct):
    rejected: int = 0


_DECODER: Final = msgspec.json.Decoder(_Counts)


class Jsonline(Endpoint):
    """One endpoint; a success says nothing of single lines, at most how many were refused.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """

    limit_documents = 20_000

    def __init__(self, config: JsonlineConfig) -> None:
        self.encoding: Encoding = JsonlineEncoding()
        # VictoriaLogs takes a body without this type for a form and stores nothing: 200.
        super().__init__(config, "", "application/stream+json")

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents.

        Raises:
            Unavailable: no answer, or one that says nothing of the documents.
            TooLarge: 413.
            Indigestible: 400, or some of them were refused.
        """
        answer = await self.post(b"".join(documents))
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise refused_whole(answer)
        return judge(documents, answer)


def judge(documents: Sequence[bytes], answer: Answer) -> Verdict:
    """What a success says of the documents.

    VictoriaLogs and most others say nothing. Our log store counts the lines that it refused and
    keeps the others: which ones these are, smaller bodies tell, and what it has it knows by its id.

    Raises:
        Indigestible: some were refused.
    """
    try:
        rejected = _DECODER.decode(answer.body).rejected
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        rejected = 0
    if rejected <= 0:
        return Verdict(len(documents))
    if rejected < len(documents):
        raise refused_whole(answer)
    return Verdict(0, (), tuple(Refusal(each, answer.status, answer.why) for each in documents))
