"""The `logstore` command."""

import tempfile
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from importlib import import_module

from logshipper.store import gateway, tokencommand
from logshipper.store.access import tokens
from logshipper.store.config import Config
from logshipper.store.daemon import Logstore
from logshipper.store.engine import schema
from logshipper.store.gateway import Gateway
from logshipper.store.keeping import (
    backupcommands,
    exportcommand,
    importcommand,
    lookcommands,
)
from wharfinger import certificatecheck, servertls
from wharfinger.cli import Command, run
from wharfinger.errors import ConfigError, Finding
from wharfinger.expiry import Standing
from wharfinger.lifecycle import Daemon, Scope


async def findings(config: Config) -> Sequence[Finding]:
    """Looks at what the store would meet: SQLite, token files, the data folder."""
    found = [*offline(config), *_certificate(config, certificatecheck.OVER)]
    if missing := schema.missing_features():
        found.append(Finding("SQLite", missing, "use a Python whose SQLite has FTS5"))
    if config.logstore.fleet.enabled:
        # Here and not above: a store without a fleet carries no etcd client.
        found += await import_module("wharfinger.etcd").findings(config.etcd)
    if config.logstore.backend.type != "embedded":
        return [*found, *(await gateway.findings(config))]
    return [*found, *_folder_findings(config)]


def remarks(config: Config) -> Sequence[Finding]:
    """What `check` shows besides: that the store's certificate ends soon."""
    return _certificate(config, certificatecheck.ENDING)


def _certificate(config: Config, standings: AbstractSet[Standing]) -> list[Finding]:
    fix = "put a new pair at logstore.cert_file and logstore.key_file: no restart is needed"
    return certificatecheck.findings("logstore", config.logstore.cert_file, standings, fix=fix)


def offline(config: Config) -> Sequence[Finding]:
    """Looks at the files of tokens and certificates."""
    found: list[Finding] = []
    for path, where in (
        (config.logstore.ingest_token_file, "logstore.ingest_token_file"),
        (config.logstore.read_token_file, "logstore.read_token_file"),
        (config.logstore.admin_token_file, "logstore.admin_token_file"),
    ):
        try:
            tokens.load(path, where)
        except ConfigError as error:
            found.extend(error.findings)
    try:
        if (files := config.logstore.tls) is not None:
            servertls.load(files)
    except ConfigError as error:
        found.extend(error.findings)
    return found


def _folder_findings(config: Config) -> list[Finding]:
    folder = config.data_dir
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        return [Finding("logstore.data_dir", f"{nearest} is no folder", "name another")]
    try:
        # The one way to know: root may write, and cannot, on a read-only file system.
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        why = f"{nearest} cannot be written: {error.strerror}"
        return [Finding("logstore.data_dir", why, "name another")]
    return []


def _make(config: Config, scope: Scope) -> Daemon[Config]:
    if config.logstore.backend.type == "embedded":
        return Logstore(config, scope)
    return Gateway(config, scope)


COMMAND = Command(
    name="logstore",
    summary="The central log store: every line of every host, found in a second.",
    model=Config,
    listen=lambda config: config.logstore.listen,
    tls=lambda config: config.logstore.tls,
    log=lambda config: config.log,
    make=_make,
    findings=findings,
    offline=offline,
    remarks=remarks,
    checking=lookcommands.checking,
    checked=lookcommands.checked,
    verbs=(
        tokencommand.VERB,
        lookcommands.DAYS,
        lookcommands.REPAIR,
        backupcommands.BACKUP,
        backupcommands.RESTORE,
        exportcommand.EXPORT,
        importcommand.IMPORT,
    ),
)


def main() -> None:
    """Runs the command."""
    run(COMMAND)
