"""What `check` says of a sink: its secrets, the certificates of both sides, whether it is there."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from logshipper.sinkconfig import AnySink
from logshipper.sinks.catalogue import make
from logshipper.sinks.reach import Untrusted
from logshipper.sinksection import TlsConfig
from wharfinger import certificatecheck
from wharfinger.errors import ConfigError, Finding, Unavailable
from wharfinger.expiry import Standing


async def findings(config: AnySink) -> list[Finding]:
    """What keeps documents from it; never raises."""
    where = section(config)
    # A server that asks for none lets it pass, until it asks.
    found = _certificate(config, certificatecheck.OVER)
    place = getattr(config, "url", "") or getattr(config, "address", "") or config.type
    try:
        sink = make(config)
        try:
            await sink.reach()
        finally:
            await sink.close()
    except ConfigError as error:
        found += error.findings
    except Untrusted as error:
        key = f"{where}.{error.distrust.key}" if error.distrust.key else where
        if key not in {each.where for each in found}:
            found.append(Finding(key, f"{place}: {error.distrust.why}", error.distrust.fix))
    except Unavailable as error:
        fix = "logs wait in Docker's files until it answers"
        found.append(Finding(where, f"{place} cannot be reached: {error}", fix))
    return found


def remarks(config: AnySink) -> list[Finding]:
    """What `check` says besides: that the certificate which we show it ends soon."""
    return _certificate(config, certificatecheck.ENDING)


async def seen(config: AnySink) -> list[Finding]:
    """What `check` says of a server besides: that the certificate which it shows ends soon."""
    if not isinstance(config, TlsConfig):
        return []
    try:
        sink = make(config)
    except ConfigError:
        return []  # a finding, as is whatever keeps one from reaching it
    try:
        if sink.certificates is None:
            return []
        await sink.reach()
    except Unavailable:
        return []
    finally:
        await sink.close()
    now, ending = datetime.now(UTC), certificatecheck.ENDING
    return [
        Finding(section(config), f"{end.whose} {end.validity.remark(now)}", end.fix)
        for end in sink.certificates.ends()
        if not end.ours and end.validity.standing(now) in ending
    ]


def section(config: AnySink) -> str:
    """Where its settings are, for findings."""
    return f"logshipper.sinks.{config.name}"


def _certificate(config: AnySink, standings: AbstractSet[Standing]) -> list[Finding]:
    if not isinstance(config, TlsConfig):
        return []
    fix = "put a new pair at its cert_file and key_file: no restart is needed"
    return certificatecheck.findings(section(config), config.cert_file, standings, fix=fix)
