"""`wharfinger pki list`: who has a certificate, what for, until when."""

from datetime import datetime
from typing import Final

import msgspec

from wharfinger import certificate
from wharfinger.errors import Exit
from wharfinger.operator import terminal
from wharfinger.operator.pki.model import EVERY, Issued, Register, State

TITLES: Final = ("NAME", "ROLES", "REACHED AT", "SERVICES", "UNTIL", "STATE")
_AUTHORITY: Final = "authority"
_ALARMING: Final = frozenset[State]({"near", "ended"})
_WORDS: Final[dict[State, str]] = {
    "good": "good",
    "soon": "ends soon",
    "near": "ends very soon",
    "ended": "ended",
    "revoked": "revoked",
}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate, as it is shown.

    Attributes:
        name: whose.
        roles: what for.
        reached_at: names and addresses in it.
        services: what its registrar may register.
        until: when it ends.
        state: how it stands.
    """

    name: str
    roles: tuple[str, ...]
    reached_at: tuple[str, ...]
    services: tuple[str, ...]
    until: datetime
    state: State


def show(register: Register, ca: bytes, now: datetime, *, as_json: bool) -> Exit:
    """Shows them; the authority's own comes first.

    Returns:
        OK; UNAVAILABLE while one that is not revoked ends very soon, or has ended.
    """
    lines = [_line(one, now) for one in register.all_current()]
    own = certificate.validity(ca.decode("ascii", "replace"))
    if own is not None:
        state = own.standing(now)
        authority = Line(
            name=register.name,
            roles=(_AUTHORITY,),
            reached_at=(),
            services=(),
            until=own.ends,
            state=state,
        )
        lines.insert(0, authority)
    if as_json:
        terminal.show_page(lines)
    else:
        terminal.show_table(TITLES, map(_row, lines))
    return Exit.UNAVAILABLE if any(line.state in _ALARMING for line in lines) else Exit.OK


def _line(one: Issued, now: datetime) -> Line:
    return Line(
        name=one.wish.name,
        roles=one.wish.roles,
        reached_at=(*one.wish.dns, *one.wish.ips),
        services=one.services if "host" in one.wish.roles else (),
        until=one.until,
        state=one.state(now),
    )


def _row(line: Line) -> tuple[str, ...]:
    services = "all" if line.services == (EVERY,) else ", ".join(line.services)
    names = ", ".join(line.reached_at)
    until = f"{line.until:%Y-%m-%d %H:%M}Z"
    return line.name, ", ".join(line.roles), names, services, until, _WORDS[line.state]
