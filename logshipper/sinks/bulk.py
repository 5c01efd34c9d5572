"""The `_bulk` protocol: one request, one answer, a result for each document."""

from collections.abc import Sequence
from http import HTTPStatus

from logshipper.encoding import Encoding
from logshipper.model import Verdict
from logshipper.sinkconfig import BulkConfig
from logshipper.sinks.encoding.bulk import BulkEncoding
from logshipper.sinks.http import Endpoint, refused_whole
from logshipper.sinks.reply import judge, judge_quickwit


class Bulk(Endpoint):
    """One `_bulk` endpoint.

    Args:
        config: the sink's.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """

    limit_documents = 20_000

    def __init__(self, config: BulkConfig) -> None:
        dated = "%" in config.index
        self.encoding: Encoding = BulkEncoding(config.index if dated else "")
        place = f"/{config.index}" if config.index and not dated else ""
        # Without a Content-Type, VictoriaLogs takes the body for a form and stores nothing: 200.
        super().__init__(config, f"{place}/_bulk", "application/x-ndjson")
        self._judge = judge_quickwit if config.server == "quickwit" else judge

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents and tells what became of each.

        Raises:
            Unavailable: no answer, or one that says nothing of the documents.
            TooLarge: 413.
            Indigestible: 400, or a 200 that does not account for each document.
        """
        answer = await self.post(b"".join(documents))
        if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return self._judge(documents, answer.body)
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise refused_whole(answer)
        raise answer.later()
