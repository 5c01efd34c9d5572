"""Starts what was installed, waits until it is ready, and says why what is not is not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from wharfinger.errors import Exit
from wharfinger.operator import terminal
from wharfinger.operator.install import units
from wharfinger.operator.install.units import Outcome, begin
from wharfinger.operator.status import status

__all__ = ["awaited", "begin", "verdict"]


async def awaited(names: Sequence[str], seconds: float, *, as_json: bool) -> list[Outcome]:
    """Waits, shows how each stands, and the last words of those that are not ready.

    Args:
        names: of the daemons; none where nothing was started.
        seconds: for all of them.
        as_json: for programs: nothing is shown.
    """
    if not names:
        return []
    with _progress(as_json=as_json) as tell:
        tell(f"waiting for {', '.join(names)}")
        outcomes = await units.ready(names, tell, seconds)
    if as_json:
        return outcomes
    await status(None, names, as_json=False)
    for each in outcomes:
        if each.state != "ready":
            terminal.complain(f"{each.daemon} is {_said(each)}")
            for line in each.journal:
                terminal.complain(f"  {line}")
            terminal.complain(f"  all of it: journalctl -u wharfinger-{each.daemon}")
    return outcomes


def verdict(outcomes: Sequence[Outcome]) -> Exit:
    """How an installation ends by them."""
    states = {each.state for each in outcomes}
    if "failed" in states:
        return Exit.UNAVAILABLE
    return Exit.TRY_LATER if "waiting" in states else Exit.OK


def _said(outcome: Outcome) -> str:
    how = "failing" if outcome.state == "failed" else "not ready yet"
    return f"{how}: {outcome.why}" if outcome.why else how


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[str], None]]:
    console = Console(stderr=True, highlight=False)
    if as_json:
        yield lambda _what: None
    elif not console.is_terminal:
        yield terminal.complain
    else:
        with console.status("starting") as shown:
            yield shown.update
