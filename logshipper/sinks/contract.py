"""What a sink is to the shipper, and the ways in which a request can fail."""

from collections.abc import Sequence
from typing import Protocol

from logshipper.encoding import Encoding
from logshipper.model import Verdict
from wharfinger.errors import Rejected, Unavailable


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


class Sink(Protocol):
    """A place that documents go to; one attempt for each call.

    Attributes:
        encoding: of the documents that it takes.
        limit_documents: more are never sent at once.
        remote: a connection tells whether it is there.
    """

    encoding: Encoding
    remote: bool
    limit_documents: int

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
