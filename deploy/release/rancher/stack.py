"""Both files of a Rancher stack together, and every fault in them at once."""

from collections.abc import Collection
from typing import Final

from deploy.release.rancher import composefile, ranchercomposefile, variables
from deploy.release.yamllines import Fault, read

COMPOSE: Final = "docker-compose.yml"
RANCHER: Final = "rancher-compose.yml"


def check(compose: str, rancher: str, *, given: Collection[str] = ()) -> tuple[Fault, ...]:
    """Everything that rancher-compose would refuse, drop without a word, or Rancher ignore.

    The rules are those of rancher-compose's last version, 2017-04 (its schema and what it posts
    were looked at), and of Rancher 1.6's documentation where the server decides.

    Args:
        compose: the text of docker-compose.yml.
        rancher: the text of rancher-compose.yml.
        given: variables that have a value besides the answers to the catalogue's questions.

    Returns:
        The faults in the order of files and lines; none when the stack may be posted.
    """
    first, second = read(COMPOSE, compose), read(RANCHER, rancher)
    if not (first.faults or second.faults):
        answered = {*given, *ranchercomposefile.questions(second)}
        services = composefile.check(first)
        ours = ranchercomposefile.check(second, services)
        for reading, both in ((first, services), (second, ours)):
            for service in both.values():
                variables.check(reading, service, answered)
    return tuple(
        sorted(first.faults, key=lambda fault: fault.line)
        + sorted(second.faults, key=lambda fault: fault.line)
    )
