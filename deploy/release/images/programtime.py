"""How old an image's programs are: a time that is the same whenever it is built."""

from typing import Final

from deploy.release.images.model import Entry, Kind
from deploy.release.images.tree import Tree

# Beside programs of packages, but of a working copy.
STARTERS: Final = ("with-port", "port-answers")


def newest_program(tree: Tree) -> int:
    """When the newest program or library in it was made, in seconds since 1970.

    That is said by its package, and the same whenever it is installed: unlike what a package's
    installation writes, which is as old as the image.
    """
    return max((node.entry.time for node in tree.root.walk() if _packaged(node.entry)), default=0)


def _packaged(entry: Entry) -> bool:
    if entry.kind is not Kind.FILE or entry.path.rpartition("/")[2] in STARTERS:
        return False
    if entry.path.startswith(("bin/", "sbin/", "usr/bin/", "usr/sbin/")):
        return True
    return ".so" in entry.path and entry.path.startswith(("lib", "usr/lib"))
