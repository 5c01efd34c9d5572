"""Layers laid upon each other: what the container sees, and what it no longer sees but carries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from deploy.release.images.model import Entry, Kind, Layer

# path_resolution(7): Linux follows 40 links in one path, then says ELOOP.
LINKS_FOLLOWED: Final = 40


class Lost(Enum):
    """How a path of a lower layer is no longer seen."""

    DELETED = auto()
    OVERWRITTEN = auto()


@dataclass(frozen=True, slots=True)
class Loss:
    """A path that a later layer took away or replaced; its bytes are in the image all the same.

    Attributes:
        path: from the root, without a slash before it.
        how: deleted, or overwritten by another content.
        size: of what is carried along for nothing, in bytes; of a folder, all that was in it.
        made_by: number of the layer that brought it, from 0.
        lost_by: number of the layer that it ends in.
    """

    path: str
    how: Lost
    size: int
    made_by: int
    lost_by: int


@dataclass(slots=True)
class Node:
    """A path as the container sees it.

    Attributes:
        entry: what stands there.
        layer: number of the layer that brought it, from 0.
        children: of a folder, by name.
    """

    entry: Entry
    layer: int
    children: dict[str, "Node"] = field(default_factory=dict)

    def walk(self) -> Iterator["Node"]:
        """It and all below it."""
        # No recursion: a hostile path has thousands of parts.
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children.values())

    @property
    def size(self) -> int:
        """Of it and all below it, in bytes."""
        return sum(node.entry.size for node in self.walk())


class Tree:
    """The file system of an image.

    Attributes:
        root: the folder at the top.
        losses: what lower layers brought and higher ones took away, in the order of the layers.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.root = Node(Entry("", Kind.FOLDER, mode=0o755), 0)
        self.losses: list[Loss] = []
        for number, layer in enumerate(layers):
            # Wherever they stand in a layer, they are about the layers below it alone (layer.md).
            for path in layer.emptied:
                self._empty(path, number)
            for path in layer.hidden:
                self._hide(path, number)
            for entry in layer.entries:
                self._add(entry, number)

    def find(self, path: str) -> Node | None:
        """What stands at exactly this path; links are not followed."""
        node: Node | None = self.root
        for name in _parts(path):
            if node is None:
                return None
            node = node.children.get(name)
        return node

    def resolve(self, path: str) -> Node | None:
        """What a program in the container finds there; links never lead out of the image."""
        above = [self.root]
        waiting = _parts(path)[::-1]
        links = 0
        while waiting:
            name = waiting.pop()
            if name == "..":
                above = above[:-1] or above
                continue
            node = above[-1].children.get(name)
            if node is None:
                return None
            if node.entry.kind is not Kind.SYMLINK:
                above.append(node)
                continue
            links += 1
            if links > LINKS_FOLLOWED:
                return None
            if node.entry.target.startswith("/"):
                above = [self.root]
            waiting.extend(_parts(node.entry.target)[::-1])
        return above[-1]

    def _empty(self, path: str, number: int) -> None:
        node = self.find(path)
        if node is not None:
            for name in list(node.children):
                self._hide(f"{path}/{name}" if path else name, number)

    def _hide(self, path: str, number: int) -> None:
        above, _, name = path.rpartition("/")
        folder = self.find(above)
        node = folder.children.pop(name, None) if folder else None
        if node is not None:
            self.losses.append(Loss(path, Lost.DELETED, node.size, node.layer, number))

    def _add(self, entry: Entry, number: int) -> None:
        parts = _parts(entry.path)
        if not parts:
            return
        folder = self.root
        for depth, name in enumerate(parts[:-1]):
            node = folder.children.get(name)
            if node is None or node.entry.kind is not Kind.FOLDER:
                node = self._place(folder, Entry("/".join(parts[: depth + 1]), Kind.FOLDER), number)
            folder = node
        self._place(folder, self._named(entry), number)

    def _named(self, entry: Entry) -> Entry:
        """A further name of a file has its content, too, but brings no bytes."""
        first = self.find(entry.same_as) if entry.same_as else None
        if first is None:
            return entry
        return replace(first.entry, path=entry.path, size=0)

    def _place(self, folder: Node, entry: Entry, number: int) -> Node:
        name = entry.path.rpartition("/")[2]
        before = folder.children.get(name)
        if before is None:
            folder.children[name] = Node(entry, number)
        elif before.entry.kind is Kind.FOLDER and entry.kind is Kind.FOLDER:
            before.entry = entry
        else:
            if before.layer != number:
                gone = before.entry.kind is Kind.FOLDER
                how = Lost.DELETED if gone else Lost.OVERWRITTEN
                self.losses.append(Loss(entry.path, how, before.size, before.layer, number))
            folder.children[name] = Node(entry, number)
        return folder.children[name]


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
