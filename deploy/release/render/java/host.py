"""This host's JDK: where it is, and what its links lead to."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.release.render.java.closure import Link, closure
from deploy.release.render.java.mounts import JavaMounts
from wharfinger.errors import ConfigError, Finding

FOLDER: Final = Path("/usr/lib/jvm")
MOST_ENTRIES: Final = 200_000
_PROGRAM: Final = "bin/java"


def resolve(
    home: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    folder: Path = FOLDER,
) -> JavaMounts:
    """Finds the JDK and what has to be mounted of it.

    Every host that runs the application must have it at the same place.

    Args:
        home: where it is; None: JAVA_HOME, else what the system's `java` is of, else Debian's.
        environment: in which JAVA_HOME is looked up.
        folder: in which Debian has its JDKs.

    Raises:
        ConfigError: there is none, or a link of it leads to what a container shall not see.
    """
    found = _home(home, environment, folder)
    return closure(str(found), _links)


def _home(home: Path | None, environment: Mapping[str, str], folder: Path) -> Path:
    named = home or (Path(environment["JAVA_HOME"]) if environment.get("JAVA_HOME") else None)
    candidates = [named] if named else [folder / "default-java", *_on_path(environment)]
    for each in candidates:
        if (each / _PROGRAM).is_file():
            return each.resolve()
    where = f"{named} has no {_PROGRAM}" if named else "this host has no JDK"
    fix = "install one (apt-get install openjdk-17-jre-headless), or name it with JAVA_HOME"
    raise ConfigError([Finding("build.java", where, fix)])


def _on_path(environment: Mapping[str, str]) -> Iterator[Path]:
    if program := shutil.which("java", path=environment.get("PATH")):
        yield Path(program).resolve().parent.parent


def _links(folder: str) -> Iterator[Link]:
    """The links below a folder; of a file, or of what cannot be read, there are none."""
    seen = 0
    for at, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted((*folders, *files)):
            seen += 1
            if seen > MOST_ENTRIES:
                problem = f"has more than {MOST_ENTRIES} entries"
                raise ConfigError([Finding(folder, problem, "use a JDK that is in one folder")])
            path = f"{at}/{name}"
            if Path(path).is_symlink():
                yield _link(path)


def _link(path: str) -> Link:
    target = str(Path(path).readlink())
    try:
        # Follows to the end; one that goes round is an error as one that ends nowhere.
        mode = Path(path).stat().st_mode
    except OSError:
        return Link(path, target, "")
    leads = "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
    readable = bool(mode & stat.S_IROTH) and leads != "other"
    return Link(path, target, leads, readable)
