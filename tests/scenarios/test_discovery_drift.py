"""What a file of discovery's can become behind its back, and how soon it is put right."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.discovery import DiscoveryStack
from tests.stack.faults import SHOP, Measured, Record

pytestmark = [pytest.mark.real, pytest.mark.scenario, pytest.mark.timeout(300)]


@pytest.fixture
def measured(discovery_stack: DiscoveryStack, record_property: Record) -> Measured:
    return Measured(discovery_stack, record_property)


def edited(dest: Path) -> None:
    dest.write_text("# by hand\n")


def emptied(dest: Path) -> None:
    dest.write_bytes(b"")


def deleted(dest: Path) -> None:
    dest.unlink()


def opened_to_all(dest: Path) -> None:
    dest.chmod(0o666)


def given_away(dest: Path) -> None:
    os.chown(dest, 1, 1)


def linked(dest: Path) -> None:
    elsewhere = dest.with_name("elsewhere")
    shutil.copy(dest, elsewhere)
    dest.unlink()
    dest.symlink_to(elsewhere)


def linked_nowhere(dest: Path) -> None:
    dest.unlink()
    dest.symlink_to(dest)


def linked_to_no_end(dest: Path) -> None:
    dest.unlink()
    dest.symlink_to("/dev/zero")


def a_pipe(dest: Path) -> None:
    dest.unlink()
    os.mkfifo(dest)


def a_folder(dest: Path) -> None:
    dest.unlink()
    dest.mkdir()


@pytest.mark.parametrize(
    "drift",
    [
        edited, emptied, deleted, opened_to_all, given_away, linked, linked_nowhere,
        linked_to_no_end, a_pipe, a_folder,
    ],
)  # fmt: skip
async def test_a_file_drifts(measured: Measured, drift: Callable[[Path], None]) -> None:
    stack = measured.stack
    dest = stack.write_resource("app", "{{ getv('/key') }}", mode="0640", uid=0, gid=0)
    await stack.etcd.put("/key", b"right")
    await stack.start()
    drift(dest)

    async def repaired() -> bool:
        there = dest.lstat()
        return dest.is_file() and not dest.is_symlink() and dest.read_text() == "right" and (
            there.st_mode & 0o7777, there.st_uid, there.st_gid
        ) == (0o640, 0, 0)  # fmt: skip

    await measured.until(repaired, "repaired_seconds")
    # Whatever stands there, the built-in resource is not held up.
    only = await stack.backends.start()
    await stack.put("shop_prod", only, **SHOP)
    await measured.until(lambda: stack.serves(only), "other_resource_live_seconds")
    await stack.until(stack.healthy, "it is healthy")
