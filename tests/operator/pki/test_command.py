"""`wharfinger pki`: what it makes, what it refuses, and what it never writes over."""

import contextlib
import errno
import hashlib
import io
import json
import ssl
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from logshipper.store.access import tokens as store_tokens
from wharfinger.errors import Exit
from wharfinger.files import write_atomically
from wharfinger.operator.cli import main
from wharfinger.operator.parts.process import free_port
from wharfinger.operator.pki import folder
from wharfinger.operator.pki.passphrase import VARIABLE

SECRET = "correct horse"


class Pki:
    """The command, on one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, action: str, *words: str, code: int = Exit.OK) -> str:
        with pytest.raises(SystemExit) as left:
            main(["pki", action, "--dir", str(self.folder), *words])
        shown = self._capsys.readouterr()
        said = shown.out + shown.err
        assert left.value.code == code, said
        return said

    def certificate(self, name: str) -> x509.Certificate:
        path = self.folder / "hosts" / name / "host.crt"
        return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def pki(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Pki]:
    made = Pki(tmp_path / "authority", capsys)
    made("init")
    yield made
    for path in made.folder.rglob("*"):
        public = path.name in {"ca.crt", "ca.crl"} and path.parent == made.folder
        assert path.stat().st_mode & 0o077 == (0o044 if public else 0)


def test_openssl_finds_nothing_wrong(pki: Pki) -> None:
    for name, role, purpose in (
        ("box", "host", "sslclient"),
        ("store", "store", "sslserver"),
        ("m1", "etcd", "sslserver"),
        ("m1", "etcd", "sslclient"),
    ):
        pki("issue", name, "--role", role)
        path = pki.folder / "hosts" / name / "host.crt"
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose]
        done = subprocess.run(
            [*command, "-CAfile", pki.folder / "ca.crt", path], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_certificate_is_for_what_it_was_asked_for(pki: Pki) -> None:
    pki("issue", "box", "--role", "host", "--ip", "10.0.0.5", "--dns", "box.lan")
    found = pki.certificate("box").extensions
    usage = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each.value) for each in names] == ["box", "box.lan", "10.0.0.5"]
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    ca = x509.load_pem_x509_certificate((pki.folder / "ca.crt").read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


@contextlib.contextmanager
def full_disk(after_writes: int) -> Iterator[None]:
    """The authority's folder takes so many files, and then no more."""
    left = iter(range(after_writes))

    def breaking(path: Path, content: bytes, *, mode: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        write_atomically(path, content, mode=mode)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folder, "write_atomically", breaking)
        yield


