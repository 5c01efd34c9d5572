"""Where a release is carried out from: what every engine is given by the commands."""

from dataclasses import dataclass
from pathlib import Path

from wharfinger.etcd import Etcd


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an engine works with.

    Attributes:
        etcd: the session, which the commands keep open.
        docker_url: of the engine, where wharf.yaml names none for the environment.
        state_dir: private, for what is kept between two runs.
        by: who releases, as other hosts are told.
    """

    etcd: Etcd
    docker_url: str
    state_dir: Path
    by: str = ""
