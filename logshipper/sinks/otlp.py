"""OTLP over HTTP (OpenTelemetry Protocol Specification 1.x, OTLP/HTTP), in protobuf."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from logshipper.encoding import Encoding
from logshipper.model import Refusal, Verdict
from logshipper.sinkconfig import OtlpConfig
from logshipper.sinks.encoding import otlp
from logshipper.sinks.http import Answer, Endpoint, refused_whole


class Otlp(Endpoint):
    """One endpoint for logs.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """

    limit_documents = 10_000

    def __init__(self, config: OtlpConfig) -> None:
        self.encoding: Encoding = otlp.OtlpEncoding()
        super().__init__(config, "/v1/logs", "application/x-protobuf")

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents and tells what became of each.

        Raises:
            Unavailable: no answer, or one that says nothing of the documents.
            TooLarge: 413.
            Indigestible: 400.
        """
        body = await asyncio.to_thread(otlp.body, documents)
        answer = await self.post(body)
        if answer.status == HTTPStatus.OK:
            return judge(documents, answer)
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise refused_whole(answer)
        raise answer.later()


def judge(documents: Sequence[bytes], answer: Answer) -> Verdict:
    """What a success says of the documents.

    A partial success must not be sent again, and does not tell which records were refused: all of
    the request goes to the dead letters, where the reason stands.

    Raises:
        Indigestible: it is no answer of this protocol.
    """
    try:
        count, why = otlp.rejected(answer.body)
    except ValueError as error:
        raise refused_whole(answer) from error
    if count <= 0:
        return Verdict(len(documents))
    reason = f"{count} of these {len(documents)} refused: {why[:200]}"
    return Verdict(0, (), tuple(Refusal(each, answer.status, reason) for each in documents))