@pytest.mark.parametrize("written", [0, 1, 2])
def test_an_authority_that_was_broken_off_is_begun_again(
    written: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pki = Pki(tmp_path / "authority", capsys)
    with full_disk(written):
        assert "No space left" in pki("init", code=Exit.CONFIG)
    assert "Wharfinger CA" in pki("init")
    assert "a certificate as host" in pki("issue", "box", "--role", "host")
    (pki.folder / "ca.crt").unlink()
    assert "ca.crt: is missing" in pki("issue", "new", "--role", "host", code=Exit.CONFIG)
    assert "it stays" in pki("init")  # somebody has its certificates


def test_what_is_there_is_never_written_over(pki: Pki, tmp_path: Path) -> None:
    key = (pki.folder / "ca.key").read_bytes()
    assert "it stays" in pki("init", "--name", "Another")
    pki("issue", "box", "--role", "host", "--ip", "10.0.0.5")
    before = {path: path.read_bytes() for path in (pki.folder / "hosts/box").iterdir()}
    assert "issued already" in pki("issue", "box", "--role", "host", "--ip", "10.0.0.5")
    refused = pki("issue", "box", "--role", "host", "--ip", "10.0.0.6", code=Exit.USAGE)
    assert "10.0.0.5" in refused
    assert "--renew" in refused
    elsewhere = ("--out", str(tmp_path / "elsewhere"))
    words = ("issue", "box", "--role", "host", "--ip", "10.0.0.5", *elsewhere)
    assert "its key is not in" in pki(*words, code=Exit.USAGE)
    inside = ("--out", str(pki.folder / "hosts/box"))
    assert "that is not other's" in pki("issue", "other", "--role", "host", *inside, code=64)
    assert before == {path: path.read_bytes() for path in (pki.folder / "hosts/box").iterdir()}
    assert (pki.folder / "ca.key").read_bytes() == key
    replaced = pki("issue", "box", "--role", "edge", "--renew")
    assert "as edge" in replaced
    assert (pki.folder / "hosts/box/host.key").read_bytes() != before[
        pki.folder / "hosts/box/host.key"
    ]


def test_renewed_for_the_same_names_with_another_key_and_the_same_token(pki: Pki) -> None:
    pki("issue", "box", "--role", "host", "--ip", "10.0.0.5", "--lifetime", "30d")
    bundle = pki.folder / "hosts/box"
    names = ("host.key", "host.crt", "ingest.token")
    before = pki.certificate("box")
    key, _, token = (( bundle / name).read_bytes() for name in names)  # fmt: skip
    pki("renew", "box")
    after = pki.certificate("box")
    same = x509.SubjectAlternativeName
    assert after.extensions.get_extension_for_class(same) == (
        before.extensions.get_extension_for_class(same)
    )
    assert after.serial_number != before.serial_number
    assert (after.not_valid_after_utc - after.not_valid_before_utc) == (
        before.not_valid_after_utc - before.not_valid_before_utc
    )
    assert (bundle / "host.key").read_bytes() != key
    assert (bundle / "ingest.token").read_bytes() == token
    context = ssl.create_default_context(cafile=pki.folder / "ca.crt")
    context.load_cert_chain(bundle / "host.crt", bundle / "host.key")
    assert "has no certificate" in pki("renew", "nobody", code=Exit.USAGE)
    assert "--near" in pki("renew", code=Exit.USAGE)


def test_the_list_is_red_when_one_is_near_its_end(pki: Pki) -> None:
    pki("issue", "box", "--role", "host", "--services", "shop_*")
    assert "shop_*" in pki("list")
    pki("issue", "old", "--role", "edge", "--lifetime", "1s")
    pki("issue", "short", "--role", "edge", "--lifetime", "1m")  # of 11, with those before
    shown = json.loads(pki("list", "--json", code=Exit.UNAVAILABLE))
    assert {each["name"]: each["state"] for each in shown}["short"] == "near"
    assert "ends very soon" in pki("list", code=Exit.UNAVAILABLE)
    said = pki("renew", "--near", "--lifetime", "1y")
    assert "short:" in said
    assert "box:" not in said
    pki("list")


def test_the_store_knows_the_tokens_and_the_others_have_them(pki: Pki, tmp_path: Path) -> None:
    pki("issue", "box", "--role", "host")
    pki("issue", "ops", "--role", "admin")
    archive = tmp_path / "out" / "store.tar"
    pki("issue", "store", "--role", "store", "--out", str(archive))
    pki("issue", "late", "--role", "host")
    pki("issue", "store", "--role", "store", "--out", str(archive))

    def unpacked() -> dict[str, str]:
        with tarfile.open(archive) as opened:
            assert all(entry.mode == 0o600 for entry in opened)
            files = {entry.name: opened.extractfile(entry) for entry in opened}
            return {name: file.read().decode() for name, file in files.items() if file}

    def names(kind: str) -> list[str]:
        known, findings = store_tokens.parse(unpacked()[f"{kind}.tokens"], kind)
        assert findings == ()
        return sorted({each.name for each in known.known} - {""})

    assert archive.stat().st_mode & 0o077 == 0
    assert names("ingest") == ["box", "late", "store"]
    assert names("read") == ["ops", "store"]
    assert names("admin") == ["ops"]
    token = (pki.folder / "hosts/box/ingest.token").read_text().strip()
    known, _ = store_tokens.parse(unpacked()["ingest.tokens"], "ingest")
    found = known.find(store_tokens.digests(f"Bearer {token}"))
    assert found is not None
    assert found.name == "box"
    assert token not in "".join(unpacked().values())
    assert token not in (pki.folder / "index.json").read_text()
    pki("revoke", "box")
    pki("issue", "store", "--role", "store", "--out", str(archive))
    assert names("ingest") == ["late", "store"]
    own = unpacked()["ingest.token"]
    assert unpacked()["ingest.tokens"].startswith(own)  # for who asks on the store's host
    # A renewed pair comes without tokens where the bundle has none to keep.
    pki("renew", "store", "--out", str(tmp_path / "renewed.tar"))
    with tarfile.open(tmp_path / "renewed.tar") as opened:
        assert "ingest.token" not in opened.getnames()
        assert {"host.crt", "host.key", "ingest.tokens"} <= set(opened.getnames())


def test_revoked(pki: Pki) -> None:
    pki("issue", "box", "--role", "host")
    pki("renew", "box")
    said = pki("revoke", "box")
    assert "wharfinger pki users" in said
    crl = x509.load_pem_x509_crl((pki.folder / "ca.crl").read_bytes())
    ca = x509.load_pem_x509_certificate((pki.folder / "ca.crt").read_bytes())
    assert crl.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
    assert len(crl) == 2  # the first is as good as the second
    assert "already" in pki("revoke", "box", code=Exit.USAGE)
    assert "is revoked" in pki("renew", "box", code=Exit.USAGE)
    assert "has no certificate" in pki("revoke", "nobody", code=Exit.USAGE)
    pki("issue", "m1", "--role", "etcd")
    assert (pki.folder / "hosts/m1/ca.crl").exists()
    pki("issue", "box", "--role", "host")
    assert "revoked" not in pki("list")


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_revocation_that_was_broken_off_is_done_again(written: int, pki: Pki) -> None:
    pki("issue", "box", "--role", "host")
    with full_disk(written):
        assert "No space left" in pki("revoke", "box", code=Exit.CONFIG)
    assert "revoked" in pki("revoke", "box")
    crl = x509.load_pem_x509_crl((pki.folder / "ca.crl").read_bytes())
    assert [each.serial_number for each in crl] == [pki.certificate("box").serial_number]
    assert "box" not in (pki.folder / "tokens/ingest.tokens").read_text()


def test_a_key_with_a_passphrase(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pki = Pki(tmp_path / "authority", capsys)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "nobody is there to be asked" in pki("init", "--encrypt", code=Exit.CONFIG)
    secret = tmp_path / "passphrase"
    secret.write_text("short\n")
    named = ("--passphrase-file", str(secret))
    assert "less than 8" in pki("init", *named, code=Exit.CONFIG)
    assert not (pki.folder / "ca.key").exists()
    secret.write_text(f"{SECRET}\n")
    said = pki("init", *named)
    assert "has a passphrase" in said
    assert SECRET not in said
    assert b"ENCRYPTED" in (pki.folder / "ca.key").read_bytes()
    words = ("issue", "box", "--role", "host")
    assert VARIABLE in pki(*words, code=Exit.CONFIG)
    monkeypatch.setenv(VARIABLE, "wrong and long")
    assert "the passphrase is wrong" in pki(*words, code=Exit.CONFIG)
    assert not (pki.folder / "hosts/box").exists()
    monkeypatch.setenv(VARIABLE, SECRET)
    pki(*words)
    monkeypatch.delenv(VARIABLE)
    pki("renew", "box", *named)
    pki("list")  # needs no key


def test_what_is_damaged_is_named(pki: Pki, tmp_path: Path) -> None:
    words = ("issue", "box", "--role", "host")
    index = pki.folder / "index.json"
    whole = index.read_bytes()
    index.write_bytes(whole[:-5])
    assert "index.json: is damaged" in pki(*words, code=Exit.CONFIG)
    index.write_bytes(whole)
    key = pki.folder / "ca.key"
    kept = key.read_bytes()
    key.chmod(0o644)
    assert f"chmod 600 {key}" in pki(*words, code=Exit.CONFIG)
    key.chmod(0o600)
    key.write_bytes(b"no key")
    assert "ca.key: is damaged" in pki(*words, code=Exit.CONFIG)
    other = Pki(tmp_path / "other", pki._capsys)
    other("init")
    key.write_bytes((other.folder / "ca.key").read_bytes())
    assert "do not belong together" in pki(*words, code=Exit.CONFIG)
    key.write_bytes(kept)
    pki(*words)
    nowhere = Pki(tmp_path / "nowhere", pki._capsys)
    assert "wharfinger pki init" in nowhere(*words, code=Exit.CONFIG)
    assert not nowhere.folder.exists()
    for lifetime in ("0d", "1w", "999999y", "9999999y", "-1d"):
        pki("issue", "late", "--role", "host", f"--lifetime={lifetime}", code=Exit.USAGE)


def test_nothing_lives_longer_than_the_authority(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pki = Pki(tmp_path / "authority", capsys)
    pki("init", "--lifetime", "5d")
    pki("issue", "box", "--role", "host")
    ca = x509.load_pem_x509_certificate((pki.folder / "ca.crt").read_bytes())
    assert pki.certificate("box").not_valid_after_utc == ca.not_valid_after_utc


def test_users_are_made_by_an_administrator(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    assert "--role admin" in pki("users", "--endpoints", nowhere, code=Exit.CONFIG)
    pki("issue", "ops", "--role", "admin")
    assert "nothing listens" in pki("users", "--endpoints", nowhere, code=Exit.UNAVAILABLE)
    monkeypatch.setenv("WHARFINGER_ETCD__ENDPOINTS", nowhere)
    assert nowhere in pki("users", code=Exit.UNAVAILABLE)
    said = pki("users", "--endpoints", f"https://{nowhere}", code=Exit.CONFIG)
    assert "write it without a scheme" in said


@pytest.mark.parametrize("words", [(), ("frob",), ("issue", "box"), ("issue", "--role", "host")])
def test_wrong_use(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["pki", *words])
    assert left.value.code == Exit.USAGE


def digest(token: Path) -> str:
    return hashlib.sha256(token.read_text().strip().encode()).hexdigest()


def test_tokens_go_with_the_role_that_they_were_for(pki: Pki) -> None:
    pki("issue", "box", "--role", "store,admin")
    folder, lists = pki.folder / "hosts" / "box", pki.folder / "tokens"
    admin = folder / "admin.token"
    assert digest(admin) in (lists / "admin.tokens").read_text()
    pki("issue", "box", "--role", "store", "--renew")
    assert digest(admin) not in (lists / "admin.tokens").read_text()
    assert digest(folder / "read.token") in (lists / "read.tokens").read_text()
    # Nor does the store learn of it from what is left in its own bundle.
    known = (folder / "admin.tokens").read_text()
    assert digest(admin) not in known
    assert admin.read_text().strip() not in known


def test_the_last_that_is_revoked_is_known_no_more(pki: Pki) -> None:
    pki("issue", "ops", "--role", "admin")
    pki("issue", "store", "--role", "store")
    hosts = pki.folder / "hosts"
    admin, theirs = digest(hosts / "ops" / "admin.token"), hosts / "store" / "admin.tokens"
    assert admin in theirs.read_text()
    pki("revoke", "ops")
    pki("issue", "store", "--role", "store")
    for path in (theirs, pki.folder / "tokens" / "admin.tokens"):
        # A list of nobody is what the store would not take in the place of the one before.
        known, findings = store_tokens.parse(path.read_text(), "x")
        assert (admin in path.read_text(), findings) == (False, ())
        assert known.known
    pki("issue", "ops", "--role", "admin")
    assert digest(hosts / "ops" / "admin.token") in (pki.folder / "tokens/admin.tokens").read_text()
    assert "nobody" not in (pki.folder / "tokens" / "admin.tokens").read_text()
