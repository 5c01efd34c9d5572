"""The three rules of an image, and what is only remarked."""

import struct

import pytest

from deploy.release.images import java, rules
from deploy.release.images.model import Entry, Image, Kind, Layer
from deploy.release.images.tree import Tree

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
AMD64, ARM64 = 62, 183


def elf(path: str, machine: int = AMD64) -> Entry:
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine)
    return Entry(path, Kind.FILE, 100, head=head)


def file(path: str, size: int = 10, mode: int = 0o644) -> Entry:
    return Entry(path, Kind.FILE, size, mode)


def link(path: str, target: str) -> Entry:
    return Entry(path, Kind.SYMLINK, target=target)


def image(*layers: tuple[Entry, ...] | Layer, user: str = "app") -> Image:
    made = [
        each if isinstance(each, Layer) else Layer(f"sha256:{number:064}", each)
        for number, each in enumerate(layers)
    ]
    return Image(id="sha256:" + "0" * 64, layers=tuple(made), user=user)


def faults(built: Image, *, below: int = 1, host_java: bool = False) -> list[str]:
    found = rules.faults(Tree(built.layers), below=below, host_java=host_java)
    return [str(each) for each in found]


def remarks(built: Image, *, below: int = 1) -> list[str]:
    return [str(each) for each in rules.remarks(built, Tree(built.layers), below=below)]


