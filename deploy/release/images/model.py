"""What an image is made of, as its layers' listings and its configuration say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What stands at a path."""

    FILE = auto()
    FOLDER = auto()
    SYMLINK = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer.

    Attributes:
        path: from the root, without a slash before it.
        kind: what stands there.
        size: of its content, in bytes; 0 for a further name of a file.
        mode: permission bits, with setuid and setgid.
        time: of its last change, in seconds since 1970.
        target: of a symbolic link.
        same_as: path of the file that this is a further name of (a hard link); empty for none.
        head: the first bytes of a file that a rule looks into.
    """

    path: str
    kind: Kind
    size: int = 0
    mode: int = 0o644
    time: int = 0
    target: str = ""
    same_as: str = ""
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, as its tar lists it (OCI image specification, layer.md).

    Attributes:
        diff_id: `sha256:...` of the tar.
        entries: in its order.
        hidden: paths of layers below that it takes away (`.wh.NAME`).
        emptied: folders whose content below it takes away (`.wh..wh..opq`).
        size: of the tar, in bytes.
        packed_size: of the tar as a push sends it; None where nobody packed it.
    """

    diff_id: str
    entries: tuple[Entry, ...] = ()
    hidden: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    size: int = 0
    packed_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image as it was read.

    Attributes:
        id: `sha256:...` of its configuration.
        layers: from the lowest.
        user: that it runs as; empty for root.
        entrypoint: what is run before the command.
        labels: of its configuration.
    """

    id: str
    layers: tuple[Layer, ...]
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Of its layers, from the lowest."""
        return tuple(layer.diff_id for layer in self.layers)
