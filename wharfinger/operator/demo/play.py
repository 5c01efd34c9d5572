"""Plays the demo: raises the stage, tells the story, strikes the stage, looks what is left."""

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from wharfinger.errors import Exit, WharfingerError
from wharfinger.etcd import Etcd
from wharfinger.operator.demo.console import Show
from wharfinger.operator.demo.release import Release
from wharfinger.operator.demo.stage import Stage, left_behind, raised, require_programs
from wharfinger.operator.demo.story import Story
from wharfinger.operator.verbs import Verbs
from wharfinger.sections import EtcdConfig

LOG_LINES: Final = 10


def add_to(verbs: Verbs) -> None:
    """Adds `demo` to the command."""
    effect = "show the main job on private, temporary parts"
    parser = verbs.add("demo", _demo, effect, interrupted=None)
    parser.add_argument("--once", action="store_true", help="end after the last step (or ONCE=1)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="record what is shown")


async def _demo(parsed: argparse.Namespace) -> Exit:
    return await play(once=parsed.once or asked_for_once(), picture=parsed.svg)


async def play(*, once: bool, picture: Path | None = None) -> Exit:
    """Runs the demo.

    Args:
        once: end after the last step even where a person watches.
        picture: also write what was shown as an SVG.

    Returns:
        OK only if every step held and nothing was left behind.

    Raises:
        Unavailable: something that the demo needs is not on this machine.
    """
    require_programs()
    show = Show(picture=picture)
    show.say("Wharfinger: one host, three daemons, a log store; all of it private and temporary")
    task = asyncio.current_task()
    if task is not None:
        # However it is ended, the stage must be struck: a cancelled task runs its finally.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    folder = Path()
    try:
        folder = await _perform(show, stay=show.watched and not once)
    except asyncio.CancelledError:
        show.say("ended before the last step", "bold red")
        return Exit.TRY_LATER
    except WharfingerError as error:
        if not show.failed:
            show.say(f"FAILED: {error}", "bold red")
        return Exit.BUG
    left = left_behind(folder)
    for what in left:
        show.say(f"left behind: {what}", "bold red")
    if left:
        return Exit.BUG
    show.say("every step held; no process, mount, container or file is left", "bold green")
    show.save()
    return Exit.OK


async def _perform(show: Show, *, stay: bool) -> Path:
    async with raised(show) as stage:
        config = EtcdConfig(endpoints=(stage.etcd.endpoint,))
        try:
            async with Etcd(config) as etcd:
                await Story(show, stage, etcd).tell()
                await Release(show, stage).tell()
        except WharfingerError:
            _show_logs(show, stage)
            raise
        if stay:
            await _stay(show, stage)
    return stage.folder


def _show_logs(show: Show, stage: Stage) -> None:
    """The end of each log, which goes with the stage."""
    for name, daemon in stage.daemons.items():
        if tail := daemon.log_tail(LOG_LINES):
            ended = "" if daemon.running else f", which ended with code {daemon.exit_code}"
            show.say(f"the end of the log of {name}{ended}:", "bold")
            show.say(tail)


async def _stay(show: Show, stage: Stage) -> None:
    show.say("\nIt stays up until Ctrl-C:", "bold")
    show.say(f"  log page    {stage.url('logstore')}/?app=shop")
    show.say(f"  Nginx       curl -H 'Host: shop.example' {stage.url('nginx')}/")
    for name in stage.daemons:
        show.say(f"  {name:11} curl {stage.url(name)}/status    curl -N {stage.url(name)}/events")
    etcdctl = f"etcdctl --endpoints {stage.etcd.endpoint}"
    show.say(f"  etcd        ETCDCTL_API=3 {etcdctl} get / --prefix")
    show.say(f"  Docker      docker -H unix://{stage.docker.socket} ps")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        show.say("ending")


def asked_for_once() -> bool:
    """Whether the environment says ONCE=1."""
    return os.environ.get("ONCE", "") not in {"", "0"}
