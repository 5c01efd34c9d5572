"""How a registry is reached, and as whom: what is the operator's to say."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """What the [deploy] section says of registries.

    Attributes:
        ca_file: CA that signed their certificates; None for the system's.
        config_dir: folder of docker's config.json; None for that of the `docker` command.
        insecure: registries that may be asked without TLS, as Docker's `insecure-registries`
            names them (`HOST[:PORT]`); one on loopback is among them by itself.
        token_hosts: who may be shown what `docker login` has kept, beside the registry itself.
    """

    ca_file: Path | None = None
    config_dir: Path | None = None
    insecure: tuple[str, ...] = ()
    token_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to one registry; all empty for nobody.

    Attributes:
        user: the name.
        password: that goes with it.
        identity_token: in place of a password, for a token of access.
        registry_token: is a token of access itself.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.password or self.identity_token or self.registry_token)

    @property
    def who(self) -> str:
        """For messages."""
        return f"user {self.user!a}" if self.user else "its token" if self else "nobody"


NOBODY = Credentials()