# Debian's, with its /lib moved into /usr.
GLIBC = (
    link("lib", "usr/lib"),
    link("lib64", "usr/lib64"),
    link("usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
    elf("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
    elf("usr/lib/x86_64-linux-gnu/libc.so.6"),
    elf("usr/lib/x86_64-linux-gnu/libm.so.6"),
    link("usr/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1.2.13"),
    elf("usr/lib/x86_64-linux-gnu/libz.so.1.2.13"),
    elf("usr/lib/x86_64-linux-gnu/libstdc++.so.6"),
    elf("usr/lib/x86_64-linux-gnu/libgcc_s.so.1"),
)


def test_an_image_that_keeps_the_rules_has_no_fault() -> None:
    assert faults(image(GLIBC, (file("app/app.jar"),)), host_java=True) == []
    assert remarks(image(GLIBC, (file("app/app.jar"),))) == []


def test_a_deletion_of_what_an_own_layer_made_is_named_with_its_bytes_and_the_fix() -> None:
    deleting = Layer("sha256:" + "9" * 64, (), hidden=("var/lib/apt/lists",))
    built = image((file("etc/os"),), (file("var/lib/apt/lists/x", 165_000_000),), deleting)
    assert faults(built) == [
        (
            "/var/lib/apt/lists: layer 3 deletes what layer 2 brought: 165 MB are carried and "
            "never seen; delete it in the RUN that makes it, or make it in another stage"
        )
    ]


def test_a_deletion_of_what_the_layers_below_brought_is_one_too() -> None:
    built = image((file("etc/os", 2),), Layer("sha256:" + "9" * 64, (), hidden=("etc/os",)))
    assert faults(built) == [
        (
            "/etc/os: layer 2 deletes what the layers below brought: 2 B are carried and never "
            "seen; leave it out where that layer is made"
        )
    ]


def test_what_the_layers_below_deleted_among_themselves_is_remarked() -> None:
    deleting = Layer("sha256:" + "9" * 64, (), hidden=("etc/os",))
    built = image((file("etc/os", 2_000_000),), deleting, (file("app"),))
    assert faults(built, below=2) == []
    assert "carry 2 MB that they deleted again" in remarks(built, below=2)[0]


def test_of_many_deletions_the_biggest_are_named_and_the_others_counted() -> None:
    many = tuple(file(f"a{number:02}", number) for number in range(40))
    deleting = Layer("sha256:" + "9" * 64, (), hidden=tuple(entry.path for entry in many))
    found = faults(image((), many, deleting))
    assert len(found) == rules.NAMED + 1
    assert found[0].startswith("/a39: ")
    assert found[-1] == "layers: 28 more paths, 378 B, deleted by a later layer"


@pytest.mark.parametrize(
    ("entries", "home"),
    [
        ((file("opt/jdk/bin/java"), file("opt/jdk/release")), "/opt/jdk"),
        ((file("opt/jdk/bin/java"), file("opt/jdk/lib/modules")), "/opt/jdk"),
        ((file("opt/jre/lib/server/libjvm.so"),), "/opt/jre"),
        ((file("opt/j8/jre/lib/amd64/server/libjvm.so"), file("opt/j8/bin/java")), "/opt/j8/jre"),
        ((file("usr/lib/jvm/java-17/lib/server/libjvm.so"),), "/usr/lib/jvm/java-17"),
    ],
)
def test_a_java_runtime_is_refused_whoever_brought_it(
    entries: tuple[Entry, ...], home: str
) -> None:
    for built in (image(entries, (file("app"),)), image((), entries)):
        [found] = faults(built)
        assert found.startswith(f"{home}: a Java runtime of ")
        assert found.endswith("; leave it out: `java: host` mounts the host's")


def test_a_jre_in_a_jdk_is_one_runtime() -> None:
    entries = (
        file("j/bin/java"),
        file("j/release"),
        file("j/jre/bin/java"),
        file("j/jre/lib/rt.jar"),
        file("j/jre/lib/amd64/server/libjvm.so"),
    )
    found = java.runtimes(Tree(image(entries).layers))
    assert [(each.home, each.size) for each in found] == [("j", 50)]


def test_what_only_leads_to_java_or_is_called_so_is_no_runtime() -> None:
    built = image(
        (),
        (link("usr/bin/java", "/opt/jdk/bin/java"), file("app/bin/java"), file("app/release.txt")),
    )
    assert faults(built) == []


def test_without_glibc_the_hosts_java_is_refused() -> None:
    [found] = faults(image((file("bin/busybox"),), (file("app"),)), host_java=True)
    assert "finds in the image no /lib*/ld-linux* (the loader of glibc), libc.so.6" in found


@pytest.mark.parametrize(
    ("entries", "missing"),
    [
        (tuple(each for each in GLIBC if "libz" not in each.path), ("libz.so.1",)),
        # A link out of the image, to what the builder's own machine has.
        (
            (
                *GLIBC[:-2],
                link("usr/lib/libstdc++.so.6", "/usr/lib/host/libstdc++.so.6"),
                GLIBC[-1],
            ),
            ("libstdc++.so.6",),
        ),
        # A text of that name, and a library of another machine.
        ((*GLIBC[:-1], file("usr/lib/libgcc_s.so.1")), ("libgcc_s.so.1",)),
        ((*GLIBC[:-1], elf("usr/lib/libgcc_s.so.1", ARM64)), ("libgcc_s.so.1",)),
        ((*GLIBC[:3], elf(GLIBC[3].path, ARM64), *GLIBC[4:]), (java.LOADER, *java.LIBRARIES)),
    ],
    ids=["absent", "link outside", "text", "another machine", "loader of another machine"],
)
def test_a_library_that_java_cannot_load_is_missing(
    entries: tuple[Entry, ...], missing: tuple[str, ...]
) -> None:
    assert java.missing_for_host(Tree(image(entries).layers)) == missing


def test_libraries_beside_each_other_serve_as_well() -> None:
    flat = tuple(elf(f"lib/{name}", ARM64) for name in (*java.LIBRARIES, "ld-linux-aarch64.so.1"))
    assert java.missing_for_host(Tree(image(flat).layers)) == ()


def test_only_the_top_may_change() -> None:
    assert rules.changed_below([A, B, C], "tomcat", [A, B]) == ()
    [other] = rules.changed_below([A, C], "tomcat", [A, B])
    assert "does not stand on tomcat: layer 2 of 2 is another" in str(other)
    [shorter] = rules.changed_below([A], "tomcat", [A, B])
    assert "layer 2 of 2 is another" in str(shorter)
    [nothing] = rules.changed_below([A, B], "tomcat", [A, B])
    assert "brings no layer of its own" in str(nothing)


def test_big_files_that_are_written_again_are_remarked() -> None:
    built = image(
        (file("srv/big", 5 << 20), file("srv/small")), (file("srv/big"), file("srv/small"))
    )
    assert faults(built) == []
    [found] = remarks(built)
    assert found.startswith("/srv/big: layer 2 replaces 5.24 MB of layer 1")


def test_programs_with_anothers_rights_and_root_are_remarked() -> None:
    built = image((file("bin/su", mode=0o4755),), (file("app/tool", mode=0o2755),), user="0:0")
    found = remarks(built)
    assert found[0].startswith("setuid: 1 program with the right to be its owner or group")
    assert "/app/tool" in found[0]
    assert found[1] == "USER: the image runs as root; say `USER app` at the Dockerfile's end"
    assert "/bin/su" in remarks(built, below=0)[0]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (92_200_000, "92.2 MB"),
        (5 * 10**12, "5000 GB"),
    ],
)
def test_sizes_are_told_for_people(size: int, text: str) -> None:
    assert rules.size_text(size) == text
