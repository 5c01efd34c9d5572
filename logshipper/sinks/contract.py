"""What a sink is to the shipper, and the ways in which a request can fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from logshipper.encoding import Encoding
from logshipper.model import Verdict
from wharfinger.errors import Rejected, Unavailable
from wharfinger.expiry import Validity


class Later(Unavailable):
    """The sink asks to be left alone for a while.

    Attributes:
        retry_after_seconds: no request before that.
    """

    def __init__(self, why: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_seconds = retry_after_seconds


class TooLarge(Rejected):
    """The body is larger than the sink takes (413): send less at once."""


class Indigestible(Rejected):
    """The sink refused the body as a whole, or did not account for every document in it.

    Something in it may be at fault, or the sink itself: only smaller bodies can tell.
    """


@dataclass(frozen=True, slots=True)
class End:
    """When a certificate of one of the two sides ends.

    Attributes:
        ours: we show it.
        whose: it is, for people.
        validity: from when until when it is good.
        fix: what to do about its end.
    """

    ours: bool
    whose: str
    validity: Validity
    fix: str

    def told(self, now: datetime) -> str:
        """For people; the end and what to do."""
        return f"{self.whose} {self.validity.remark(now)}: {self.fix}"


class Renewable(Protocol):
    """Certificates of connections, which are taken up anew where their files have changed."""

    @property
    def latest(self) -> object:
        """What the next connection is made with: another one once other files are in use."""

    @property
    def trouble(self) -> str:
        """Why the files cannot be used as they are; what was read before is, meanwhile."""

    async def look(self) -> None:
        """Takes up files that have changed."""

    def ends(self) -> Sequence[End]:
        """What is known of both sides; of a server once it was reached."""

    def status(self) -> dict[str, object]:
        """How they stand."""


class Sink(Protocol):
    """A place that documents go to; one attempt for each call.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.
        remote: a connection tells whether it is there.
        certificates: of its connections over TLS; None where it has none.
    """

    encoding: Encoding
    remote: bool
    limit_documents: int

    @property
    def certificates(self) -> Renewable | None:
        """See above; nobody puts others in their place."""

    async def send(self, documents: Sequence[bytes]) -> Verdict:
        """Sends documents and tells what became of each.

        Raises:
            Unavailable: nothing is known of any of them; `Later` says when to come back.
            TooLarge: it was too much at once.
            Indigestible: see there.
        """

    async def reach(self) -> None:
        """Looks whether it is there, without sending anything.

        Raises:
            Unavailable: it is not.
        """

    def refresh(self) -> None:
        """Reads its secrets and certificates again.

        Raises:
            ConfigError: one of them cannot be used; it goes on with the old ones.
        """

    async def close(self) -> None:
        """Closes its connections."""
