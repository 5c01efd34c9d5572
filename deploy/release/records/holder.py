"""Who changes an environment, as its lock in etcd says it; read as hostile."""

import os
from typing import Annotated

import msgspec

from deploy.release.records.record import MAX_BYTES, MAX_TEXT_LENGTH
from wharfinger.kv import KeyValue

_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has the lock.

    Attributes:
        by: who asked.
        host: where the command runs.
        pid: of it.
        verb: that it does.
        at: since when, RFC 3339.
    """

    by: _Text = ""
    host: _Text = ""
    pid: int = 0
    verb: _Text = ""
    at: _Text = ""

    def __str__(self) -> str:
        return self._said(f"{self.verb}, on {self.host}, pid {self.pid}, since {self.at}")

    @property
    def brief(self) -> str:
        """The same in few words: `ann (up)`."""
        return self._said(self.verb)

    def _said(self, of: str) -> str:
        who = self.by if self.by.isprintable() and self.by else "somebody"
        return ascii(f"{who} ({of})")[1:-1]


def read(kv: KeyValue) -> Holder:
    """Who says to have it; whatever stands there, it is locked."""
    try:
        if len(kv.value) <= MAX_BYTES:
            return msgspec.json.decode(kv.value, type=Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return Holder(by="somebody who does not say")


def ourselves(by: str, host: str, verb: str, at: str) -> Holder:
    """What we say of us."""
    return Holder(by=by, host=host, pid=os.getpid(), verb=verb, at=at)
