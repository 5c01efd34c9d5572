"""A private rsyslog that writes what it receives as JSON lines: a reader of RFC 5424 not ours."""

import json
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.stack.tls import Authority
from wharfinger.operator.parts.process import Process, free_port

PLAIN = """\
global(workDirectory="{folder}" maxMessageSize="2m"
       parser.escapeControlCharactersOnReceive="off")
module(load="imtcp")
"""
TLS = """\
global(workDirectory="{folder}" maxMessageSize="2m"
       parser.escapeControlCharactersOnReceive="off"
       defaultNetstreamDriverCAFile="{ca}"
       defaultNetstreamDriverCertFile="{certificate}"
       defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1"
       streamDriver.authMode="x509/certvalid")
"""
INPUTS = """\
module(load="imudp")
input(type="imtcp" address="127.0.0.1" port="{port}")
input(type="imudp" address="127.0.0.1" port="{port}")
template(name="json" type="list" option.jsonf="on") {{
  property(outname="app" name="app-name" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="procid" name="procid" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="pri" name="pri" format="jsonf")
  property(outname="version" name="protocol-version" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
action(type="omfile" file="{folder}/received" template="json")
"""

ELASTIC = """\
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imtcp")
module(load="omelasticsearch")
template(name="logstore" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="level" name="syslogseverity-text" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
template(name="id" type="string" string="%uuid%")
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omelasticsearch" server="{url}" searchType="" searchIndex="logs" template="logstore"
       bulkmode="on" writeoperation="create" dynBulkId="on" bulkId="id" uid="rsyslog" pwd="{token}"
       errorFile="{folder}/refused" rebindinterval="0"
       queue.type="LinkedList" queue.dequeueBatchSize="64" queue.timeoutShutdown="1000"
       action.resumeRetryCount="-1" action.resumeInterval="1")
"""


class Rsyslog:
    """One of them; `received` gives what it wrote.

    Args:
        folder: for all its files.
        authority: with it, only TLS is spoken, and clients must have a certificate of it.
    """

    def __init__(self, folder: Path, authority: Authority | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._received = folder / "received"
        self.port = free_port()
        head = PLAIN.format(folder=folder)
        if authority is not None:
            pair = authority.issue("syslog", "127.0.0.1")
            head = TLS.format(
                folder=folder,
                ca=authority.ca_file,
                certificate=pair.cert_file,
                key=pair.key_file,
            )
        config = folder / "rsyslog.conf"
        config.write_text(head + INPUTS.format(folder=folder, port=self.port))
        self.process = Process(
            ["rsyslogd", "-n", "-f", config, "-i", folder / "pid"], log=folder / "rsyslog.log"
        )

    async def start(self) -> None:
        await self.process.start(self._listens)

    async def _listens(self) -> bool:
        return _listening(self.port)

    @property
    def received(self) -> list[dict[str, Any]]:
        if not self._received.exists():
            return []
        return [json.loads(each) for each in self._received.read_text().splitlines()]

    @property
    def messages(self) -> list[str]:
        return [each["message"] for each in self.received]


class ElasticRsyslog:
    """One that hands what it receives to Elasticsearch, or who looks like it.

    Args:
        folder: for all its files.
        url: whose.
        token: the password.
    """

    def __init__(self, folder: Path, url: str, token: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        config = folder / "rsyslog.conf"
        config.write_text(ELASTIC.format(folder=folder, port=self._port, url=url, token=token))
        self.process = Process(
            ["rsyslogd", "-n", "-f", config, "-i", folder / "pid"], log=folder / "rsyslog.log"
        )

    async def start(self) -> None:
        async def listens() -> bool:
            return _listening(self._port)

        await self.process.start(listens)

    def log(self, messages: Sequence[str]) -> None:
        """Sends messages of severity warning, as RFC 5424 has them."""
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            for message in messages:
                line = f"<12>1 2026-07-01T10:00:07.5Z h1 shop 7 - - {message}\n"
                connection.sendall(line.encode())


def _listening(port: int) -> bool:
    """Whether anybody does; to ask over TCP would be a connection that it complains of."""
    with Path("/proc/net/tcp").open(encoding="ascii") as file:
        return any(f":{port:04X} " in line and " 0A " in line for line in file)


@pytest.fixture
async def rsyslog(tmp_path: Path) -> AsyncIterator[Rsyslog]:
    made = Rsyslog(tmp_path / "rsyslog")
    await made.start()
    yield made
    await made.process.terminate()
