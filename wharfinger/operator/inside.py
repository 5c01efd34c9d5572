"""`wharfinger exec`: a command in the one container that has some labels, through Docker's API."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from wharfinger.container import Container
from wharfinger.dockerd import Docker
from wharfinger.errors import Exit, Rejected, Unavailable
from wharfinger.operator import settings
from wharfinger.operator.verbs import Verbs, add_config
from wharfinger.sections import DockerConfig
from wharfinger.text import printable

# Discovery gives a check 30 seconds and a reload 60; this one is to have the last word.
TIMEOUT_SECONDS: Final = 25.0


def add_to(verbs: Verbs) -> None:
    """Adds `exec` to the command."""
    parser = verbs.add("exec", _exec, "run a command in a container of this host, by its labels")
    add_config(parser)
    parser.add_argument(
        "--label",
        action="append",
        required=True,
        metavar="NAME=VALUE",
        help="that the container has; several must all be there",
    )
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS", help="for its end"
    )
    parser.add_argument("words", nargs="+", metavar="WORD", help="the command, after --")


async def _exec(parsed: argparse.Namespace) -> Exit:
    config: DockerConfig = settings.section("docker", DockerConfig, parsed.config)
    wanted = labels(parsed.label)
    async with Docker(config) as docker:
        container = the_one(await docker.containers(), wanted)
        done = await docker.exec(
            container.id, parsed.words, environment={}, timeout_seconds=parsed.timeout
        )
    for line in done.output.splitlines():
        sys.stderr.write(f"{printable(line)}\n")
    if done.code == 0:
        return Exit.OK
    ended = "still runs" if done.code is None else f"exit code {done.code}"
    raise Unavailable(f"{parsed.words[0]} in {container.name}: {ended}")


def labels(given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts as a mapping.

    Raises:
        Rejected: one of them is none.
    """
    for each in given:
        if not each.partition("=")[1]:
            raise Rejected(f"{each!r} is no label: write NAME=VALUE")
    return {name: value for name, _, value in (each.partition("=") for each in given)}


def the_one(containers: Sequence[Container], wanted: Mapping[str, str]) -> Container:
    """The running container that has all of the labels.

    Raises:
        Unavailable: there is none, or more than one: which of them was meant, nobody can say.
    """
    shown = " ".join(f"{name}={value}" for name, value in wanted.items())
    found = [each for each in containers if each.running and wanted.items() <= each.labels.items()]
    match found:
        case [container]:
            return container
        case []:
            raise Unavailable(f"no running container has the labels {shown}")
        case _:
            names = ", ".join(sorted(each.name for each in found))
            raise Unavailable(f"{len(found)} containers have the labels {shown}: {names}")
