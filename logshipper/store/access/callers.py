"""Who has come, and why somebody is sent away."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from wharfinger.errors import Rejected

Kind = Literal["anyone", "token", "session", "user", "certificate"]
ANYONE: Final = "anyone"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may.

    Attributes:
        tenant: whose lines.
        name: who, for people; never a token.
        address: where from.
        kind: by what they are known.
        key: tells this one from all others, whatever the names are.
    """

    tenant: str
    name: str
    address: str
    kind: Kind
    key: Hashable

    @property
    def label(self) -> str:
        """The name for a metric: users are the proxy's, and may be any number."""
        return f"({self.kind})" if self.kind in {"user", "certificate"} else self.name


class Denied(Rejected):
    """Somebody may not, or not now.

    Attributes:
        status: of the answer.
        reason: as the metric labels it.
        fix: what to do about it.
        headers: to send with the answer.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        problem: str,
        fix: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.reason = reason
        self.fix = fix
        self.headers = dict(headers or {})
