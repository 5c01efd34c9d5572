"""A broker of one topic that speaks as much of Kafka as a producer asks for, over TLS."""

import asyncio
import ssl
from enum import IntEnum
from io import BytesIO
from typing import Any, Final, Self

from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.api import RequestHeader_v1, Response
from aiokafka.protocol.metadata import MetadataResponse_v1
from aiokafka.protocol.produce import ProduceRequest_v3, ProduceResponse_v3
from aiokafka.protocol.transaction import InitProducerIdResponse_v0
from aiokafka.protocol.types import Int32
from aiokafka.record import MemoryRecords


class Api(IntEnum):
    """What may be asked, by Kafka's numbers."""

    PRODUCE = 0
    METADATA = 3
    API_VERSIONS = 18
    INIT_PRODUCER_ID = 22


# One version of each is enough; the third of Produce is the first with records as they are today.
VERSIONS: Final = {Api.PRODUCE: 3, Api.METADATA: 1, Api.API_VERSIONS: 0, Api.INIT_PRODUCER_ID: 0}


class Broker:
    """Takes what is produced, and notes who brought it.

    Args:
        tls: what it shows and wants to see.
        topic: the one that there is.

    Attributes:
        port: once it listens.
        taken: the serial number of the client's certificate and the value of each record.
        answering: cleared, it takes records and keeps its answers back.
    """

    def __init__(self, tls: ssl.SSLContext, topic: str) -> None:
        self._tls = tls
        self._topic = topic
        self._producers = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.taken: list[tuple[str, bytes]] = []
        self.answering = asyncio.Event()
        self.answering.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in tuple(self._connections):
            writer.close()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        who = str(writer.get_extra_info("peercert")["serialNumber"])
        try:
            while True:
                size = Int32.decode(BytesIO(await reader.readexactly(4)))
                asked = BytesIO(await reader.readexactly(size))
                header = RequestHeader_v1.SCHEMA.decode(asked)
                answer = await self._answer(header[0], asked, who)
                said = Int32.encode(header[2]) + answer.encode()
                writer.write(Int32.encode(len(said)) + said)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, kind: int, asked: BytesIO, who: str) -> Response:
        match kind:
            case Api.API_VERSIONS:
                return ApiVersionResponse_v0(0, [(key, v, v) for key, v in VERSIONS.items()])
            case Api.METADATA:
                brokers = [(0, "127.0.0.1", self.port, None)]
                partitions = [(0, 0, 0, [0], [0])]
                return MetadataResponse_v1(brokers, 0, [(0, self._topic, False, partitions)])
            case Api.INIT_PRODUCER_ID:
                self._producers += 1
                return InitProducerIdResponse_v0(0, 0, self._producers, 0)
            case Api.PRODUCE:
                self._take(ProduceRequest_v3.SCHEMA.decode(asked), who)
                await self.answering.wait()
                return ProduceResponse_v3([(self._topic, [(0, 0, 0, -1)])], 0)
        raise AssertionError(kind)

    def _take(self, asked: tuple[Any, ...], who: str) -> None:
        for _, partitions in asked[-1]:
            for _, raw in partitions:
                records = MemoryRecords(raw)
                while (batch := records.next_batch()) is not None:
                    self.taken += [(who, bytes(record.value)) for record in batch]
