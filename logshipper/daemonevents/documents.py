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
MAX_NUMBER: Final = 2**53  # no ring counts so far, and each reader of JSON knows it exactly
_OWN: Final = frozenset({"seq", "time", "level", "event"})


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
    if not isinstance(seq, int) or isinstance(seq, bool) or not isinstance(kind, str):
        raise Rejected("this is no event: it has no number, or no name")
    if not 0 <= seq <= MAX_NUMBER:
        raise Rejected("this is no event: nothing has so many")
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
