"""Where a release is carried out from: what every engine is given by the commands."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wharfinger.etcd import Etcd
from wharfinger.keys import Service

# Of a name in a folder; those of APP and ENV together may be two more.
_LONGEST: Final = 255
_DIGITS: Final = 16


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

    def folder(self, service: Service) -> Path:
        """Of what is kept of one environment: its service's name, as far as a folder takes it."""
        name = service.name
        if len(name) > _LONGEST:
            digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
            name = f"{name[: _LONGEST - _DIGITS - 1]}-{digest}"
        return self.state_dir / "deploy" / name
