"""The same image from the same content: what a build adds of its hour and its machine is taken out.

The classic builder stamps folders that it makes with the hour, and the configuration with names of
its containers. As BuildKit does with `rewrite-timestamp`, layers are written anew with times that
say nothing of the build; the bytes of those that it was built on are never touched.
"""

import copy
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, cast

from deploy.release.images.archive import Archive, members, opened
from wharfinger.errors import Rejected

# They say when a file was made and by whom of the builder's machine.
_PAX_TIMES: Final = frozenset(["atime", "ctime", "mtime"])
_PYC_HEADER_BYTES: Final = 16
_BY_TIME: Final = bytes(4)
_BLOCK_BYTES: Final = 1 << 20
# What `docker push` packs with is gzip's usual level.
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Time:
    """What time files get.

    Attributes:
        epoch: in seconds since 1970.
        keep_older: whether a file that is older keeps its own, as those of packages should. What
            comes from a working copy has the hour of its checkout: no two of them agree.
    """

    epoch: int
    keep_older: bool = False

    def of(self, time: float) -> int:
        """What a file of this time gets."""
        return min(int(time), self.epoch) if self.keep_older else self.epoch


@dataclass(frozen=True, slots=True)
class Written:
    """An image that was written anew.

    Attributes:
        id: `sha256:...` of its configuration.
        diff_ids: of its layers.
        packed_sizes: of its own layers, by their diff ids, in bytes.
    """

    id: str
    diff_ids: tuple[str, ...]
    packed_sizes: Mapping[str, int]


def written(
    archive: Archive,
    place: Path,
    *,
    below: int,
    epoch: int,
    time_of: Callable[[int], Time],
    tags: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    whole: bool = False,
) -> Written:
    """Writes an image anew, for `docker load`, with nothing in it of the hour and the machine.

    Args:
        archive: as it was built.
        place: file to write.
        below: how many of its layers are others', which stay as they are.
        epoch: of the image itself, in seconds since 1970.
        time_of: what files get in an own layer, by its number from 0.
        tags: names that it gets.
        labels: that it gets beside those that it has.
        whole: whether the others' layers are written, too. An engine that keeps its images with a
            graph driver has them, and asks for their names alone.

    Raises:
        Rejected: a layer is broken.
        OSError: it cannot be written.
    """
    diff_ids = list(archive.diff_ids[:below])
    packed: dict[str, int] = {}
    with tarfile.open(place, "w", format=tarfile.PAX_FORMAT) as out:
        names = [f"{number}/layer.tar" for number in range(len(archive.diff_ids))]
        for number in range(below if whole else 0):
            member = tarfile.TarInfo(names[number])
            member.size = archive.layer_size(number)
            out.addfile(member, archive.layer(number))
        for number in range(below, len(archive.diff_ids)):
            made = place.with_suffix(".layer")
            diff_id, size = _write_layer(archive.layer(number), made, time_of(number))
            diff_ids.append(diff_id)
            packed[diff_id] = size
            out.add(made, names[number])
            made.unlink()
        timeless = _timeless(archive.config, diff_ids, below, epoch)
        if labels:
            timeless["config"]["Labels"] = {**(timeless["config"]["Labels"] or {}), **labels}
        config = _canonical(timeless)
        image_id = hashlib.sha256(config).hexdigest()
        manifest = [{"Config": f"{image_id}.json", "RepoTags": list(tags), "Layers": names}]
        _add(out, f"{image_id}.json", config)
        _add(out, "manifest.json", _canonical(manifest))
    return Written(f"sha256:{image_id}", tuple(diff_ids), packed)


def _write_layer(layer: IO[bytes], place: Path, time: Time) -> tuple[str, int]:
    """Gives the digest of what was written, and how long it is when it is packed."""
    with place.open("w+b") as file:
        try:
            with (
                opened(layer) as source,
                tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as out,
            ):
                for member in members(source):
                    member.mtime = time.of(member.mtime)
                    member.uname = member.gname = ""
                    member.pax_headers = {
                        key: value
                        for key, value in member.pax_headers.items()
                        if key not in _PAX_TIMES
                    }
                    content = source.extractfile(member) if member.isreg() else None
                    if content is not None and member.name.endswith(".pyc"):
                        content = _compiled(content, time)
                    out.addfile(member, content)
        except tarfile.TarError as error:
            raise Rejected(f"a layer cannot be written anew: {error}") from error
        file.seek(0)
        digest = hashlib.sha256()
        counted = _Counted()
        with gzip.GzipFile(
            fileobj=cast("IO[bytes]", counted), mode="wb", compresslevel=_LEVEL
        ) as packing:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                packing.write(block)
    return f"sha256:{digest.hexdigest()}", counted.size


def _compiled(content: IO[bytes], time: Time) -> IO[bytes]:
    """Compiled Python that still fits its source, whose time it carries (PEP 552).

    Python would compile what does not fit anew at each start, where it may not write.
    """
    data = bytearray(content.read())
    if len(data) >= _PYC_HEADER_BYTES and data[4:8] == _BY_TIME:
        source_time = int.from_bytes(data[8:12], "little")
        data[8:12] = (time.of(source_time) & 0xFFFFFFFF).to_bytes(4, "little")
    return io.BytesIO(data)


class _Counted(io.RawIOBase):
    """Takes bytes and keeps their number."""

    size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.size += len(data)
        return len(data)


def _timeless(
    config: Mapping[str, Any], diff_ids: Sequence[str], below: int, epoch: int
) -> dict[str, Any]:
    """The configuration, with the builder's hour and containers taken out."""
    when = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = copy.deepcopy(dict(config))
    for name in ("container", "container_config", "docker_version"):
        made.pop(name, None)
    for name in ("Image", "Hostname"):
        (made.get("config") or {}).pop(name, None)
    made["created"] = when
    made["rootfs"]["diff_ids"] = list(diff_ids)
    layers = 0
    for step in made.get("history") or ():
        if layers >= below:
            step["created"] = when
        layers += not step.get("empty_layer", False)
    return made


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _add(out: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    out.addfile(member, io.BytesIO(data))
