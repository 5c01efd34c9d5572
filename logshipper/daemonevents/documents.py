"""What becomes of a daemon's events: messages under ids that are the same each time; pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from logshipper.model import Message
from wharfinger.errors import Rejected
from wharfinger.logfmt import logfmt

APP: Final = "wharfinger"
STREAM: Final = "events"
# Each question to a store is an event of its own at this level: shipped, looking would make lines.
UNSHIPPED: Final = "debug"
_OWN: Final = frozenset({"seq", "time", "level", "event"})
# No clock and no ring comes as far; any process of the host may answer in a daemon's place.
_MAX_NUMBER: Final = 2**53
_MAX_DIGITS: Final = 16


class Place(msgspec.Struct, frozen=True):
    """How far the events of a daemon are shipped.

    Attributes:
        start: of its life, in milliseconds since 1970.
        seq: of the last event that the sink holds.
    """

    start: int
    seq: int


def fields(daemon: str, host: str) -> dict[str, str]:
    """What each document of a daemon carries."""
    return {"app": APP, "env": daemon, "host": host, "container": daemon}


def began(header: str) -> int | None:
    """When a daemon says that its life began; None where it says nothing of the kind."""
    if not (header.isascii() and header.isdecimal() and len(header) <= _MAX_DIGITS):
        return None
    return int(header)


def missed(event: Mapping[str, Any]) -> int:
    """How many events an event says were gone before they were read."""
    told = event.get("missed") if event["event"] == "gap" else None
    return told if type(told) is int and 0 <= told <= _MAX_NUMBER else 0


def read(line: bytes) -> tuple[int, dict[str, Any]]:
    """An event and its number.

    Raises:
        Rejected: it is none.
    """
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
        seq, kind = event["seq"], event["event"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise Rejected(f"this is no event: {error}") from None
    if type(seq) is not int or not 0 <= seq <= _MAX_NUMBER or not isinstance(kind, str):
        raise Rejected("this is no event: it has no number, or no name")
    return seq, event


def message(daemon: str, host: str, place: Place, event: Mapping[str, Any]) -> Message | None:
    """The message of an event; None for one that is not shipped.

    Args:
        daemon: whose.
        host: where it runs.
        place: its life, and its number in that: they make the id, which a store that has it
            already knows again.
        event: as `/events` gives it.
    """
    level = str(event.get("level", ""))
    if level == UNSHIPPED:
        return None
    said = {name: value for name, value in event.items() if name not in _OWN}
    kind = str(event["event"])
    return Message(
        id=f"{APP}.{daemon}.{host}.{place.start:x}.{place.seq:x}",
        text=f"{kind} {logfmt(said)}".rstrip(),
        stream=STREAM,
        time=str(event.get("time", "")),
        level=level,
        fields={"event": kind, "seq": place.seq, "start": place.start, **said},
    )
