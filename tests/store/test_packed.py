"""Packed bodies: what is announced and what is not, cut off, and a thousand times its size."""

import gzip
import random
import zlib
from collections.abc import Callable

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.http import packed
from logshipper.store.http.protocols import understood
from logshipper.store.model import TooLarge

TEXT = b"some lines of a log\n" * 500
LIMIT = 2**20


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(1).compress(data)


def zstd_unsized(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor(1, write_content_size=False).compressobj()
    return packer.compress(data) + packer.flush()


PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd, "unsized": zstd_unsized}
Packer = Callable[[bytes], bytes]


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("text", [b"", b"x", TEXT, random.Random(1).randbytes(100_000)])
def test_what_is_packed_comes_out(name: str, text: bytes) -> None:
    body = PACKERS[name](text)
    assert packed.unpacked(body, name) == text
    assert packed.is_packed(body, name)


@pytest.mark.parametrize("name", ["gzip", "zstd", "unsized"])
def test_one_behind_the_other_and_not_announced(name: str) -> None:
    assert packed.unpacked(PACKERS[name](TEXT) + PACKERS[name](b"end"), "") == TEXT + b"end"


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("cut", [0.5, 0.99])
def test_what_is_cut_off_is_no_body(name: str, cut: float) -> None:
    body = PACKERS[name](random.Random(2).randbytes(5_000) + TEXT)
    with pytest.raises(packed.Damaged):
        packed.unpacked(body[: int(len(body) * cut)], name)


@pytest.mark.parametrize("name", PACKERS)
def test_a_bomb_goes_off_in_no_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understood, "MAX_BODY_BYTES", LIMIT)
    whole = b"\0" * LIMIT
    assert packed.unpacked(PACKERS[name](whole), name) == whole
    for bomb in (PACKERS[name](b"\0" * (LIMIT + 1)), PACKERS[name](b"\0" * 30 * LIMIT)):
        with pytest.raises(TooLarge):
            packed.unpacked(bomb, name)


def test_many_streams_of_nothing_take_no_time() -> None:
    with pytest.raises(packed.Damaged, match="streams"):
        packed.unpacked(gzip.compress(b"") * 200_000, "gzip")


def test_a_window_that_nobody_has_memory_for_is_refused() -> None:
    settings = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    with pytest.raises(packed.Damaged):
        packed.unpacked(packer.compress(TEXT) + packer.flush(), "zstd")


def test_plain_text_is_itself_whatever_is_announced() -> None:
    assert packed.unpacked(TEXT, "gzip") == TEXT


def test_snappy() -> None:
    block = bytes(cramjam.snappy.compress_raw(TEXT))
    assert packed.unsnapped(block) == TEXT
    # The header of a block says how much it holds, up to 4 GiB.
    for bad in (b"", block[:-1], b"\xff\xff\xff\xff\x0f", TEXT, b"\x80" * 20):
        with pytest.raises((packed.Damaged, TooLarge)):
            packed.unsnapped(bad)
    with pytest.raises(TooLarge):
        packed.unsnapped(bytes(cramjam.snappy.compress_raw(b"\0" * (32 * 2**20 + 1))))


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "zstd"]))
def test_garbage_is_damaged_or_itself(body: bytes, encoding: str) -> None:
    for start in (b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x78\x9c"):
        try:
            packed.unpacked(start + body, encoding)
        except packed.Damaged:
            continue


@given(st.binary(max_size=200))
def test_garbage_is_no_snappy(body: bytes) -> None:
    try:
        packed.unsnapped(body)
    except (packed.Damaged, TooLarge):
        return
