"""Where the log store is and how it is entered: from options, else from the configuration."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from wharfinger.errors import ConfigError, Finding
from wharfinger.operator import settings
from wharfinger.operator.logs.client import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the options say of the store; None for what the configuration says.

    Attributes:
        config: the configuration file.
        url: of the store.
        token_file: holds a token that may read.
        ca_file: certificates of those that sign the store's.
        cert_file: the certificate to show, where the store wants one.
        key_file: its key.
    """

    config: Path | None = None
    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

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
        if self.url is None and self.ca_file is None and self.cert_file is None:
            # It is on this host, and its very certificate is known.
            return Store(settings.url(section), headers, tls=settings.tls(section))
        url = (self.url or settings.url(section)).rstrip("/")
        return Store(url, headers, tls=self._tls())

    def _tls(self) -> ssl.SSLContext | bool:
        if self.ca_file is None and self.cert_file is None:
            return True
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as error:
            raise _unusable("--ca-file", self.ca_file, error) from error
        if self.cert_file is not None:
            try:
                # A key with a passphrase would ask for it on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
            except (OSError, ValueError) as error:
                raise _unusable("--cert-file", self.cert_file, error) from error
        return context


def _unusable(option: str, path: Path | None, error: Exception) -> ConfigError:
    why = getattr(error, "strerror", None) or str(error)
    return ConfigError([Finding(f"{option} {path}", why, "name a file in PEM")])
