"""Certificates found by name, and pairs that are none."""

import shutil
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from discovery.builtin.certificates import Certificates
from tests.stack.tls import Authority


def install(authority: Authority, folder: Path, name: str, *, certbot: bool = False) -> None:
    pair = authority.issue(f"of-{name.replace('*', 'any')}", name)
    folder.mkdir(exist_ok=True)
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    if certbot:
        (folder / name).mkdir()
        cert, key = folder / name / "fullchain.pem", folder / name / "privkey.pem"
    shutil.copy(pair.cert_file, cert)
    shutil.copy(pair.key_file, key)


def test_a_hosts_own_pair_goes_before_a_wildcards(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    for name in ("*.a.test", "x.a.test", "_.b.test"):
        install(authority, folder, name)
    install(authority, folder, "c.test", certbot=True)
    certificates = Certificates(folder)
    hosts = ["x.a.test", "y.a.test", "*.a.test", "*.b.test", "z.b.test", "c.test", "d.test", "test"]
    found = certificates.of(hosts)
    assert {host: one.cert_file.name for host, one in found.items()} == {
        "x.a.test": "x.a.test.crt",
        "y.a.test": "*.a.test.crt",
        "*.a.test": "*.a.test.crt",
        "*.b.test": "_.b.test.crt",
        "z.b.test": "_.b.test.crt",
        "c.test": "fullchain.pem",
    }
    assert certificates.missing == ("d.test", "test")
    assert certificates.problems == ()
    assert Certificates(None).of(hosts) == {}


def test_a_change_is_seen_and_a_broken_one_keeps_what_was(
    authority: Authority, tmp_path: Path
) -> None:
    folder = tmp_path / "tls"
    install(authority, folder, "a.test")
    certificates = Certificates(folder)
    first = certificates.of(["a.test"])["a.test"]
    assert not certificates.changed()
    install(authority, folder, "a.test")
    assert certificates.changed()
    second = certificates.of(["a.test"])["a.test"]
    assert second.fingerprint != first.fingerprint
    other = authority.issue("other", "a.test")
    shutil.copy(other.key_file, folder / "a.test.key")
    assert certificates.changed()
    assert certificates.of(["a.test"])["a.test"] == second
    assert "a.test.crt" in certificates.problems[0]
    for broken in (b"", b"no key", b"x" * 2**21):
        (folder / "a.test.key").write_bytes(broken)
        assert certificates.changed()
        assert certificates.of(["a.test"])["a.test"] == second
        assert len(certificates.problems) == 1
    (folder / "a.test.key").unlink()
    assert certificates.changed()
    assert certificates.problems
    install(authority, folder, "a.test")
    assert certificates.changed()
    assert not certificates.problems


def test_a_broken_pair_that_never_was_good_serves_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    folder = tmp_path / "tls"
    install(authority, folder, "a.test")
    secret = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (folder / "a.test.key").write_bytes(secret)
    certificates = Certificates(folder)
    assert certificates.of(["a.test"]) == {}
    assert "password" in certificates.problems[0]
