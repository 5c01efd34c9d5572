"""The [deploy] section of the configuration, and the whole that the command reads."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from deploy.release.notify.config import NotifyConfig
from wharfinger.config import Section, doc
from wharfinger.orders import MAX_BY_LENGTH
from wharfinger.sections import DockerConfig, EtcdConfig, HostConfig
from wharfinger.text import printable

# Who asked a pipeline for it says more than the user that its runner is.
_ASKERS: Final = ("GITLAB_USER_LOGIN", "GITHUB_ACTOR", "SUDO_USER")


class DeployConfig(Section, frozen=True, kw_only=True):
    """Brings tested images to the hosts that shall run them: the command `deploy`."""

    by: Annotated[
        str | None, doc("Who is told to have asked.", shown="(who the pipeline or you are)")
    ] = None
    lock_wait_seconds: Annotated[
        float, doc("How long to wait for somebody else's rollout; 0: not at all.", ge=0, le=86_400)
    ] = 0.0
    history: Annotated[
        int, doc("Releases that `deploy history` shows of each environment.", ge=1, le=10_000)
    ] = 20
    registry_ca_file: Annotated[
        Path | None,
        doc(
            "CA that signed the registry's certificate, if not one of the system's.",
            shown='"/path"',
        ),
    ] = None
    registry_config_dir: Annotated[
        Path | None,
        doc(
            "Folder of docker's config.json, with what `docker login` has kept.",
            shown='"/root/.docker"',
        ),
    ] = None
    insecure_registries: Annotated[
        tuple[str, ...],
        doc("HOST:PORT of registries without TLS, as dockerd has them; loopback is one by itself."),
    ] = ()
    registry_token_hosts: Annotated[
        tuple[str, ...],
        doc(
            "Hosts beside the registry's own that are shown its password, for tokens: GitLab's.",
            shown='["gitlab.example.org"]',
        ),
    ] = ()
    registrar_port: Annotated[
        int, doc("Where `deploy autoscale` asks the hosts' registrars.", ge=1, le=65_535)
    ] = 7201
    discovery_port: Annotated[int, doc("Where it asks the edges.", ge=1, le=65_535)] = 7202
    notify: NotifyConfig = NotifyConfig()


class Config(Section, frozen=True, kw_only=True):
    """All that `deploy` reads of the file."""

    host: HostConfig = HostConfig()
    etcd: EtcdConfig = EtcdConfig()
    docker: DockerConfig = DockerConfig()
    deploy: DeployConfig = DeployConfig()


def asker(config: DeployConfig, environment: Mapping[str, str] = os.environ) -> str:
    """Who is told to have asked; at most 64 characters that can be printed."""
    given = [config.by, *(environment.get(name) for name in _ASKERS)]
    return printable(next(filter(None, given), None) or _user())[:MAX_BY_LENGTH]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
