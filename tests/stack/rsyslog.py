"""A private rsyslog that writes what it receives as JSON lines: a reader of RFC 5424 not ours."""

import json
from collections.abc import AsyncIterator
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
