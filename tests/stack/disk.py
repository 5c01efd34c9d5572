"""What a disk may hold after a power cut, given the calls that were made: worst cases, by rule."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from tests.stack.calls import (
    Call,
    Closed,
    Made,
    Opened,
    Renamed,
    Resized,
    Restarted,
    Synced,
    Unlinked,
    Wrote,
)

SECTOR: Final = 512

# What is found after a crash: for each path below the root its content, None for a folder.
Image = Mapping[str, bytes | None]


@dataclass(slots=True, eq=False)
class _File:
    """A file: what is on the disk, what a process reads, and the changes that are between.

    What a failed sync let go of may be on the disk or not, and no later sync makes up for it
    (fsync(2) reports an error once; the pages are clean then). So from the first of these on
    `history` has all changes in order, each with whether it is known to be on the disk.
    """

    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    pending: list["_Change"] = field(default_factory=list)
    before: bytes = b""
    history: list[tuple["_Change", bool]] = field(default_factory=list)

    def change(self, change: "_Change") -> None:
        self.pending.append(change)
        change.apply(self.cached)

    def sync(self, *, failed: bool) -> None:
        if failed and not self.history:
            self.before = bytes(self.durable)
        if failed or self.history:
            self.history += [(change, not failed) for change in self.pending]
        if not failed:
            for change in self.pending:
                change.apply(self.durable)
        self.pending = []

    def torn(self, dice: random.Random, kept: float) -> bytearray:
        """Its content if chance decides, sector by sector."""
        found = bytearray(self.before if self.history else self.durable)
        for change, certain in (*self.history, *((change, False) for change in self.pending)):
            if certain:
                change.apply(found)
                continue
            if change.data is not None and dice.random() < kept / 2:
                # The new size is there before the data is.
                end = change.offset + len(change.data)
                found.extend(bytes(max(0, end - len(found))))
            for part in change.sectors():
                if dice.random() < kept:
                    part.apply(found)
        return found


@dataclass(frozen=True, slots=True)
class _Change:
    """A write, or a new size where `data` is None."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
            return
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def sectors(self) -> Iterator["_Change"]:
        """The parts of it that a disk writes or does not write as one."""
        if self.data is None:
            yield self
            return
        at = self.offset
        end = at + len(self.data)
        while at < end:
            until = min(end, (at // SECTOR + 1) * SECTOR)
            yield _Change(at, self.data[at - self.offset : until - self.offset])
            at = until


@dataclass(slots=True, eq=False)
class _Folder:
    """A folder: its names on the disk, its names for a process, and the changes between."""

    durable: dict[str, "_Node"] = field(default_factory=dict)
    cached: dict[str, "_Node"] = field(default_factory=dict)
    pending: list["_Naming"] = field(default_factory=list)

    def change(self, naming: "_Naming") -> None:
        self.pending.append(naming)
        naming.apply(self.cached)

    def sync(self) -> None:
        for naming in self.pending:
            naming.apply(self.durable)
        self.pending = []


_Node = _File | _Folder


@dataclass(frozen=True, slots=True)
class _Naming:
    """Names that come or go (None) at once."""

    names: Mapping[str, _Node | None]

    def apply(self, names: dict[str, _Node]) -> None:
        for name, node in self.names.items():
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node


class Disk:
    """A folder on a disk that keeps only what it was made to keep.

    Args:
        root: the folder; calls that name other paths do not concern it.
    """

    def __init__(self, root: str) -> None:
        self._base = PurePosixPath(root)
        self._root = _Folder()
        self._open: dict[int, _Node] = {}
        self._places: dict[int, int] = {}

    def apply(self, call: Call) -> bool:
        """Takes one call, in the order in which they were made; says whether it concerns us."""
        if isinstance(call, Closed | Wrote | Resized | Synced):
            if call.descriptor not in self._open:
                return False
        elif not isinstance(call, Restarted):
            path = call.old if isinstance(call, Renamed) else call.path
            if not PurePosixPath(path).is_relative_to(self._base):
                if isinstance(call, Opened):
                    self._open.pop(call.descriptor, None)
                return False
        self._take(call)
        return True

    def _take(self, call: Call) -> None:
        match call:
            case Opened():
                self._opened(call)
            case Closed(descriptor):
                del self._open[descriptor]
            case Wrote(descriptor, data, offset):
                self._wrote(descriptor, data, offset)
            case Resized() | Synced():
                self._settled(call)
            case Unlinked(path):
                self._name(path, None)
            case Renamed(old, new):
                self._renamed(old, new)
            case Made(path):
                self._name(path, _Folder())
            case Restarted():
                self._open.clear()

    def cached(self) -> Image:
        """What is found if the process alone is killed, or a kind disk had written all."""
        return dict(_listed(self._root, lambda folder: folder.cached, lambda file: file.cached))

    def durable(self) -> Image:
        """What is found if nothing reached the disk but what was synced, names and content."""
        return dict(_listed(self._root, lambda folder: folder.durable, lambda file: file.durable))

    def names_ahead(self) -> Image:
        """What is found if names reached the disk at once, content only when it was synced."""
        return dict(_listed(self._root, lambda folder: folder.cached, lambda file: file.durable))

    def content_ahead(self) -> Image:
        """What is found if content reached the disk at once, names only when they were synced."""
        return dict(_listed(self._root, lambda folder: folder.durable, lambda file: file.cached))

    def torn(self, dice: random.Random) -> Image:
        """What is found if chance decides of each name and sector that was not synced."""
        kept = dice.choice((0.1, 0.5, 0.9))

        def names(folder: _Folder) -> dict[str, _Node]:
            found = dict(folder.durable)
            for naming in folder.pending:
                if dice.random() < kept:
                    naming.apply(found)
            return found

        def content(file: _File) -> bytearray:
            return file.torn(dice, kept)

        return dict(_listed(self._root, names, content))

    def _opened(self, call: Opened) -> None:
        node = self._node(call.path)
        place = self._place(call.path)
        if node is None and call.create and place is not None:
            node = _File()
            place[0].change(_Naming({place[1]: node}))
        if node is None:
            self._open.pop(call.descriptor, None)
            return
        self._open[call.descriptor] = node
        if isinstance(node, _File):
            if call.truncate and node.cached:
                node.change(_Change(0, None))
            self._places[call.descriptor] = len(node.cached) if call.append else 0

    def _wrote(self, descriptor: int, data: bytes, offset: int | None) -> None:
        file = self._open.get(descriptor)
        if not isinstance(file, _File):
            return
        at = self._places[descriptor] if offset is None else offset
        file.change(_Change(at, data))
        if offset is None:
            self._places[descriptor] = at + len(data)

    def _settled(self, call: Resized | Synced) -> None:
        node = self._open[call.descriptor]
        match node, call:
            case _File(), Synced(_, failed):
                node.sync(failed=failed)
            case _File(), Resized(_, size, grow):
                if not (grow and size <= len(node.cached)):
                    node.change(_Change(size, None))
            case _Folder(), Synced(_, False):
                node.sync()

    def _name(self, path: str, node: "_Node | None") -> None:
        if place := self._place(path):
            place[0].change(_Naming({place[1]: node}))

    def _renamed(self, old: str, new: str) -> None:
        source, target, node = self._place(old), self._place(new), self._node(old)
        if source is None or target is None or node is None:
            raise ValueError(f"a rename between this disk and another: {old}, {new}")
        if source[0] is not target[0]:
            raise ValueError(f"a rename between folders: {old}, {new}")
        source[0].change(_Naming({source[1]: None, target[1]: node}))

    def _node(self, path: str) -> _Node | None:
        """What a process finds at a path; None for nothing, and for what is not below the root."""
        if not PurePosixPath(path).is_relative_to(self._base):
            return None
        node: _Node | None = self._root
        for part in PurePosixPath(path).relative_to(self._base).parts:
            node = node.cached.get(part) if isinstance(node, _Folder) else None
        return node

    def _place(self, path: str) -> tuple[_Folder, str] | None:
        """The folder of a path, and its name there."""
        parent = self._node(str(PurePosixPath(path).parent))
        return (parent, PurePosixPath(path).name) if isinstance(parent, _Folder) else None


def _listed(
    folder: _Folder,
    names: Callable[[_Folder], Mapping[str, _Node]],
    content: Callable[[_File], bytearray],
    above: str = "",
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in names(folder).items():
        path = f"{above}{name}"
        if isinstance(node, _File):
            yield path, bytes(content(node))
        else:
            yield path, None
            yield from _listed(node, names, content, f"{path}/")
