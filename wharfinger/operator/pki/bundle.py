"""What is carried to a host: a folder, or an archive, of its pair and its secrets."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wharfinger.errors import Rejected
from wharfinger.files import PRIVATE_MODE, make_folder, write_atomically

CA: Final = "ca.crt"
CRL: Final = "ca.crl"
CERTIFICATE: Final = "host.crt"
KEY: Final = "host.key"
PRIVATE_FOLDER: Final = 0o700
_ARCHIVE: Final = ".tar"
_MAX_BYTES: Final = 2**20


def read(path: Path) -> dict[str, bytes]:
    """The files of a bundle by name; none where there is none yet.

    Raises:
        Rejected: what is there is no bundle.
    """
    try:
        if path.suffix == _ARCHIVE:
            return _unpacked(path) if path.exists() else {}
        return {
            each.name: each.read_bytes()
            for each in sorted(path.iterdir() if path.exists() else ())
            if each.is_file() and each.stat().st_size <= _MAX_BYTES
        }
    except (OSError, tarfile.TarError) as error:
        raise Rejected(f"{path} cannot be read as a bundle: {error}") from error


def write(path: Path, files: Mapping[str, bytes]) -> None:
    """Writes these files of a bundle; a folder keeps what else it has, an archive is replaced.

    Raises:
        Rejected: they cannot be written.
    """
    try:
        if path.suffix == _ARCHIVE:
            make_folder(path.parent, PRIVATE_FOLDER)
            write_atomically(path, _packed({**read(path), **files}), mode=PRIVATE_MODE)
            return
        make_folder(path, PRIVATE_FOLDER)
        # The certificate last: who looks for a new one finds its key.
        for name in sorted(files, key=lambda name: name == CERTIFICATE):
            write_atomically(path / name, files[name], mode=PRIVATE_MODE)
    except OSError as error:
        raise Rejected(f"{path} cannot be written: {error.strerror or error}") from error


def _packed(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), PRIVATE_MODE
            entry.uname = entry.gname = "root"
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _unpacked(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            if entry.isfile() and entry.size <= _MAX_BYTES:
                content = archive.extractfile(entry)
                found[entry.name] = content.read() if content else b""
    return found
