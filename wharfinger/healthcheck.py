"""The verb `healthcheck`: asks a daemon of this host how it is, and says it as engines take it."""

import argparse
import http.client
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import msgspec

from wharfinger import servertls
from wharfinger.address import own_address
from wharfinger.errors import Exit
from wharfinger.servertls import TlsFiles
from wharfinger.text import printable, shortened

_LONGEST_REPORT_BYTES: Final = 2**20
# What Docker keeps of a check's output (moby, daemon/health, maxOutputLen).
_SHOWN: Final = 4_096
_LONGEST_TIMEOUT_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        alive: something of ours answered at all: the daemon's loop turns.
        healthy: start-up is complete, and every check holds.
        why: why not, or empty.
    """

    alive: bool
    healthy: bool
    why: str = ""


class _Report(msgspec.Struct):
    """Of /healthz, what is looked at."""

    daemon: str
    healthy: bool
    why: str = ""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own."""
    parser.add_argument(
        "--alive", action="store_true", help="0 also when it answers and is not healthy"
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="SECONDS", help="for its answer (5)"
    )


def ask(daemon: str, listen: str, tls: TlsFiles | None, parsed: argparse.Namespace) -> Exit:
    """Asks and prints a line: 0 when the daemon is well, 1 when it is not or does not answer.

    Raises:
        ConfigError: the certificate that it shows cannot be read.
    """
    trusted = None if tls is None else servertls.trusting(tls)
    answer = asked(daemon, listen, trusted, timeout_seconds=parsed.timeout)
    why = f": {answer.why}" if answer.why else ""
    print(f"{daemon}: {'healthy' if answer.healthy else 'not healthy'}{why}")  # noqa: T201
    good = answer.alive if parsed.alive else answer.healthy
    return Exit.OK if good else Exit.UNHEALTHY


def asked(
    daemon: str, listen: str, trusted: ssl.SSLContext | None = None, *, timeout_seconds: float
) -> Answer:
    """Asks the daemon's /healthz.

    Args:
        daemon: who should answer.
        listen: its HOST:PORT, as it was configured.
        trusted: how its certificate is checked; None without TLS.
        timeout_seconds: for the connection and for each piece of the answer.
    """
    try:
        body = _body(*own_address(listen), trusted, timeout_seconds)
        report = msgspec.json.decode(body, type=_Report)
    except TimeoutError:
        return _dead(f"{listen} does not answer within {timeout_seconds:g} s")
    except OSError as error:
        return _dead(f"{listen}: {error.strerror or error}")
    except http.client.HTTPException as error:
        return _dead(f"{listen} speaks no HTTP: {error!r}")
    except ValueError:  # msgspec's errors are such
        return _dead(f"{listen}: something else listens there, /healthz is no health report")
    if report.daemon != daemon:
        return _dead(f"{listen}: {report.daemon} listens there")
    return Answer(alive=True, healthy=report.healthy, why=_fit(report.why))


def _body(host: str, port: int, trusted: ssl.SSLContext | None, timeout_seconds: float) -> bytes:
    if trusted is None:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    else:
        connection = http.client.HTTPSConnection(
            host, port, timeout=timeout_seconds, context=trusted
        )
    with closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().read(_LONGEST_REPORT_BYTES)


def _dead(why: str) -> Answer:
    return Answer(alive=False, healthy=False, why=_fit(why))


def _fit(text: str) -> str:
    return shortened(printable(text), _SHOWN - 100)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_TIMEOUT_SECONDS:
        message = f"{text[:40]!r} is no time of up to {_LONGEST_TIMEOUT_SECONDS:g} seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds
