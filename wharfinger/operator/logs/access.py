"""Where the log store is and how it is entered: from options, else from the configuration."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from wharfinger.errors import ConfigError, Finding
from wharfinger.operator import settings
from wharfinger.operator.logs.client import Store


@dataclass(frozen=True, slots=True)
class Access:
    """What the options say of the store; None for what the configuration says.

    Attributes:
        config: the configuration file.
        url: of the store.
        token_file: holds a token that may read.
        ca_file: certificates of those that sign the store's.
    """

    config: Path | None = None
    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None

    def store(self) -> Store:
        """The store, not asked yet.

        Raises:
            ConfigError: the configuration or a file that is named cannot be used.
        """
        section = settings.section("logstore", settings.daemons()["logstore"], self.config)
        token_file = self.token_file or section.read_token_file
        headers = {}
        if token_file is not None:
            headers["Authorization"] = f"Bearer {settings.first_token(token_file)}"
        url = (self.url or f"http://{section.listen}").rstrip("/")
        return Store(url, headers, self._tls())

    def _tls(self) -> ssl.SSLContext | None:
        if self.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            fix = "name a file of certificates in PEM"
            raise ConfigError([Finding(f"--ca-file {self.ca_file}", why, fix)]) from error
