"""What a manual page says beside the command line: exit codes, files, environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_CONFIGURATION: Final = "/etc/wharfinger/wharfinger.toml"
_SETTINGS: Final[Mapping[str, str]] = {
    "WHARFINGER_CONFIG": "The configuration file, where no flag names one.",
    "WHARFINGER_SECTION__KEY": "Stands above that key of the file: WHARFINGER_ETCD__PREFIX.",
}


@dataclass(frozen=True, slots=True)
class Particulars:
    """Of one command, or of several.

    Attributes:
        exits: what each exit code means.
        files: what is read and written, by its path.
        environment: the variables that are looked at.
    """

    exits: Mapping[str, str]
    files: Mapping[str, str]
    environment: Mapping[str, str]


DAEMONS: Final = Particulars(
    exits={
        "0": "all is well",
        "1": "no: asked whether there is any, none was; asked by healthcheck, it is not well",
        "64": "a wrong use",
        "69": "unavailable, or something was found",
        "70": "a bug",
        "75": "try again later",
        "78": "the configuration has a fault",
    },
    files={
        _CONFIGURATION: "The configuration of all daemons of a host, see wharfinger.toml(5).",
        "/etc/default/wharfinger": "Settings for the environment of the units.",
        "/var/lib/wharfinger": "What must survive a restart.",
        "/run/wharfinger": "Sockets for commands that change something.",
    },
    environment=_SETTINGS,
)
DEPLOY: Final = Particulars(
    exits={
        "0": "it is done",
        "1": "the answer is no: of report, the check did not pass; of diff, a difference that may "
        "not be",
        "64": "a wrong use: no such verb, flag or environment, nothing was built or pushed yet; "
        "or what never can be done: a report that cannot be read, a registry that refuses us",
        "69": "refused, as evidence is missing or there is nothing to go back to; or failed: the "
        "release does not come up, the engine, the registry or etcd is away; of status, what runs "
        "is not what should",
        "70": "a bug",
        "75": "somebody else changes the environment; a signal has ended it before it was done; or "
        "Rancher's part is to be done by hand first, as it says",
        "78": "wharf.yaml, layers.lock or the configuration has a fault; the image breaks a rule",
    },
    files={
        "wharf.yaml": "The application, how it is built and where it runs; in the folder where the "
        "command is called, unless --file names another. `deploy schema` prints its JSON Schema.",
        "layers.lock": "Beside it: the layer that `build` stands on, by its digest. Committed.",
        ".wharf/": "Beside it: what was built and pushed there last. Not committed.",
        _CONFIGURATION: "The sections [etcd], [docker], [host] and [deploy], see "
        "wharfinger.toml(5).",
        "~/.docker/config.json": "What `docker login` has kept for the registry; in the folder of "
        "deploy.registry_config_dir or DOCKER_CONFIG where one is named.",
        "/var/lib/wharfinger/deploy/": "What the engine was given last, of each environment (in "
        "host.state_dir); of who is not root, in ~/.local/state/wharfinger/deploy/.",
    },
    environment={
        **_SETTINGS,
        "DOCKER_CONFIG": "The folder of docker's config.json, where the configuration names none.",
        "GITLAB_USER_LOGIN, GITHUB_ACTOR, SUDO_USER": "Who is on record as having asked, where "
        "neither --by nor deploy.by says.",
        "JAVA_HOME": "The host's JDK, where `java: host` has it mounted.",
        "RANCHER_URL, RANCHER_ACCESS_KEY, RANCHER_SECRET_KEY": "Where Rancher is, and who asks it.",
        "SOURCE_DATE_EPOCH": "The time that `build` gives what it makes, where not the commit's.",
    },
)
_OF: Final[Mapping[str, Particulars]] = {"deploy": DEPLOY}


def of(command: str) -> Particulars:
    """What holds for a command."""
    return _OF.get(command, DAEMONS)
