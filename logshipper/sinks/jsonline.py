"""JSON lines over HTTP: VictoriaLogs' own way in, and anything that takes NDJSON."""

from collections.abc import Sequence
from http import HTTPStatus

from logshipper.encoding import Encoding
from logshipper.model import Verdict
from logshipper.sinkconfig import JsonlineConfig
from logshipper.sinks.encoding.jsonline import JsonlineEncoding
from logshipper.sinks.http import Endpoint, refused_whole


class Jsonline(Endpoint):
    """One endpoint; a success says nothing of single lines, and none is asked for.

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
            Indigestible: 400.
        """
        answer = await self.post(b"".join(documents))
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise refused_whole(answer)
        return Verdict(len(documents))
