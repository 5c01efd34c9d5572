"""Which image is which release: `/wharfinger/deploy/<APP>/pushes/<N>` in etcd, never changed."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from wharfinger.errors import Rejected
from wharfinger.etcd import Etcd
from wharfinger.keys import DEPLOY, Service
from wharfinger.kv import Put, absent

MAX_BYTES: Final = 16_384
MAX_TEXT_LENGTH: Final = 512
MAX_NUMBER: Final = 10**9 - 1
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")

_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was pushed, and the release that it became.

    Attributes:
        release: `r12`.
        image: the repository, with its registry.
        digest: of its manifest.
        at: when, RFC 3339, UTC.
        by: who pushed it.
        revision: of the source, as Git calls it; empty where there is none.
        image_id: as the engine that built it calls it.
    """

    release: Annotated[str, msgspec.Meta(pattern=r"^r[1-9][0-9]{0,8}\Z")]
    image: _Text
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    at: _Text = ""
    by: _Text = ""
    revision: _Text = ""
    image_id: _Text = ""

    @property
    def number(self) -> int:
        """12 of `r12`."""
        return int(self.release[1:])

    @property
    def reference(self) -> str:
        """`IMAGE@sha256:...`."""
        return f"{self.image}@{self.digest}"


_PUSH: Final = msgspec.json.Decoder(Push)


@dataclass(frozen=True, slots=True)
class Held:
    """What etcd holds of an application's pushes.

    Attributes:
        pushes: by number.
        taken: the highest number, though what stands there may be no push; 0 for none.
    """

    pushes: tuple[Push, ...]
    taken: int


class Pushes:
    """The pushes of one application.

    Args:
        etcd: the session.
        app: its name.

    Raises:
        Rejected: that cannot stand in a key.
    """

    def __init__(self, etcd: Etcd, app: str) -> None:
        # The grammar of names is that of services; of which environment, no push knows.
        self._prefix = f"{DEPLOY}{Service(app, 'any').app}/pushes/"
        self._etcd = etcd

    async def held(self) -> Held:
        """All that stands there at one moment.

        Raises:
            Unavailable: etcd is away.
        """
        items = (await self._etcd.list(self._prefix)).items
        found = (self._read(key, kv.value) for key, kv in items.items())
        names = (key.removeprefix(self._prefix) for key in items)
        return Held(
            tuple(sorted((each for each in found if each), key=lambda each: each.number)),
            max((int(name) for name in names if _NUMBER.fullmatch(name)), default=0),
        )

    async def all(self) -> tuple[Push, ...]:
        """All of them, by number; what stands there and is none is left out.

        Raises:
            Unavailable: etcd is away.
        """
        return (await self.held()).pushes

    async def newest(self, image: str) -> Push | None:
        """The last to a repository; None where nothing was pushed there yet.

        Raises:
            Unavailable: etcd is away.
        """
        return next((each for each in reversed(await self.all()) if each.image == image), None)

    async def add(self, push: Push) -> bool:
        """Keeps one, unless its number is taken; says whether it was kept.

        Raises:
            Unavailable: etcd is away; it may have been kept or not.
            Rejected: there are no more numbers.
        """
        if push.number > MAX_NUMBER:
            raise Rejected(f"{push.release} is more than a release can be")
        key = f"{self._prefix}{push.number}"
        value = msgspec.json.encode(push)
        return (await self._etcd.transact((absent(key),), (Put(key, value),))).succeeded

    def _read(self, key: str, value: bytes) -> Push | None:
        if len(value) > MAX_BYTES:
            return None
        try:
            found = _PUSH.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        told = msgspec.structs.astuple(found)
        sound = key == f"{self._prefix}{found.number}" and all(map(str.isprintable, told))
        return found if sound else None
