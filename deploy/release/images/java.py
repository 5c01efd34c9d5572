"""Java in an image: a runtime of its own, and what the host's runtime would need there."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from deploy.release.images.model import Kind
from deploy.release.images.tree import Node, Tree

# Which loader a JDK of a machine asks for (its PT_INTERP), by the machine's number in ELF files.
LOADERS: Final = {
    62: "lib64/ld-linux-x86-64.so.2",
    183: "lib/ld-linux-aarch64.so.1",
    21: "lib64/ld64.so.2",
    22: "lib/ld64.so.1",
    243: "lib/ld-linux-riscv64-lp64d.so.1",
}
# libjvm.so and libjava.so of Debian's and of Temurin's JDK 17 and 25 ask for these.
LIBRARIES: Final = ("libc.so.6", "libm.so.6", "libz.so.1", "libstdc++.so.6", "libgcc_s.so.1")
LOADER: Final = "/lib*/ld-linux* (the loader of glibc)"
HEAD_BYTES: Final = 20
_FOLDERS: Final = ("lib", "lib64", "usr/lib", "usr/lib64")
_JVM: Final = "libjvm.so"
# Where a whole system lies beside it, a folder's size says nothing of Java.
_SHARED: Final = frozenset(["", "usr", "usr/local", "opt"])


def looked_into(path: str) -> bool:
    """Whether the first bytes of the file at this path are asked for here."""
    name = path.rpartition("/")[2]
    return ".so" in name or name.startswith("ld-")


@dataclass(frozen=True, slots=True)
class Runtime:
    """A Java runtime in an image.

    Attributes:
        home: its folder, from the root, without a slash before it.
        size: in bytes.
        layer: number of the layer that brought it, from 0.
    """

    home: str
    size: int
    layer: int


def runtimes(tree: Tree) -> tuple[Runtime, ...]:
    """The Java runtimes that a container would see, by their folders; a JRE in a JDK is one."""
    found: dict[str, Runtime] = {}
    for node in tree.root.walk():
        home = _home(tree, node)
        if home is None or home in found:
            continue
        folder = tree.find(home)
        size = node.entry.size if home in _SHARED or folder is None else folder.size
        found[home] = Runtime(home, size, node.layer)
    return tuple(
        found[home]
        for home in sorted(found)
        if not any(home.startswith(f"{other}/") for other in found if other)
    )


def _home(tree: Tree, node: Node) -> str | None:
    if node.entry.kind is not Kind.FILE:
        return None
    parts = node.entry.path.split("/")
    if parts[-1] == _JVM:
        # HOME/lib/server/libjvm.so, HOME/jre/lib/amd64/server/libjvm.so
        above = len(parts) - 1
        while above > 0 and parts[above - 1] != "lib":
            above -= 1
        return "/".join(parts[: above - 1]) if above else "/".join(parts[:-1])
    if parts[-2:] == ["bin", "java"]:
        home = "/".join(parts[:-2])
        beside = ("release", "lib/modules", "lib/rt.jar", "jre/lib/rt.jar", "jmods")
        if any(tree.find(f"{home}/{each}") for each in beside):
            return home
    return None


def missing_for_host(tree: Tree) -> tuple[str, ...]:
    """What a JDK of the host would not find in the image: the loader, libraries; by their paths.

    A library of another machine than the loader's counts as missing.
    """
    machine = next(_loaders(tree), None)
    if machine is None:
        return (LOADER, *LIBRARIES)
    return tuple(
        library
        for library in LIBRARIES
        if not any(_machine(node) == machine for node in _libraries(tree, library))
    )


def _loaders(tree: Tree) -> Iterator[int]:
    """The machines whose loader is there."""
    for machine, path in LOADERS.items():
        node = tree.resolve(path)
        if node is not None and _machine(node) == machine:
            yield machine


def _libraries(tree: Tree, name: str) -> Iterator[Node]:
    for folder in _FOLDERS:
        place = tree.resolve(folder)
        if place is None:
            continue
        # Debian's folders of an architecture: usr/lib/x86_64-linux-gnu
        beside = [f"{folder}/{each}" for each in place.children if each.endswith("-linux-gnu")]
        for path in (folder, *beside):
            node = tree.resolve(f"{path}/{name}")
            if node is not None:
                yield node


def _machine(node: Node) -> int | None:
    """For which machine an ELF file is (elf(5), e_machine); None when it is none."""
    head = node.entry.head
    if node.entry.kind is not Kind.FILE or len(head) < HEAD_BYTES or head[:4] != b"\x7fELF":
        return None
    order = {1: "<", 2: ">"}.get(head[5])
    return struct.unpack_from(f"{order}H", head, 18)[0] if order else None
