"""An application's wharf.yaml, from its file."""

from pathlib import Path
from typing import Final

from deploy.release.app.model import App
from deploy.release.app.parsing import NAME, parse
from wharfinger.errors import ConfigError, Finding

MOST_BYTES: Final = 1 << 20


def read(path: Path = Path(NAME)) -> App:
    """Reads a wharf.yaml.

    Args:
        path: of the file, or of the folder that it stands in.

    Raises:
        ConfigError: it is not there, or cannot be used; every fault, with line and fix.
    """
    file = path / NAME if path.is_dir() else path
    try:
        # One byte more than may be: a device or a log is not read to its end.
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        fix = "run `deploy init`, or name another with --file"
        raise ConfigError([Finding(str(file), error.strerror or str(error), fix)]) from error
    if len(raw) > MOST_BYTES:
        problem = f"has more than {MOST_BYTES} bytes"
        raise ConfigError([Finding(str(file), problem, "write one application")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = Finding(f"{file}:{line}", "is no UTF-8 text", "save it as UTF-8")
        raise ConfigError([found]) from error
    return parse(text, str(file))
