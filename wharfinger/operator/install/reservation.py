"""The list of ports that the kernel gives to no outgoing connection, and the file that sets it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from wharfinger.errors import Finding, Rejected
from wharfinger.operator.install.model import File

KEY: Final = "net.ipv4.ip_local_reserved_ports"
FOLDER: Final = "/etc/sysctl.d"
PATH: Final = f"{FOLDER}/60-wharfinger.conf"
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
HEAD: Final = """\
# Ports that the registrar gives to containers: no outgoing connection shall take one of them.
# What other files here reserve is in the list as well, because the last file counts alone.
"""


def file(port_range: str, reserving: Mapping[str, str]) -> File:
    """The file that reserves a range from the next boot on.

    Args:
        port_range: FIRST-LAST.
        reserving: what each file sets, in the order in which they are read.

    Raises:
        Rejected: another file's list cannot be read.
    """
    others = [text for path, text in reserving.items() if path != PATH]
    text = f"{HEAD}{KEY} = {union([*others, port_range])}\n"
    return File(PATH, text.encode(), f"reserves ports {port_range}", "written", "host")


def later(port_range: str, reserving: Mapping[str, str]) -> Iterator[Finding]:
    """What a file that is read after ours takes out of the list again."""
    paths = [*reserving]
    after = [path for path in paths if path.rpartition("/")[2] > PATH.rpartition("/")[2]]
    if after and not covers(reserving[after[-1]], port_range):
        yield Finding(
            after[-1],
            f"sets {KEY} after {PATH}, without {port_range}",
            f"write there: {KEY} = {union([reserving[after[-1]], port_range])}",
        )


def union(texts: Iterable[str]) -> str:
    """Lists of ports as one list, sorted, without overlaps.

    Raises:
        Rejected: one of them is no such list (Documentation/networking/ip-sysctl).
    """
    joined: list[tuple[int, int]] = []
    for first, last in sorted(each for text in texts for each in _ranges(text)):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in joined)


def covers(text: str, port_range: str) -> bool:
    """Whether a list has the whole range already."""
    try:
        return union([text, port_range]) == union([text])
    except Rejected:
        return False


def setting(text: str) -> str | None:
    """What a file of sysctl.d sets the list to; None where it does not."""
    found = None
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip().removeprefix("-").replace("/", ".") == KEY:
            found = value.strip()
    return found


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in filter(None, (each.strip() for each in text.split(","))):
        found = _RANGE.fullmatch(part)
        if found is None:
            raise Rejected(f"{part[:40]!r} is neither a port nor a range of ports")
        yield int(found[1]), int(found[2] or found[1])
