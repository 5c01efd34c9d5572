"""The orders that stand in etcd, and for a while those that lapsed; within bounds, pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from logshipper.store.fleet import shown
from wharfinger.keys import OrderKey
from wharfinger.orders import Order

SHOWN_SECONDS: Final = 600.0
"""For how long an order that lapsed is told of."""
MAX_ORDERS: Final = 500
# Each host may write below its own name: it must not push what is asked of others out of sight.
MAX_OF_HOST: Final = 100

Lapsed = Mapping[str, tuple[OrderKey, Order, float]]


class OrderBook:
    """Orders by their ids, which are random: one of another host with the same id is forged.

    Attributes:
        dirty: ids of those that have changed; its reader takes them away.
    """

    def __init__(self) -> None:
        self._standing: dict[str, tuple[OrderKey, Order]] = {}
        self._lapsed: dict[str, tuple[OrderKey, Order, float]] = {}
        self.dirty: set[str] = set()

    def is_of_another(self, key: OrderKey) -> bool:
        """Whether another host has an order of this id."""
        known = self._standing.get(key.id) or self._lapsed.get(key.id)
        return known is not None and known[0].host != key.host

    def take(self, key: OrderKey, order: Order | None, now: float) -> None:
        """Takes what stands at a key; None for nothing, which is a lapse unless it was over."""
        before = self._standing.pop(key.id, None)
        if order is not None:
            self._lapsed.pop(key.id, None)
            self._standing[key.id] = (key, order)
            self._bound(self._standing, key.host)
        elif before is not None and not before[1].is_over:
            self._lapse(*before, now)
        self.dirty.add(key.id)

    def expire(self, now: float) -> None:
        """Forgets those that lapsed long ago."""
        for order_id, (*_, at) in list(self._lapsed.items()):
            if now - at > SHOWN_SECONDS:
                del self._lapsed[order_id]
                self.dirty.add(order_id)

    def left(self, now: float) -> Lapsed:
        """What has lapsed for whoever finds it in etcd no more."""
        unfinished = [pair for pair in self._standing.values() if not pair[1].is_over]
        return {**self._lapsed, **{key.id: (key, order, now) for key, order in unfinished}}

    def inherit(self, left: Lapsed) -> None:
        """Takes over those that do not stand in etcd."""
        for order_id, gone in left.items():
            if order_id not in self._standing:
                self._lapse(*gone)

    def told(self, order_id: str) -> dict[str, Any] | None:
        """One as it is shown; None where there is none."""
        if (found := self._standing.get(order_id)) is not None:
            return shown.order(*found)
        if (gone := self._lapsed.get(order_id)) is not None:
            return shown.order(gone[0], gone[1], lapsed=True)
        return None

    def ids(self) -> Iterator[str]:
        """Of all."""
        yield from self._standing
        yield from self._lapsed

    def _lapse(self, key: OrderKey, order: Order, now: float) -> None:
        self._lapsed[key.id] = (key, order, now)
        self._bound(self._lapsed, key.host)

    def _bound(self, held: dict[str, Any], host: str) -> None:
        """Lets the oldest go: of a host that has many, or of all."""
        own = [order_id for order_id, (key, *_) in held.items() if key.host == host]
        surplus = own[: max(0, len(own) - MAX_OF_HOST)]
        if not surplus and len(held) > MAX_ORDERS:
            surplus = [next(iter(held))]
        for order_id in surplus:
            del held[order_id]
            self.dirty.add(order_id)
