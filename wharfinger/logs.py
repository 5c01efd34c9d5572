"""What a daemon says on stderr: one event a line, logfmt or JSON, hostile text made harmless."""

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from wharfinger.jsontext import encode_line
from wharfinger.logfmt import logfmt

LOGGER: Final = logging.getLogger("wharfinger")
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
# The journal takes the priority from a prefix (sd-daemon(3)): journalctl -p err finds it.
_PRIORITIES: Final = {
    logging.DEBUG: "<7>",
    logging.INFO: "<6>",
    logging.WARNING: "<4>",
    logging.ERROR: "<3>",
    logging.CRITICAL: "<2>",
}


def configure(
    daemon: str, *, level: str, style: Literal["logfmt", "json"], under_journald: bool
) -> None:
    """Sends every log line of this process to stderr in one style.

    Args:
        daemon: the name in each line.
        level: debug, info, warning or error.
        style: logfmt or json.
        under_journald: leave out the time, which the journal adds; say the priority instead.
    """
    handler = _Stderr(sys.stderr)
    handler.setFormatter(_Formatter(daemon, style, under_journald=under_journald))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for chatty in ("aiohttp.access", "asyncio", "grpc"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def under_journald(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether stderr is the journal's, not merely inherited from what is (systemd.exec(5))."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


def write(level: str, event: str, fields: Mapping[str, object]) -> None:
    """Logs one event with its fields."""
    LOGGER.log(LEVELS.get(level, logging.ERROR), event, extra={"fields": fields})


def laid_beside(own: Mapping[str, object], fields: Mapping[str, object]) -> dict[str, object]:
    """Fields beside a line's own: one that would hide one of those gets a `_` at its end."""
    renamed = {f"{key}_" if key in own else key: value for key, value in fields.items()}
    return {**own, **renamed}


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # generic for mypy only
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Goes on: a log that cannot be written must not stop the work that it tells of."""


class _Formatter(logging.Formatter):
    def __init__(self, daemon: str, style: str, *, under_journald: bool) -> None:
        super().__init__()
        self._daemon = daemon
        self._form = style
        self._under_journald = under_journald

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {}
        if not self._under_journald:
            line["ts"] = datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            )
        line |= {"level": record.levelname.lower(), "daemon": self._daemon}
        line["event"] = record.getMessage()
        line = laid_beside(line, getattr(record, "fields", {}))
        if record.name != LOGGER.name:
            line["logger"] = record.name
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = encode_line(line).decode() if self._form == "json" else logfmt(line)
        return _PRIORITIES.get(record.levelno, "") + text if self._under_journald else text
