"""Who has the lock of an environment, as it stands in etcd."""

import os
from typing import Annotated

import msgspec

from deploy.release.records.record import MAX_BYTES, lock_key
from wharfinger.etcd import Etcd
from wharfinger.keys import Service
from wharfinger.kv import KeyValue

_Text = Annotated[str, msgspec.Meta(max_length=512)]


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


async def holder_of(etcd: Etcd, service: Service) -> Holder | None:
    """Who has the lock; nobody: None.

    Raises:
        Unavailable: etcd does not answer.
    """
    kv = await etcd.get(lock_key(service))
    return None if kv is None else read(kv)


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
