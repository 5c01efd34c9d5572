"""Opening without following: the system call, and the walk where it is not to be had."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wharfinger.openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    RESOLVE_TIGHT,
    openat2,
    walked,
)

BELOW = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH | RESOLVE_NO_XDEV
WAYS = (openat2, walked)


@pytest.fixture(params=WAYS, ids=["the call", "the walk"])
def way(request: pytest.FixtureRequest) -> Callable[..., int]:
    found: Callable[..., int] = request.param
    return found


def open_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("inside")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a/out").symlink_to("/etc")
    (tmp_path / "a/b/passwd").symlink_to("/etc/passwd")
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    before = open_descriptors()
    yield descriptor
    assert open_descriptors() == before  # none is left open
    os.close(descriptor)


def content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.mark.parametrize("path", ["a/b/file", "./a//b/file"])
@pytest.mark.parametrize("resolve", [RESOLVE_TIGHT, BELOW])
def test_a_plain_path_is_opened(
    way: Callable[..., int], root: int, path: str, resolve: int
) -> None:
    assert content(way(root, path, os.O_RDONLY, resolve=resolve)) == b"inside"


def test_the_folder_itself_is_opened_and_nobody_inherits_it(
    way: Callable[..., int], root: int
) -> None:
    descriptor = way(root, ".", os.O_RDONLY | os.O_DIRECTORY, resolve=BELOW)
    assert os.path.samestat(os.fstat(descriptor), os.fstat(root))
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "flags", "expected"),
    [
        ("link/b/file", os.O_RDONLY, errno.ELOOP),
        ("a/out/passwd", os.O_RDONLY, errno.ELOOP),
        ("a/b/passwd", os.O_RDONLY, errno.ELOOP),
        ("a/out", os.O_RDONLY | os.O_DIRECTORY, errno.ELOOP),
        ("a/none", os.O_RDONLY, errno.ENOENT),
        ("none/file", os.O_RDONLY, errno.ENOENT),
        ("a/b/file/below", os.O_RDONLY, errno.ENOTDIR),
        ("a/b/file", os.O_RDONLY | os.O_DIRECTORY, errno.ENOTDIR),
        ("../etc/passwd", os.O_RDONLY, errno.EXDEV),
        ("/etc/passwd", os.O_RDONLY, errno.EXDEV),
    ],
)
def test_whatever_leads_elsewhere_is_refused(
    way: Callable[..., int], root: int, path: str, flags: int, expected: int
) -> None:
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        way(root, path, flags, resolve=BELOW)
    assert refused.value.errno == expected


def test_a_leading_slash_is_the_root_that_was_given(way: Callable[..., int], root: int) -> None:
    assert content(way(root, "/a/b/file", os.O_RDONLY, resolve=RESOLVE_TIGHT)) == b"inside"


def test_what_is_mounted_below_is_not_entered(way: Callable[..., int]) -> None:
    top = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        for path in ("proc", "proc/self", "proc/version"):
            with pytest.raises(OSError, match=r"\[Errno") as refused:
                way(top, path, os.O_RDONLY, resolve=BELOW)
            assert refused.value.errno == errno.EXDEV
        os.close(way(top, "proc/version", os.O_RDONLY, resolve=RESOLVE_TIGHT))
    finally:
        os.close(top)


def test_a_new_file_is_made_with_its_mode_and_never_through_a_link(
    way: Callable[..., int], root: int, tmp_path: Path
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    os.close(way(root, "a/new", flags, mode=0o600, resolve=RESOLVE_TIGHT | RESOLVE_NO_XDEV))
    assert stat.S_IMODE((tmp_path / "a/new").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        way(root, "a/out", flags, mode=0o600, resolve=RESOLVE_TIGHT)


def test_without_the_call_the_path_is_walked(root: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wharfinger.openat2.SYS_OPENAT2", 2**20)  # ENOSYS
    assert content(openat2(root, "a/b/file", os.O_RDONLY, resolve=BELOW)) == b"inside"
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        openat2(root, "link/b/file", os.O_RDONLY, resolve=BELOW)
    assert refused.value.errno == errno.ELOOP
