"""Why TLS with a sink does not come about, by what OpenSSL says: whose fault, and what to do."""

import ssl
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why somebody is not trusted, or does not trust us.

    Attributes:
        key: of the sink's settings, which it is about; empty for none of them.
        why: what is wrong, of the server.
        fix: what to do about it.
    """

    key: str
    why: str
    fix: str


_ANOTHER: Final = Distrust(
    "ca_file", "its certificate is not signed by the CA that is trusted", "name the CA that did"
)
_NAMES: Final = Distrust(
    "", "its certificate is for other names", "reach it by a name that it is made for"
)
# Said by who ends the connection without a word, as some servers do.
SILENT: Final = Distrust(
    "cert_file", "it ends the connection", "it may want a certificate: name one of its CA"
)
# By X509_verify_cert_error(3).
_VERIFYING: Final = {
    9: Distrust("", "its certificate is not good yet", "look at the clocks of both"),
    10: Distrust("", "its certificate has ended", "renew it there"),
    18: _ANOTHER,
    19: _ANOTHER,
    20: _ANOTHER,
    21: _ANOTHER,
    62: _NAMES,
    64: _NAMES,
}
# By the alert (RFC 8446, section 6.2), or OpenSSL's own word.
_REASONS: Final = (
    ("CERTIFICATE_REQUIRED", "cert_file", "it asks for a certificate", "name one of its CA"),
    ("HANDSHAKE_FAILURE", "cert_file", "it ends the handshake", "name a certificate of its CA"),
    ("CERTIFICATE_EXPIRED", "cert_file", "our certificate has ended", "put a new pair there"),
    ("CERTIFICATE_REVOKED", "cert_file", "our certificate is revoked", "put a new pair there"),
    ("UNKNOWN_CA", "cert_file", "it does not know who signed ours", "name one of its CA"),
    ("BAD_CERTIFICATE", "cert_file", "it refuses our certificate", "name one of its CA"),
    # Java's word for it, and so Elasticsearch's.
    ("CERTIFICATE_UNKNOWN", "cert_file", "it refuses our certificate", "name one of its CA"),
    ("UNSUPPORTED_CERTIFICATE", "cert_file", "ours is not made for clients", "name one that is"),
    ("WRONG_VERSION", "", "it does not speak TLS", "reach it without, or turn TLS on there"),
)


def distrust(error: ssl.SSLError) -> Distrust | None:
    """What an error is about; None where it says nothing that is known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFYING.get(error.verify_code)
    reason = error.reason or ""
    return next((Distrust(*told) for word, *told in _REASONS if word in reason), None)
