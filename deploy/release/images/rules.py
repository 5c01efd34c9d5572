"""The three rules: nothing is carried in vain, no JDK is inside, only the top layer changes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from deploy.release.images import java
from deploy.release.images.model import Image, Kind
from deploy.release.images.tree import Loss, Lost, Tree
from wharfinger.errors import Finding
from wharfinger.text import quantity

# Of one kind that are named; the others are counted.
NAMED: Final = 12
OVERWRITTEN_BYTES: Final = 1 << 20
SET_ID: Final = 0o6000
ROOT: Final = frozenset(["", "0", "root"])


def faults(tree: Tree, *, below: int, host_java: bool) -> tuple[Finding, ...]:
    """Why an image must not be pushed; nothing when it may.

    Args:
        tree: of the image's layers.
        below: how many of them are those that it was built on: those of others.
        host_java: whether the host's JDK is mounted into its containers.
    """
    return (
        *_deletions(tree, below),
        *_runtimes(tree),
        *(_host_java(tree) if host_java else ()),
    )


def remarks(image: Image, tree: Tree, *, below: int) -> tuple[Finding, ...]:
    """What somebody should know of an image, though it may be pushed; as of `faults`."""
    return (
        *_carried_below(tree, below),
        *_overwritten(tree, below),
        *_set_ids(tree, below),
        *_root(image),
    )


def changed_below(built: Sequence[str], layer: str, expected: Sequence[str]) -> tuple[Finding, ...]:
    """Whether an image stands on exactly the layers that it should; the diff ids of both.

    Args:
        built: of the image, from the lowest.
        layer: name of the image that it should stand on.
        expected: of that one.
    """
    if tuple(built[: len(expected)]) == tuple(expected):
        if len(built) > len(expected):
            return ()
        return (
            Finding(
                "Dockerfile",
                f"brings no layer of its own upon {layer}",
                "COPY the application into it",
            ),
        )
    same = 0
    while same < min(len(built), len(expected)) and built[same] == expected[same]:
        same += 1
    return (
        Finding(
            "Dockerfile",
            f"the image does not stand on {layer}: layer {same + 1} of {len(expected)} is another",
            "begin it with `ARG LAYER` and `FROM ${LAYER}`: that is what it is handed",
        ),
    )


def size_text(size: int) -> str:
    """A number of bytes for people: `1.5 MB`."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":  # noqa: PLR2004 (the step of SI prefixes)
            break
        amount /= 1000
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"  # noqa: PLR2004


def _deletions(tree: Tree, below: int) -> Iterator[Finding]:
    losses = [loss for loss in tree.losses if loss.how is Lost.DELETED and loss.lost_by >= below]
    for loss in _biggest(losses):
        where = "the layers below" if loss.made_by < below else f"layer {loss.made_by + 1}"
        fix = (
            "leave it out where that layer is made"
            if loss.made_by < below
            else "delete it in the RUN that makes it, or make it in another stage"
        )
        yield Finding(
            f"/{loss.path}",
            f"layer {loss.lost_by + 1} deletes what {where} brought: "
            f"{size_text(loss.size)} are carried and never seen",
            fix,
        )
    yield from _others(losses, "deleted by a later layer")


def _runtimes(tree: Tree) -> Iterator[Finding]:
    for found in java.runtimes(tree):
        yield Finding(
            f"/{found.home}",
            f"a Java runtime of {size_text(found.size)} is in layer {found.layer + 1}",
            "leave it out: `java: host` mounts the host's",
        )


def _host_java(tree: Tree) -> Iterator[Finding]:
    missing = java.missing_for_host(tree)
    if missing:
        yield Finding(
            "build.java",
            f"the host's JDK finds in the image no {', '.join(missing)}",
            "build on a layer with glibc, zlib and libstdc++ (wharfinger/java, wharfinger/tomcat)",
        )


def _carried_below(tree: Tree, below: int) -> Iterator[Finding]:
    losses = [loss for loss in tree.losses if loss.how is Lost.DELETED and loss.lost_by < below]
    if losses:
        biggest = max(losses, key=lambda loss: loss.size)
        yield Finding(
            f"/{biggest.path}",
            f"the layers below carry {size_text(sum(loss.size for loss in losses))} "
            f"that they deleted again, in {quantity(len(losses), 'path')}",
            "make them anew, deleting in the RUN that makes it",
        )


def _overwritten(tree: Tree, below: int) -> Iterator[Finding]:
    losses = [
        loss
        for loss in tree.losses
        if loss.how is Lost.OVERWRITTEN and loss.lost_by >= below and loss.size >= OVERWRITTEN_BYTES
    ]
    for loss in _biggest(losses):
        yield Finding(
            f"/{loss.path}",
            f"layer {loss.lost_by + 1} replaces {size_text(loss.size)} of layer {loss.made_by + 1}",
            "a changed owner or mode is a copy, too: set it where the file is made",
        )


def _set_ids(tree: Tree, below: int) -> Iterator[Finding]:
    paths = sorted(
        node.entry.path
        for node in tree.root.walk()
        if node.entry.kind is Kind.FILE and node.entry.mode & SET_ID and node.layer >= below
    )
    if paths:
        named = ", ".join(f"/{path}" for path in paths[:NAMED])
        yield Finding(
            "setuid",
            f"{quantity(len(paths), 'program')} with the right to be its owner or group, whoever"
            f" calls it: {named}",
            "take the bit away (chmod a-s) where it is not needed",
        )


def _root(image: Image) -> Iterator[Finding]:
    if image.user.partition(":")[0] in ROOT:
        yield Finding("USER", "the image runs as root", "say `USER app` at the Dockerfile's end")


def _biggest(losses: Iterable[Loss]) -> list[Loss]:
    return sorted(losses, key=lambda loss: (-loss.size, loss.path))[:NAMED]


def _others(losses: Sequence[Loss], what: str) -> Iterator[Finding]:
    if len(losses) > NAMED:
        rest = sum(loss.size for loss in losses) - sum(loss.size for loss in _biggest(losses))
        more = quantity(len(losses) - NAMED, "more path", "more paths")
        yield Finding("layers", f"{more}, {size_text(rest)}, {what}")
