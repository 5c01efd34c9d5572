"""What the authority signs with: its own certificate and key, those of others, what it took back.

Forms and extensions are those of RFC 5280; keys are P-256 (FIPS 186-5), as etcd, OpenSSL and gRPC
all take them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wharfinger.errors import ConfigError, Finding, Rejected
from wharfinger.operator.pki.model import SERVING, Issued, Wish

# A host whose clock is behind the authority's shall take a certificate at once.
BACKDATED: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM; the key's passphrase is the caller's."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """A pair, and what the register keeps of it."""

    pair: Pair
    serial: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority, with its key unlocked."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def until(self) -> datetime:
        """When it ends, and with it all that it has signed."""
        return self.certificate.not_valid_after_utc


def found(name: str, lifetime: timedelta, now: datetime, passphrase: bytes | None) -> Pair:
    """A new authority: it signs certificates of hosts, and no further authority.

    Args:
        name: its common name.
        lifetime: how long it is good.
        now: the time.
        passphrase: of its key; None to leave it open.

    Raises:
        Rejected: the name can stand in no certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    builder = (
        _builder(key.public_key(), subject, subject, now - BACKDATED, _end(now, lifetime))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    return Pair(_pem(certificate), _key_pem(key, passphrase))


def unlocked(pair: Pair, passphrase: bytes | None, where: str) -> Authority:
    """The authority out of its files.

    Args:
        pair: the files' content.
        passphrase: of the key; None without one.
        where: the folder, for messages.

    Raises:
        ConfigError: a file is damaged, the passphrase is wrong, or they do not belong together.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
    except ValueError:
        raise ConfigError([Finding(f"{where}/ca.crt", "holds no certificate")]) from None
    at = f"{where}/ca.key"
    try:
        key = serialization.load_pem_private_key(pair.key, passphrase)
    except (ValueError, TypeError):
        # cryptography says of a wrong passphrase and of a damaged file much the same.
        why = "is damaged, or the passphrase is wrong" if passphrase else "is damaged"
        raise ConfigError([Finding(at, why)]) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != (
        certificate.public_key()
    ):
        raise ConfigError([Finding(at, "and ca.crt do not belong together")])
    return Authority(certificate, key)


def is_locked(key: bytes) -> bool:
    """Whether a key has a passphrase (RFC 7468, section 11)."""
    return b"BEGIN ENCRYPTED PRIVATE KEY" in key


def sign(authority: Authority, wish: Wish, lifetime: timedelta, now: datetime) -> Signed:
    """A pair for somebody; it ends with the authority at the latest.

    Raises:
        Rejected: the authority has ended, or a name can stand in no certificate.
    """
    until = min(_end(now, lifetime), authority.until)
    if until <= now:
        raise Rejected(f"the authority ended at {authority.until:%Y-%m-%dT%H:%M:%SZ}: begin anew")
    since = max(now - BACKDATED, authority.certificate.not_valid_before_utc)
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in wish.dns]
    names += [x509.IPAddress(ip_address(ip)) for ip in wish.ips]
    public = authority.key.public_key()
    certificate = (
        _builder(
            key.public_key(),
            _subject(wish.name),
            authority.certificate.subject,
            since,
            until,
            serial=serial,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(wish)), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Signed(Pair(_pem(certificate), _key_pem(key, None)), f"{serial:x}", begins, ends)


def revocations(authority: Authority, revoked: Iterable[Issued], now: datetime) -> bytes:
    """The list of what was taken back, for etcd's --client-crl-file and --peer-crl-file."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATED)
        # Nobody fetches it anew: it is as good as the files around it.
        .next_update(authority.until)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial, 16))
        builder = builder.add_revoked_certificate(entry.revocation_date(one.revoked or now).build())
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def serial_of(certificate: bytes) -> str:
    """The number of a certificate, in hexadecimal; empty if it is none."""
    try:
        return f"{x509.load_pem_x509_certificate(certificate).serial_number:x}"
    except ValueError:
        return ""


def _purposes(wish: Wish) -> list[x509.ObjectIdentifier]:
    # Whoever serves dials as well: etcd's members each other, the store etcd.
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if SERVING & set(wish.roles):
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    return purposes


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    public: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    since: datetime,
    until: datetime,
    *,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _end(now: datetime, lifetime: timedelta) -> datetime:
    try:
        return now + lifetime
    except OverflowError:
        raise Rejected("--lifetime is longer than a certificate can say") from None


def _subject(name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        raise Rejected(f"{name[:64]!a} can stand in no certificate: {error}") from None


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        how = serialization.BestAvailableEncryption(passphrase)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, how)
