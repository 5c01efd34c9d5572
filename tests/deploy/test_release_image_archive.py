"""What `docker save` writes, read and written anew; and tars that are made to break a reader."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from deploy.release.images import archive, reproducible
from deploy.release.images.archive import Archive, listed
from deploy.release.images.model import Entry, Kind
from wharfinger.errors import Rejected

DIFF_ID = "sha256:" + "0" * 64


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def listing(data: bytes, **limits: int) -> Any:
    return listed(io.BytesIO(data), DIFF_ID, len(data), **limits)


def saved(place: Path, *layers: bytes, config: dict[str, Any] | None = None) -> Path:
    """An archive as `docker save` of 20.10 writes it."""
    said = {
        "created": "2026-11-26T13:00:00.123456789Z",
        "container": "b1946ac92492",
        "container_config": {"Hostname": "b1946ac92492"},
        "config": {"User": "app", "Image": "sha256:x", "Labels": {"a": "b"}, "Hostname": "h"},
        "history": [{"created": "2026-11-26T13:00:00Z"} for _ in layers],
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        **(config or {}),
    }
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": names}]
    members = [member("c.json", json.dumps(said).encode())]
    members += [member(*each) for each in zip(names, layers, strict=True)]
    members.append(member("manifest.json", json.dumps(manifest).encode()))
    place.write_bytes(packed(*members))
    return place


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write(opened: Archive, place: Path, time: reproducible.Time) -> reproducible.Written:
    return reproducible.written(opened, place, below=0, epoch=time.epoch, time_of=lambda _: time)


def test_a_layer_is_listed() -> None:
    layer = listing(
        packed(
            member("./etc/", type=tarfile.DIRTYPE, mode=0o755, mtime=5),
            member("etc/a", b"abc", mode=0o4755, mtime=7),
            member("etc/b", type=tarfile.LNKTYPE, linkname="etc/a"),
            member("etc/c", type=tarfile.SYMTYPE, linkname="/etc/a"),
            member("dev/null", type=tarfile.CHRTYPE),
            member("/lib/libz.so.1", b"\x7fELF" + b"x" * 60),
            member("var/.wh.cache"),
            member("srv/.wh..wh..opq"),
            member(".wh..wh.plnk/x"),
            member("opt/.wh..wh.orph"),
        )
    )
    assert layer.hidden == ("var/cache",)
    assert layer.emptied == ("srv",)
    etc, a, b, c, null, libz, _ = layer.entries
    assert etc == Entry("etc", Kind.FOLDER, 0, 0o755, 5)
    assert a == Entry("etc/a", Kind.FILE, 3, 0o4755, 7)
    assert (b.kind, b.size, b.same_as) == (Kind.FILE, 0, "etc/a")
    assert (c.kind, c.target) == (Kind.SYMLINK, "/etc/a")
    assert null.kind is Kind.OTHER
    assert (libz.path, libz.head) == ("lib/libz.so.1", b"\x7fELF" + b"x" * 16)


@pytest.mark.parametrize(
    "name",
    [
        "../etc/passwd",
        "a/../../b",
        "a/.wh...",
        "a/.wh../b/..",
        ".wh..",
        "a/.wh.",
        "x/" * 3000 + "y",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(Rejected):
        listing(packed(member(name)))


def test_more_paths_than_anybody_needs_are_refused() -> None:
    data = packed(*(member(f"f{number}") for number in range(10)))
    assert len(listing(data, limit=10).entries) == 10
    with pytest.raises(Rejected, match="more in it than 9 paths"):
        listing(data, limit=9)


def test_a_huge_header_is_refused_before_it_is_read() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 3 << 30
    with pytest.raises(Rejected, match="header in the tar"):
        listing(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_sizes_beyond_any_disk_are_refused() -> None:
    data = tarfile.TarInfo("a")
    data.size = 1 << 60
    with pytest.raises(Rejected):
        listing(data.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


@pytest.mark.parametrize("junk", [b"no tar at all" * 100, b"\xff" * 2048, b"\x1f\x8b" + b"x" * 600])
def test_what_is_no_tar_is_refused(junk: bytes) -> None:
    with pytest.raises(Rejected):
        listing(junk)


def test_a_layer_cut_short_is_refused_where_it_shows() -> None:
    data = packed(member("lib/libc.so.6", b"x" * 5000))
    with pytest.raises(Rejected):
        listing(data[:516])


def test_an_image_is_read_whether_its_layers_are_packed_or_not(tmp_path: Path) -> None:
    plain = packed(member("a", b"1"))
    other = packed(member("b", b"22"))
    place = saved(tmp_path / "i.tar", plain, gzip.compress(other))
    with Archive(place) as opened:
        image = archive.read(opened, "sha256:id")
    assert [[entry.path for entry in layer.entries] for layer in image.layers] == [["a"], ["b"]]
    assert [layer.size for layer in image.layers] == [len(plain), len(other)]
    assert (image.user, image.labels) == ("app", {"a": "b"})


def test_two_layers_of_one_content_are_written_once_by_docker(tmp_path: Path) -> None:
    layer = packed(member("a", b"1"))
    manifest = [{"Config": "c.json", "Layers": ["x/layer.tar", "y/layer.tar"]}]
    said = {"config": {}, "rootfs": {"diff_ids": [DIFF_ID, DIFF_ID]}}
    place = tmp_path / "i.tar"
    place.write_bytes(
        packed(
            member("c.json", json.dumps(said).encode()),
            member("x/layer.tar", layer),
            member("y/layer.tar", type=tarfile.SYMTYPE, linkname="../x/layer.tar"),
            member("manifest.json", json.dumps(manifest).encode()),
        )
    )
    with Archive(place) as opened:
        assert len(archive.read(opened, "").layers) == 2


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b"[1]",
        b"[" * 100_000,
        json.dumps([{"Config": "c.json", "Layers": ["../../etc/passwd"]}]).encode(),
        json.dumps([{"Config": "c.json", "Layers": ["a", "b"]}]).encode(),
        json.dumps([{"Config": "/etc/passwd", "Layers": []}]).encode(),
    ],
)
def test_an_archive_that_says_nonsense_of_itself_is_refused(
    tmp_path: Path, manifest: bytes
) -> None:
    place = tmp_path / "i.tar"
    said = json.dumps({"config": {}, "rootfs": {"diff_ids": [DIFF_ID]}}).encode()
    place.write_bytes(packed(member("c.json", said), member("manifest.json", manifest)))
    with pytest.raises(Rejected), Archive(place) as opened:
        archive.read(opened, "")


def test_a_build_at_another_hour_gives_the_same_image(tmp_path: Path) -> None:
    base = packed(member("base", b"b", mtime=99))
    ids = []
    for number, hour in enumerate((1_700_000_000.25, 1_800_000_000.75)):
        own = packed(
            member("app/", type=tarfile.DIRTYPE, mtime=hour, uname=f"user{number}"),
            member("app/x", b"x", mtime=hour + number, mode=0o4711, uid=1000),
            member("app/y", type=tarfile.LNKTYPE, linkname="app/x", mtime=hour),
        )
        place = saved(
            tmp_path / f"{number}.tar", base, own, config={"created": str(hour), "container": hour}
        )
        with Archive(place) as opened:
            made = reproducible.written(
                opened,
                tmp_path / "out.tar",
                below=1,
                epoch=1000,
                time_of=lambda _: reproducible.Time(1000),
                tags=["x:1"],
            )
        assert made.diff_ids[0] == digest(base)
        assert made.packed_sizes.keys() == {made.diff_ids[1]}
        ids.append(made.id)
    assert ids[0] == ids[1]
    with tarfile.open(tmp_path / "out.tar") as out:
        assert out.getnames() == [
            "1/layer.tar",
            f"{ids[0].removeprefix('sha256:')}.json",
            "manifest.json",
        ]
        layer = out.extractfile("1/layer.tar")
        assert layer is not None
        data = layer.read()
    assert digest(data) == made.diff_ids[1]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        folder, x, y = tar.getmembers()
        assert {each.mtime for each in (folder, x, y)} == {1000}
        assert (x.mode, x.uid, x.uname) == (0o4711, 1000, "")
        assert (y.type, y.linkname) == (tarfile.LNKTYPE, "app/x")


def test_attributes_that_rights_hang_on_are_kept(tmp_path: Path) -> None:
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00".decode("latin-1")
    own = packed(
        member("ping", b"x", pax_headers={"SCHILY.xattr.security.capability": capability}),
        member("f" * 200, b"y"),
    )
    with Archive(saved(tmp_path / "i.tar", own)) as opened:
        write(opened, tmp_path / "o.tar", reproducible.Time(0))
    with tarfile.open(tmp_path / "o.tar") as out:
        layer = out.extractfile("0/layer.tar")
        assert layer is not None
        with tarfile.open(fileobj=io.BytesIO(layer.read())) as tar:
            ping, long = tar.getmembers()
    assert ping.pax_headers == {"SCHILY.xattr.security.capability": capability}
    assert long.name == "f" * 200


def test_compiled_python_still_fits_its_source(tmp_path: Path) -> None:
    def compiled(time: int) -> bytes:
        return b"\xa7\r\r\n" + bytes(4) + time.to_bytes(4, "little") + bytes(4) + b"code"

    by_hash = b"\xa7\r\r\n\x01\x00\x00\x00" + b"h" * 8
    own = packed(
        member("a.py", b"a", mtime=5000), member("a.pyc", compiled(5000)), member("h.pyc", by_hash)
    )
    for keep_older, now in ((False, 9000), (True, 5000)):
        with Archive(saved(tmp_path / "i.tar", own)) as opened:
            time = reproducible.Time(9000, keep_older=keep_older)
            write(opened, tmp_path / "o.tar", time)
        with tarfile.open(tmp_path / "o.tar") as out:
            layer = out.extractfile("0/layer.tar")
            assert layer is not None
            with tarfile.open(fileobj=io.BytesIO(layer.read())) as tar:
                source, *_ = tar.getmembers()
                read = {name: tar.extractfile(name) for name in ("a.pyc", "h.pyc")}
                data = {name: file.read() for name, file in read.items() if file}
        assert source.mtime == now
        assert data == {"a.pyc": compiled(now), "h.pyc": by_hash}


@pytest.mark.parametrize(
    ("history", "copied"),
    [
        ([{"created_by": "/bin/sh -c #(nop) COPY dir:0b1 in /app "}], True),
        ([{"created_by": "/bin/sh -c #(nop)  ADD file:0b1 in / "}], True),
        ([{"created_by": "COPY app /app # buildkit", "comment": "buildkit.dockerfile.v0"}], True),
        ([{"created_by": "/bin/sh -c install-packages nginx"}], False),
        ([{"created_by": "RUN /bin/sh -c cp COPY /x # buildkit"}], False),
        ([{"created_by": "/bin/sh -c #(nop) WORKDIR /app"}], False),
        ([{"created_by": "x", "empty_layer": True}, {"created_by": "RUN x"}], False),
        ([], True),
        ([{}, {}], True),
        (None, True),
        ("x", True),
        ([3], True),
    ],
)
def test_what_is_copied_is_told_by_the_history(tmp_path: Path, history: Any, copied: bool) -> None:
    place = saved(tmp_path / "i.tar", packed(member("a")), config={"history": history})
    with Archive(place) as opened:
        assert opened.copied(0) is copied
