"""What an engine left behind is looked for in tables that any user of mounts can write into."""

from pathlib import Path

from wharfinger.operator.parts.leftovers import mounts_below

LINE = "36 35 0:40 / {} rw - tmpfs none rw\n"


def test_no_name_of_a_mount_passes_for_the_end_of_a_line(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    names = ("/x/a", "/x/a\rb", "/x/c\x85d", "/y\r1 2 0:40 / /x/forged")
    table.write_bytes("".join(LINE.format(name) for name in names).encode())
    assert mounts_below(Path("/x"), table) == [Path("/x/c\x85d"), Path("/x/a\rb"), Path("/x/a")]


def test_blanks_in_names_are_what_they_were(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(
        LINE.format("/x/a\\040b\\012c").encode() + b"36 35 0:40 / /\xff rw - t n rw\n"
    )
    assert mounts_below(Path("/x"), table) == [Path("/x/a b\nc")]
