"""Reads what `docker save` wrote: listings only, nothing of it is ever put on the disk."""

import gzip
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, Self, cast

from deploy.release.images import java
from deploy.release.images.model import Entry, Image, Kind, Layer
from wharfinger.errors import Rejected, Unavailable
from wharfinger.text import quantity

# Docker's own limit is 127.
LAYERS: Final = 512
ENTRIES: Final = 1_000_000
PATH_CHARACTERS: Final = 4096
JSON_BYTES: Final = 8 << 20
CONTENT_BYTES: Final = 64 << 30
_READ_BYTES: Final = 1 << 20
_MEMBERS: Final = 10 * LAYERS
_WHITEOUT: Final = ".wh."
# The classic builder writes `/bin/sh -c #(nop) COPY dir:... in /app `, BuildKit `COPY app /app`.
_COPIES: Final = re.compile(r"(?:.*#\(nop\) +)?(?:COPY|ADD)\b")
_OPAQUE: Final = ".wh..wh..opq"
_AUFS: Final = ".wh..wh."
_GZIP: Final = b"\x1f\x8b"
# What tarfile, gzip and zlib raise for bytes that are no tar.
_BROKEN: Final = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    ValueError,
    OverflowError,
)


class Bounded:
    """A file of which nothing is read in a piece that a hostile header has made huge."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """As of a file.

        Raises:
            Rejected: more is asked for than any honest header is long.
        """
        if not 0 <= size <= _READ_BYTES:
            raise Rejected(f"a header in the tar is {size} bytes long")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()


class Archive:
    """An archive with one image in it, as `docker save` of every version writes it.

    Attributes:
        config: the image's configuration (OCI image specification, config.md).
        config_name: the archive's name of it.
        layer_names: the archive's names of the layers, from the lowest.
    """

    def __init__(self, path: Path) -> None:
        """Opens it.

        Raises:
            Rejected: it is no such archive.
            Unavailable: it cannot be read.
        """
        try:
            self._tar = tarfile.open(path, mode="r:")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise Unavailable(f"{path}: {error}") from error
        except _BROKEN as error:
            raise Rejected(f"{path.name} is no archive of an image: {error}") from error
        try:
            self._understand(path.name)
        except BaseException:
            self._tar.close()
            raise

    def _understand(self, name: str) -> None:
        self._members = {member.name: member for member in islice(self._tar, _MEMBERS)}
        manifest = self._json("manifest.json")
        try:
            self.config_name = str(manifest[0]["Config"])
            self.layer_names = tuple(map(str, manifest[0]["Layers"]))
            self.config: dict[str, Any] = self._json(self.config_name)
            self.diff_ids = tuple(map(str, self.config["rootfs"]["diff_ids"]))
        except (LookupError, TypeError, AttributeError) as error:
            raise Rejected(f"{name}: what it says of its image is broken") from error
        if len(self.layer_names) != len(self.diff_ids) or len(self.diff_ids) > LAYERS:
            raise Rejected(f"{name}: {quantity(len(self.layer_names), 'layer')} cannot be")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def layer(self, number: int) -> IO[bytes]:
        """The tar of a layer, whatever it is packed with.

        Raises:
            Rejected: it is not there.
        """
        name = self.layer_names[number]
        member = self._members.get(name)
        if member is not None and member.issym():
            # Two layers of the same content are written once (`../ID/layer.tar`).
            folder = name.rpartition("/")[0]
            parts: list[str] = folder.split("/") if folder else []
            for part in member.linkname.split("/"):
                parts = parts[:-1] if part == ".." else [*parts, part]
            member = self._members.get("/".join(parts))
        file = self._tar.extractfile(member) if member is not None and member.isfile() else None
        if file is None:
            raise Rejected(f"layer {number + 1} is not in the archive")
        packed = file.read(2) == _GZIP
        file.seek(0)
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file

    def copied(self, number: int) -> bool:
        """Whether a layer is copied from a working copy or another stage (COPY, ADD).

        Said by its step of the history (config.md); where that is not one by one, all are.
        """
        steps = self.config.get("history")
        told = [
            str(step.get("created_by", ""))
            for step in (steps if isinstance(steps, list) else ())
            if isinstance(step, dict) and not step.get("empty_layer")
        ]
        if len(told) != len(self.diff_ids):
            return True
        return _COPIES.match(told[number]) is not None

    def layer_size(self, number: int) -> int:
        """Of the tar, in bytes."""
        file = self.layer(number)
        return file.seek(0, 2)

    def _json(self, name: str) -> Any:
        member = self._members.get(name)
        file = self._tar.extractfile(member) if member is not None and member.isfile() else None
        if member is None or file is None or member.size > JSON_BYTES:
            raise Rejected(f"the archive has no readable {name}")
        try:
            return json.loads(file.read())
        except (ValueError, RecursionError) as error:
            raise Rejected(f"{name} in the archive is no JSON") from error


def read(archive: Archive, image_id: str) -> Image:
    """The image of an archive.

    Raises:
        Rejected: a layer is broken, or made to break its reader.
    """
    layers = []
    left = ENTRIES
    for number, diff_id in enumerate(archive.diff_ids):
        layer = listed(archive.layer(number), diff_id, archive.layer_size(number), limit=left)
        left -= len(layer.entries)
        layers.append(layer)
    config = archive.config.get("config") or {}
    return Image(
        id=image_id,
        layers=tuple(layers),
        user=str(config.get("User") or ""),
        entrypoint=tuple(map(str, config.get("Entrypoint") or ())),
        labels={str(name): str(value) for name, value in (config.get("Labels") or {}).items()},
    )


def listed(tar: IO[bytes], diff_id: str, size: int, *, limit: int = ENTRIES) -> Layer:
    """A layer by the tar that it is.

    Args:
        tar: not packed.
        diff_id: its digest.
        size: its length in bytes.
        limit: how many entries it may have.

    Raises:
        Rejected: it is broken, or made to break its reader.
    """
    entries: list[Entry] = []
    hidden: list[str] = []
    emptied: list[str] = []
    content = 0
    try:
        for count, (member, head) in enumerate(_members(tar)):
            content += member.size
            if count >= limit or not 0 <= member.size <= content <= CONTENT_BYTES:
                raise Rejected(f"layer {diff_id[:19]} has more in it than {limit} paths or 64 GB")
            path = _path(member.name)
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                emptied.append(folder)
            elif name.startswith(_AUFS):
                continue  # of Docker's former storage, which no container sees
            elif name.startswith(_WHITEOUT):
                hidden.append(_hidden(folder, name.removeprefix(_WHITEOUT)))
            elif path:
                entries.append(_entry(path, member, head))
    except _BROKEN as error:
        raise Rejected(f"layer {diff_id[:19]} is no tar: {error}") from error
    except OSError as error:
        raise Unavailable(f"layer {diff_id[:19]}: {error}") from error
    return Layer(diff_id, tuple(entries), tuple(hidden), tuple(emptied), size)


def opened(tar: IO[bytes]) -> tarfile.TarFile:
    """The tar of a layer, to be gone through by `members`.

    Raises:
        tarfile.TarError: it is none.
    """
    return tarfile.open(fileobj=cast("IO[bytes]", Bounded(tar)), mode="r:")


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """What is in a tar, in its order, of which nothing is kept."""
    while (member := tar.next()) is not None:
        yield member
        tar.members = []  # type: ignore[attr-defined]  # it would keep all that it has seen


def _members(tar: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    with opened(tar) as layer:
        for member in members(layer):
            head = b""
            if member.isfile() and java.looked_into(member.name):
                file = layer.extractfile(member)
                head = file.read(java.HEAD_BYTES) if file else b""
            yield member, head


def _entry(path: str, member: tarfile.TarInfo, head: bytes) -> Entry:
    kind = Kind.OTHER
    if member.isfile() or member.islnk():
        kind = Kind.FILE
    elif member.isdir():
        kind = Kind.FOLDER
    elif member.issym():
        kind = Kind.SYMLINK
    same_as = _path(member.linkname) if member.islnk() else ""
    target = member.linkname if kind is Kind.SYMLINK else ""
    size = member.size if member.isfile() else 0
    mode = member.mode & 0o7777
    return Entry(path, kind, size, mode, int(member.mtime), target, same_as, head)


def _hidden(folder: str, name: str) -> str:
    if name in {"", "."}:
        raise Rejected(f"a layer takes away {name!r} of /{folder[:80]}, which is no name")
    return _path(f"{folder}/{name}")


def _path(name: str) -> str:
    """A path from the root, with nothing in it that leads elsewhere."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or len(name) > PATH_CHARACTERS:
        raise Rejected(f"a layer has the path {name[:80]!r}, which leads out of it or is too long")
    return "/".join(parts)
