"""Which back end over HTTP a configuration names."""

from concurrent.futures import Executor

from logshipper.store.backendconfig import BackendConfig
from logshipper.store.query.backends.connection import Connection
from logshipper.store.query.backends.elastic import Elastic
from logshipper.store.query.backends.remote import Remote
from logshipper.store.query.backends.victorialogs import VictoriaLogs


def make(config: BackendConfig, executor: Executor) -> Remote:
    """The back end that is not this process.

    Args:
        config: which one, and where.
        executor: where what it cannot do itself is waited for.

    Raises:
        ConfigError: a secret or a certificate cannot be used.
    """
    connection = Connection(config)
    if config.type == "victorialogs":
        return VictoriaLogs(connection)
    return Elastic(connection, executor)
