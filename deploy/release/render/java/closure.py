"""All that the links of a JDK lead to: without it a JVM in a container does not start.

Debian keeps a JDK's configuration in /etc, and links to it: with its home alone a JVM ends with
"Error loading java.security file".
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from deploy.release.render.java.mounts import JavaMounts
from wharfinger.errors import ConfigError, Finding

MOST_MOUNTS: Final = 32
MOST_TARGETS: Final = 4_096
# For people alone; in Debian they lead to folders that a JVM never opens.
_UNREAD: Final = frozenset({"docs", "man", "legal", "demo", "sample", "src.zip"})
_JAVAS: Final = re.compile(r"java|jdk|jre|jvm|temurin|corretto|zulu|graal", re.IGNORECASE)
_PLAIN: Final = re.compile(r"/[^:,$\x00-\x20]+")
# A folder that everything has a share in would hide the image's own.
_OWN_DEPTH: Final = 3
_FORBIDDEN: Final = ("/proc", "/sys", "/dev", "/run", "/var/run", "/root", "/home", "/boot")


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link below a folder.

    Attributes:
        path: of the link.
        target: what it says.
        leads: `file` or `folder`; empty where there is nothing at its end.
        readable: whether everybody may read what is there.
    """

    path: str
    target: str
    leads: str
    readable: bool = True


def closure(home: str, links_below: Callable[[str], Iterable[Link]]) -> JavaMounts:
    """What has to be mounted for a JDK to be whole.

    Args:
        home: its folder, without links in its own path.
        links_below: gives the links below a folder, at any depth; none is followed.

    Raises:
        ConfigError: a link leads to what a container shall not see, or there are too many.
    """
    findings = [_unusable(home, home)] if not _PLAIN.fullmatch(home) else []
    mounts, looked_at, pending = {home}, set(), [home]
    while pending:
        for link in links_below(pending.pop()):
            target = _target(link)
            unread = posixpath.relpath(link.path, home).split("/")[0] in _UNREAD
            if unread or not link.leads or target in looked_at or _covered(target, mounts):
                continue
            looked_at.add(target)
            place = _place(target, home)
            if finding := _refused(link, target, place, home):
                findings.append(finding)
            else:
                mounts.add(place)
                if place != target or link.leads == "folder":
                    pending.append(place)
            if len(looked_at) > MOST_TARGETS:
                raise ConfigError([_many(home, len(looked_at))])
    if findings:
        raise ConfigError(findings)
    paths = tuple(sorted(path for path in mounts if not _covered(path, mounts - {path})))
    if len(paths) > MOST_MOUNTS:
        raise ConfigError([_many(home, len(paths))])
    return JavaMounts(home, paths)


def _target(link: Link) -> str:
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(link.path), link.target))
    # POSIX lets two slashes at the beginning mean something of their own, so normpath keeps them.
    return f"/{joined.lstrip('/')}"


def _covered(path: str, mounts: Iterable[str]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in mounts)


def _place(target: str, home: str) -> str:
    """The folder of Java's own that it is in, else itself.

    Of a file alone a container would keep the old one when an upgrade puts another in its place.
    """
    parts = target.split("/")
    for end in range(2, len(parts)):
        folder = "/".join(parts[:end])
        if _JAVAS.search(parts[end - 1]) and not _covered(home, [folder]):
            return folder
    return target


def _refused(link: Link, target: str, place: str, home: str) -> Finding | None:
    shared = link.leads == "folder" and place == target and not _JAVAS.search(target)
    if (
        not _PLAIN.fullmatch(place)
        or _covered(home, [place])
        or _covered(place, _FORBIDDEN)
        or (shared and place.count("/") < _OWN_DEPTH)
        or (place == target and not link.readable)
    ):
        return _unusable(link.path, target)
    return None


def _unusable(path: str, target: str) -> Finding:
    problem = f"leads to {target}, which no container shall see"
    return Finding(path, problem, "mend the JDK, or name another with JAVA_HOME")


def _many(home: str, count: int) -> Finding:
    problem = f"its links lead to {count} places elsewhere"
    return Finding(home, problem, "use a JDK that is in one folder")
