"""`deploy down ENV`: an environment taken away, drained first; kept on record."""

import argparse
import asyncio
import contextlib
import os
import sys
from typing import Any, Final

import msgspec

from deploy.release import showing
from deploy.release.commands import changing, flags
from deploy.release.commands.leaving import Leaving, look, require_ours, seen
from deploy.release.commands.opening import opened
from deploy.release.commands.rollout import GOES_ON, History, Wanted
from deploy.release.commands.site import Site
from deploy.release.records.record import Numbered
from wharfinger.errors import Conflict, Exit, Rejected
from wharfinger.operator.install.asking import at_terminal
from wharfinger.operator.verbs import Verbs
from wharfinger.text import printable, quantity

INTERRUPTED: Final = f"interrupted; {GOES_ON}"
_NOTHING: Final = "nothing was changed"
# Of a terminal, which hands over a line at a time; both names may have 128 letters.
_LONGEST_ANSWER: Final = 1024


def add_to(verbs: Verbs) -> None:
    """Adds `down` to the command."""
    what = "take an environment away: its instances are drained, stopped and removed"
    parser = verbs.add("down", _down, what, interrupted=INTERRUPTED)
    told = "an environment in wharf.yaml, or one that was taken out of it"
    flags.add_environment(parser, told=told)
    parser.add_argument(
        "--app", type=flags.given, metavar="NAME", help="what the application was called then"
    )
    parser.add_argument(
        "--docker",
        type=flags.docker,
        metavar="URL",
        help="of its engine, if wharf.yaml has it not",
    )
    parser.add_argument("--yes", action="store_true", help="ask nobody")
    parser.add_argument("--dry-run", action="store_true", help="say what there is, change nothing")
    flags.add_app(parser)
    flags.add_lock(parser)


async def _down(parsed: argparse.Namespace) -> Exit:
    if not (parsed.yes or parsed.dry_run or at_terminal()):
        raise Rejected(f"nobody is there to be asked: --yes takes {parsed.environment} down")
    async with opened(parsed) as (site, app):
        leaving = await look(
            site, app, parsed.environment, was=parsed.app or "", docker=parsed.docker
        )
        if not leaving.is_down:
            require_ours(leaving)
    if parsed.dry_run or leaving.is_down:
        return _say(leaving, as_json=parsed.json)
    if not parsed.yes:
        # Not while progress is shown: it would write over the question.
        await _require_yes(leaving, renamed=bool(parsed.app))
    async with opened(parsed) as (site, _app):
        wanted = changing.rollout(parsed, site, leaving.app, leaving.environment, "down")
        taken: list[Leaving] = []

        async def choose(history: History) -> Wanted:
            taken.append(await _same(site, leaving, history))
            return Wanted(release=leaving.named, image=leaving.image, replicas=0)

        done = await changing.change(wanted, choose)
    _show(done, taken[-1], renamed=bool(parsed.app), as_json=parsed.json)
    return Exit.OK


async def _same(site: Site, agreed: Leaving, history: History) -> Leaving:
    """What is there under the lock; another release than was agreed to is not taken away.

    Raises:
        Conflict: it is another.
        Unavailable: etcd or the engine does not answer, or nothing is there any more.
    """
    now = await seen(site, agreed.app, agreed.environment, history)
    require_ours(now)
    for line in now.let_be:
        site.progress.step(line)
    if (now.named, now.image) != (agreed.named, agreed.image):
        raise Conflict(
            f"{now.environment.name} has changed since you were asked, from {agreed.named} "
            f"to {now.named}: {_NOTHING}; look again"
        )
    return now


async def _require_yes(leaving: Leaving, *, renamed: bool) -> None:
    """Asks the person at the terminal for the environment's name; of another application, for both.

    Raises:
        Rejected: it is not what was typed.
    """
    name = leaving.environment.name
    if renamed:
        name = f"{leaving.app.name} {name}"
    said = "\n".join(leaving.lines)
    sys.stderr.write(f"{said}\nall of it is taken away, and answers nobody any more\n")
    sys.stderr.write(f"type {printable(name)} to take it down: ")
    sys.stderr.flush()
    answer = await _line()
    if not answer.endswith("\n"):
        with contextlib.suppress(OSError):  # the terminal may have gone
            sys.stderr.write("\n")
        raise Rejected(f"no answer: {_NOTHING}")
    if answer.strip() != name:
        raise Rejected(f"that is not {name}: {_NOTHING}")


async def _line() -> str:
    """A line from the terminal; one without an end where somebody left it by Ctrl-D.

    A signal ends the waiting, as it could not end a read: so no more is read than is there.
    """
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return os.read(sys.stdin.fileno(), _LONGEST_ANSWER).decode(errors="replace")


def _say(leaving: Leaving, *, as_json: bool) -> Exit:
    """Says what there is; nothing is changed."""
    name, text = leaving.environment.name, "\n".join(leaving.lines)
    if leaving.is_down and leaving.down is not None:
        by = leaving.down.by or "somebody"
        text = printable(f"{name} is down already, since {leaving.down.ended} by {by}")
    told: dict[str, Any] = {
        "ok": True,
        "environment": name,
        "app": leaving.app.name,
        "down": msgspec.to_builtins(leaving.down) if leaving.down else None,
        "release": leaving.named,
        "instances": [msgspec.to_builtins(each) for each in leaving.replicas],
        "others": [msgspec.to_builtins(each) for each in leaving.others],
        "elsewhere": dict(leaving.elsewhere),
        "drained": dict(leaving.drained),
    }
    showing.result(told, as_json=as_json, text=text)
    return Exit.OK


def _show(done: Numbered, taken: Leaving, *, renamed: bool, as_json: bool) -> None:
    record, name = done.record, taken.environment.name
    told = {
        "ok": True,
        "environment": name,
        "app": taken.app.name,
        "number": done.number,
        "taken_away": [each.name for each in taken.replicas],
        **msgspec.to_builtins(record),
    }
    app = taken.app.name
    count = quantity(len(taken.replicas), f"instance of {app} was", f"instances of {app} were")
    text = f"{name} is down: {count} taken away"
    if not renamed and name in taken.app.environments:
        text += f"; `{taken.back}` brings {record.release} back"
    showing.result(told, as_json=as_json, text=printable(text))
