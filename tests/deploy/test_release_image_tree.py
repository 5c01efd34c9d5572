"""Layers upon each other: what is seen, what is carried in vain, where links lead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.images.model import Entry, Kind, Layer
from deploy.release.images.tree import Loss, Lost, Tree


def file(path: str, size: int = 10) -> Entry:
    return Entry(path, Kind.FILE, size)


def folder(path: str) -> Entry:
    return Entry(path, Kind.FOLDER)


def link(path: str, target: str) -> Entry:
    return Entry(path, Kind.SYMLINK, target=target)


def layer(*entries: Entry, hidden: tuple[str, ...] = (), emptied: tuple[str, ...] = ()) -> Layer:
    return Layer("sha256:" + "0" * 64, entries, hidden, emptied)


def paths(tree: Tree) -> set[str]:
    return {node.entry.path for node in tree.root.walk() if node.entry.kind is Kind.FILE}


def test_a_hidden_path_is_gone_with_all_below_it_and_carried_all_the_same() -> None:
    tree = Tree(
        [
            layer(folder("var"), folder("var/lists"), file("var/lists/a", 30), file("var/b", 1)),
            layer(folder("var"), hidden=("var/lists",)),
        ]
    )
    assert paths(tree) == {"var/b"}
    assert tree.losses == [Loss("var/lists", Lost.DELETED, 30, 0, 1)]


def test_an_emptied_folder_keeps_what_its_own_layer_brings() -> None:
    tree = Tree(
        [
            layer(file("app/old", 5), file("app/deep/older", 7)),
            layer(file("app/new", 1), emptied=("app",)),
        ]
    )
    assert paths(tree) == {"app/new"}
    assert {(loss.path, loss.size) for loss in tree.losses} == {("app/old", 5), ("app/deep", 7)}


def test_a_path_that_is_made_anew_where_it_is_hidden_stays() -> None:
    tree = Tree([layer(file("a", 5)), layer(file("a", 6), hidden=("a",))])
    assert paths(tree) == {"a"}
    assert tree.losses == [Loss("a", Lost.DELETED, 5, 0, 1)]


def test_hiding_what_never_was_is_nothing() -> None:
    tree = Tree([layer(file("a")), layer(hidden=("b", "c/d", "a/e"), emptied=("f",))])
    assert paths(tree) == {"a"}
    assert tree.losses == []


def test_a_file_written_again_is_overwritten_and_a_folder_is_not() -> None:
    tree = Tree([layer(folder("etc"), file("etc/a", 5)), layer(folder("etc"), file("etc/a", 6))])
    assert tree.losses == [Loss("etc/a", Lost.OVERWRITTEN, 5, 0, 1)]


def test_a_folder_that_becomes_a_link_takes_its_content_along() -> None:
    tree = Tree([layer(file("lib/a", 5)), layer(link("lib", "usr/lib"))])
    assert tree.losses == [Loss("lib", Lost.DELETED, 5, 0, 1)]


def test_a_further_name_of_a_file_brings_no_bytes_and_has_its_content() -> None:
    first = Entry("a", Kind.FILE, 9, head=b"head")
    tree = Tree([layer(first, Entry("b", Kind.FILE, same_as="a"))])
    again = tree.resolve("b")
    assert again is not None
    assert again.entry == Entry("b", Kind.FILE, 0, head=b"head")
    assert tree.root.size == 9


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("usr/lib/a", "usr/lib/a"),
        ("lib/a", "usr/lib/a"),
        ("absolute/a", "usr/lib/a"),
        ("up/a", "usr/lib/a"),
        ("far/a", "usr/lib/a"),
        ("usr/../lib/./a", "usr/lib/a"),
        ("loop/a", None),
        ("lib/b", None),
        ("lib/a/b", None),
        ("dangling", None),
    ],
)
def test_links_are_followed_and_never_lead_out(path: str, found: str | None) -> None:
    tree = Tree(
        [
            layer(
                file("usr/lib/a"),
                link("lib", "usr/lib"),
                link("absolute", "/usr/lib"),
                link("up", "../../usr/lib"),
                link("far", "/" + "../" * 30 + "lib"),
                link("loop", "loop2"),
                link("loop2", "/loop"),
                link("dangling", "/etc/passwd"),
            )
        ]
    )
    node = tree.resolve(path)
    assert (node.entry.path if node else None) == found


def test_a_path_of_thousands_of_parts_is_walked() -> None:
    deep = "/".join("d" * 2000)
    tree = Tree([layer(file(f"{deep}/f", 3)), layer(hidden=("d",))])
    assert tree.losses[0].size == 3


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), PATHS, st.integers(1, 50)),
        st.tuples(st.just("delete"), PATHS, st.just(0)),
        st.tuples(st.just("empty"), PATHS, st.just(0)),
    ),
    max_size=6,
)


@given(st.lists(STEPS, max_size=5))
def test_what_is_seen_and_what_is_lost_is_all_that_was_brought(
    layers: list[list[tuple[str, str, int]]],
) -> None:
    """Held against a file system of one dictionary: the paths of files, and their sizes."""
    seen: dict[str, int] = {}
    made: list[Layer] = []
    for steps in layers:
        hidden = tuple(path for kind, path, _ in steps if kind == "delete")
        emptied = tuple(path for kind, path, _ in steps if kind == "empty")
        for path in hidden:
            seen = {k: v for k, v in seen.items() if k != path and not k.startswith(f"{path}/")}
        for path in emptied:
            seen = {k: v for k, v in seen.items() if not k.startswith(f"{path}/")}
        written: dict[str, int] = {}
        for kind, path, size in steps:
            # One layer brings a path once, and no file where it brings a folder.
            clash = any(
                other == path or other.startswith(f"{path}/") or path.startswith(f"{other}/")
                for other in written
            )
            if kind == "write" and not clash:
                written[path] = size
        for path, size in written.items():
            above = {path[:i] for i, c in enumerate(path) if c == "/"}
            seen = {
                k: v
                for k, v in seen.items()
                if k not in above and k != path and not k.startswith(f"{path}/")
            }
            seen[path] = size
        made.append(
            layer(*(file(*each) for each in written.items()), hidden=hidden, emptied=emptied)
        )
    tree = Tree(made)
    assert {n.entry.path: n.entry.size for n in tree.root.walk() if n.entry.size} == seen
    brought = sum(entry.size for each in made for entry in each.entries)
    assert brought == tree.root.size + sum(loss.size for loss in tree.losses)
