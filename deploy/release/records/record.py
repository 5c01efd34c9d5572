"""What etcd holds of one release in one environment; read as hostile, pure."""

import re
from typing import Annotated, Final, Literal

import msgspec

from deploy.release.reference import by_digest
from wharfinger.errors import Rejected, Unavailable
from wharfinger.keys import DEPLOY, Service
from wharfinger.text import printable, shortened

MAX_BYTES: Final = 16_384
MAX_TEXT_LENGTH: Final = 512
MAX_LINES: Final = 20
MAX_LINE_LENGTH: Final = 400
MAX_NUMBER: Final = 10**12 - 1
_FULL_BYTES: Final = MAX_BYTES - 100
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)

State = Literal["running", "succeeded", "failed", "rolled back"]
Verb = Literal["up", "promote", "rollback", "scale", "down"]

_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout; written as it begins, and once more as it ends.

    Attributes:
        release: `r12`; of a take-down, what was to run before it.
        image: with its repository and digest.
        digest: `sha256:...`.
        state: `rolled back`: it did not come up, and what ran before it runs again.
        at: when it began, RFC 3339.
        by: who asked.
        why: what went wrong; empty where nothing did.
        said: what was said of that beside, line by line.
        verb: what was asked for.
        source: the environment that it was promoted from.
        replicas: how many instances it brings.
        declared: how many wharf.yaml asked for; another number here later undoes a scale.
        engine: that runs them.
        approval: the words of whoever approved it.
        waived: why it went there without the evidence that was asked for.
        reason: why there are so many instances, where a rule has said it.
        ended: when it ended, RFC 3339.
    """

    release: _Text
    image: _Text = ""
    digest: _Text = ""
    state: State
    at: _Text = ""
    by: _Text = ""
    why: _Text = ""
    said: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=MAX_LINES)] = ()
    verb: Verb = "up"
    source: _Text = msgspec.field(default="", name="from")
    replicas: Annotated[int, msgspec.Meta(ge=0)] = 0
    declared: Annotated[int, msgspec.Meta(ge=0)] = 0
    engine: _Text = ""
    approval: _Text = ""
    waived: _Text = ""
    reason: _Text = ""
    ended: _Text = ""

    @property
    def runnable(self) -> str:
        """The image, for an engine to be given again.

        Raises:
            Unavailable: it is no `REPOSITORY@sha256:...` of the record's own digest; an engine
                would read flags or variables in it, or run another image than was looked at.
        """
        try:
            if by_digest(self.image.rpartition("@")[0], self.digest) == self.image:
                return self.image
        except Rejected:
            pass
        shown = shortened(self.image, 80)
        raise Unavailable(f"the record of {self.release} names no image of its digest: {shown!a}")

    def over(self, state: State, at: str, why: str = "") -> "Record":
        """As it ended; the first line of what went wrong is why, the last ones are kept as well."""
        lines = [_line(each) for each in why.splitlines() if each.strip()]
        said = lines[1:][-MAX_LINES:]
        ended = msgspec.structs.replace(self, state=state, ended=at, why="".join(lines[:1]))
        # Letters may take four bytes each: the last lines say most.
        while said and len(encode(ended)) + len(msgspec.json.encode(said)) > _FULL_BYTES:
            del said[0]
        return msgspec.structs.replace(ended, said=tuple(said))


class Numbered(msgspec.Struct, frozen=True):
    """A record and its place in the history of its environment, from 1."""

    number: int
    record: Record


_DECODER: Final = msgspec.json.Decoder(Record)


def folder(service: Service) -> str:
    """Below which all of an environment's records stand."""
    return f"{DEPLOY}{service.name}/releases/"


def lock_key(service: Service) -> str:
    """Where the lock of an environment stands while somebody has it."""
    return f"{DEPLOY}{service.name}/lock"


def number_of(key: str, folder: str) -> int:
    """The number of a record, by its key, which is the only one of that number.

    Raises:
        Rejected: it is none: a record that is ended must stand where it was read.
    """
    number = key.removeprefix(folder)
    if not _NUMBER.fullmatch(number):
        raise Rejected(f"{shortened(number, 80)!a} is no release's number")
    return int(number)


def encode(record: Record) -> bytes:
    """The value in etcd."""
    return msgspec.json.encode(record)


def parse(value: bytes) -> Record:
    """Reads a value, trusting nobody who wrote it.

    Raises:
        Rejected: it is no record.
    """
    if len(value) > MAX_BYTES:
        raise Rejected(f"a record of {len(value)} bytes; {MAX_BYTES} are allowed")
    try:
        found = _DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"record: {error}") from None
    texts = [each for each in msgspec.structs.astuple(found) if isinstance(each, str)]
    if not all(each.isprintable() for each in (*texts, *found.said)):
        raise Rejected("the record has characters that cannot be printed")
    return found


def text(given: str) -> str:
    """What somebody said, as a record can hold it."""
    return printable(shortened(" ".join(given.split()), MAX_LINE_LENGTH))[:MAX_TEXT_LENGTH]


def _line(given: str) -> str:
    return printable(shortened(given.rstrip(), MAX_LINE_LENGTH))[:MAX_TEXT_LENGTH]
