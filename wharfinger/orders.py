"""What is asked of another host's registrar by way of etcd: one grammar, JSON both ways."""

from typing import Annotated, Final, Literal

import msgspec

from wharfinger.errors import Rejected
from wharfinger.keys import HostKey, InstanceKey
from wharfinger.text import printable, shortened

Verb = Literal["drain", "undrain"]
State = Literal["waiting", "running", "done", "failed"]

MAX_BYTES: Final = 16_384
MAX_STEPS: Final = 40
MAX_STEP_LENGTH: Final = 300
MAX_BY_LENGTH: Final = 64
_MAX_TARGET_LENGTH: Final = 400
# What is left is more than all else can take.
_MAX_STEPS_BYTES: Final = MAX_BYTES - 4_096
REGISTRAR: Final = "registrar"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order, and what has become of it.

    Attributes:
        verb: what to do.
        target: the address key of an instance, or the name of the host, whole.
        by: who asks, as the one who wrote it knows them.
        at: when they asked, RFC 3339.
        state: how far it is.
        steps: what was done, in words, oldest first.
    """

    verb: Verb
    target: Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_TARGET_LENGTH)]
    by: Annotated[str, msgspec.Meta(max_length=MAX_BY_LENGTH)] = ""
    at: Annotated[str, msgspec.Meta(max_length=40)] = ""
    state: State = "waiting"
    steps: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=MAX_STEP_LENGTH)], ...],
        msgspec.Meta(max_length=MAX_STEPS),
    ] = ()

    @property
    def instance(self) -> InstanceKey | None:
        """The instance that it is about; None where it is about the host."""
        return InstanceKey.parse(self.target) if self.target.startswith("/") else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed")

    def told(self, state: State, step: str) -> "Order":
        """With one more step; of too many, or too long ones, the oldest but the first go."""
        step = printable(shortened(step, MAX_STEP_LENGTH - 40))[:MAX_STEP_LENGTH]
        steps = self.steps if not step or step in self.steps[-1:] else (*self.steps, step)
        while len(steps) > MAX_STEPS or len(msgspec.json.encode(steps)) > _MAX_STEPS_BYTES:
            steps = (steps[0], *steps[2:])
        return msgspec.structs.replace(self, state=state, steps=steps)

    def news(self, before: tuple[str, ...]) -> tuple[str, ...]:
        """The steps that were told since these stood there, though older ones may have gone."""
        for count in range(len(self.steps)):
            held = self.steps[: len(self.steps) - count]
            # The first stays; of the others those that are left are the latest of before.
            if held[:1] == before[:1] and held[1:] == before[len(before) - len(held) + 1 :]:
                return self.steps[len(held) :]
        return self.steps


_DECODER: Final = msgspec.json.Decoder(Order)


def encode(order: Order) -> bytes:
    """The value below /wharfinger/orders/."""
    return msgspec.json.encode(order)


def parse(value: bytes, host: str) -> Order:
    """Reads one value below /wharfinger/orders/<HOST>/, trusting nobody who wrote it.

    Args:
        value: as it stands in etcd.
        host: whose it is, by its key.

    Raises:
        Rejected: it is no order, or one for another host.
    """
    if len(value) > MAX_BYTES:
        raise Rejected(f"an order of {len(value)} bytes; {MAX_BYTES} are allowed")
    try:
        order = _DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"order: {error}") from None
    if not all(text.isprintable() for text in (order.by, order.at, order.target, *order.steps)):
        raise Rejected("the order has characters that cannot be printed")
    instance = order.instance
    if instance is not None and instance.address != order.target:
        raise Rejected(f"the target is not written as {instance.address}")
    if instance is None and HostKey(order.target, REGISTRAR).host != host:
        raise Rejected(f"the order is for host {shortened(order.target, 80)!a}, not {host!a}")
    return order
