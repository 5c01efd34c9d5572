"""TLS of what listens: a certificate that can be changed while connections are open."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from wharfinger.errors import ConfigError, Finding

_PEM_END: Final = "-----END CERTIFICATE-----"
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which Python has no name


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a listener shows and asks for.

    Attributes:
        cert_file: its certificate, and those between it and the authority.
        key_file: its key.
        client_ca_file: signs certificates that are asked for; None asks for none.
        section: of the settings that name the files, for findings.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None
    section: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        optional = () if self.client_ca_file is None else (self.client_ca_file,)
        return (self.cert_file, self.key_file, *optional)


def load(files: TlsFiles) -> ssl.SSLContext:
    """Reads the files into what serves; at least TLS 1.2.

    A client that shows no certificate is let in, and seen by that: whoever serves decides what
    it may have. One with a certificate of another authority is not.

    Raises:
        ConfigError: a file cannot be used, or certificate and key do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A key with a passphrase would ask for it on the terminal.
        context.load_cert_chain(files.cert_file, files.key_file, password="")
    except (OSError, ssl.SSLError) as error:
        raise _wrong(files, "cert_file", files.cert_file, error) from None
    if files.client_ca_file is not None:
        try:
            context.load_verify_locations(files.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise _wrong(files, "client_ca_file", files.client_ca_file, error) from None
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def trusting(files: TlsFiles) -> ssl.SSLContext:
    """For a client on the listener's own host: trusts this very certificate, whatever it says.

    Its names, and its end: a daemon whose certificate has ended tells so by a check of its own.

    Raises:
        ConfigError: it cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it is asked at 127.0.0.1, which no certificate names
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        # The first is the listener's; to trust those above it would be to trust all that they sign.
        first, end, _ = files.cert_file.read_text().partition(_PEM_END)
        context.load_verify_locations(cadata=first + end)
    except (OSError, ValueError) as error:
        raise _wrong(files, "cert_file", files.cert_file, error) from None
    return context


class Replaceable(ssl.SSLContext):
    """A context for a listener that serves each new connection with the latest one.

    OpenSSL can load another certificate into a context that is in use, but not take it back
    when its key turns out to be another's. So the listener's own context serves nobody.

    Attributes:
        latest: serves the next connection.
    """

    latest: ssl.SSLContext

    def __new__(cls, _first: ssl.SSLContext) -> Self:
        """See `ssl.SSLContext`, whose arguments are another's."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, first: ssl.SSLContext) -> None:
        self.latest = first

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """What asyncio and uvloop make of each connection."""
        return self.latest.wrap_bio(*arguments, **named)


def _wrong(files: TlsFiles, key: str, path: Path, error: Exception) -> ConfigError:
    why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    where = f"{files.section}.{key}"
    if "KEY_VALUES_MISMATCH" in str(why):
        return ConfigError([Finding(where, f"{path} and the key do not belong together")])
    return ConfigError([Finding(where, f"{path} cannot be used: {why}")])
