"""Go's sort.Sort: in what order it leaves what is equal is its own, and confd's files show it.

It is the pattern-defeating quicksort of Go 1.19 and later (sort/zsortinterface.go), step by step.
"""

from collections.abc import Sequence
from typing import Any, Final

_MAX_INSERTION: Final = 12
_SHORTEST_MEDIAN: Final = 8
_SHORTEST_NINTHER: Final = 50
_SHORTEST_SHIFTING: Final = 50
_MAX_SHIFTS: Final = 5
_MAX_SWAPS: Final = 12
_UNBALANCED: Final = 8
_WORD: Final = 2**64 - 1


def sort(items: list[Any], keys: Sequence[int]) -> None:
    """Sorts the items by their keys, in place."""
    _Sorting(items, list(keys)).quick(0, len(items), len(items).bit_length())


class _Sorting:
    """Items and their keys, which move together.

    Args:
        items: to be sorted.
        keys: one for each.
    """

    def __init__(self, items: list[Any], keys: list[int]) -> None:
        self._items = items
        self._keys = keys

    def quick(self, low: int, high: int, limit: int) -> None:
        """Sorts from `low` to before `high`; after `limit` bad pivots another way."""
        balanced = partitioned = True
        while (length := high - low) > _MAX_INSERTION:
            if not limit:
                self._heap(low, high)
                return
            if not balanced:
                self._scatter(low, high)
                limit -= 1
            pivot, swaps = self._pivot(low, high)
            if swaps == _MAX_SWAPS:
                self._items[low:high] = self._items[low:high][::-1]
                self._keys[low:high] = self._keys[low:high][::-1]
                pivot = high - 1 - (pivot - low)
            rising = swaps in {0, _MAX_SWAPS}
            if balanced and partitioned and rising and self._nearly_sorted(low, high):
                return
            if low > 0 and self._keys[low - 1] >= self._keys[pivot]:
                low = self._partition_equal(low, high, pivot)
                continue
            middle, partitioned = self._partition(low, high, pivot)
            left, right = middle - low, high - middle
            balanced = min(left, right) >= length // _UNBALANCED
            if left < right:
                self.quick(low, middle, limit)
                low = middle + 1
            else:
                self.quick(middle + 1, high, limit)
                high = middle
        self._insert(low, high)

    def _swap(self, one: int, other: int) -> None:
        items, keys = self._items, self._keys
        items[one], items[other] = items[other], items[one]
        keys[one], keys[other] = keys[other], keys[one]

    def _insert(self, low: int, high: int) -> None:
        keys = self._keys
        for start in range(low + 1, high):
            at = start
            while at > low and keys[at] < keys[at - 1]:
                self._swap(at, at - 1)
                at -= 1

    def _heap(self, low: int, high: int) -> None:
        size = high - low
        for root in range((size - 1) // 2, -1, -1):
            self._sift(root, size, low)
        for last in range(size - 1, -1, -1):
            self._swap(low, low + last)
            self._sift(0, last, low)

    def _sift(self, root: int, size: int, first: int) -> None:
        keys = self._keys
        while (child := 2 * root + 1) < size:
            if child + 1 < size and keys[first + child] < keys[first + child + 1]:
                child += 1
            if keys[first + root] >= keys[first + child]:
                return
            self._swap(first + root, first + child)
            root = child

    def _scatter(self, low: int, high: int) -> None:
        length = high - low
        random, mask = length, (1 << length.bit_length()) - 1
        middle = low + length // 4 * 2
        for at in range(middle - 1, middle + 2):
            random ^= random << 13 & _WORD
            random ^= random >> 7
            random ^= random << 17 & _WORD
            other = random & mask
            self._swap(at, low + (other if other < length else other - length))

    def _pivot(self, low: int, high: int) -> tuple[int, int]:
        """Where it is, and how many of those looked at stand the wrong way round."""
        length = high - low
        quarter = length // 4
        trio = low + quarter, low + quarter * 2, low + quarter * 3
        swaps = 0
        if length >= _SHORTEST_NINTHER:
            found = [self._median(at - 1, at, at + 1) for at in trio]
            trio = found[0][0], found[1][0], found[2][0]
            swaps = sum(each for _, each in found)
        if length < _SHORTEST_MEDIAN:
            return trio[1], swaps
        pivot, more = self._median(*trio)
        return pivot, swaps + more

    def _median(self, one: int, two: int, three: int) -> tuple[int, int]:
        keys, swaps = self._keys, 0
        if keys[two] < keys[one]:
            one, two, swaps = two, one, swaps + 1
        if keys[three] < keys[two]:
            two, swaps = three, swaps + 1
        if keys[two] < keys[one]:
            two, swaps = one, swaps + 1
        return two, swaps

    def _nearly_sorted(self, low: int, high: int) -> bool:
        keys, at = self._keys, low + 1
        for _ in range(_MAX_SHIFTS):
            while at < high and keys[at] >= keys[at - 1]:
                at += 1
            if at == high:
                return True
            if high - low < _SHORTEST_SHIFTING:
                return False
            self._swap(at, at - 1)
            self._shift(low, at, high)
        return False

    def _shift(self, low: int, at: int, high: int) -> None:
        keys = self._keys
        if at - low > 1:
            for left in range(at - 1, 0, -1):
                if keys[left] >= keys[left - 1]:
                    break
                self._swap(left, left - 1)
        if high - at > 1:
            for right in range(at + 1, high):
                if keys[right] >= keys[right - 1]:
                    break
                self._swap(right, right - 1)

    def _partition(self, low: int, high: int, pivot: int) -> tuple[int, bool]:
        keys = self._keys
        self._swap(low, pivot)
        left, right, moved = low + 1, high - 1, False
        key = keys[low]
        while True:
            while left <= right and keys[left] < key:
                left += 1
            while left <= right and keys[right] >= key:
                right -= 1
            if left > right:
                self._swap(right, low)
                return right, not moved
            self._swap(left, right)
            left, right, moved = left + 1, right - 1, True

    def _partition_equal(self, low: int, high: int, pivot: int) -> int:
        keys = self._keys
        self._swap(low, pivot)
        left, right = low + 1, high - 1
        key = keys[low]
        while True:
            while left <= right and keys[left] <= key:
                left += 1
            while left <= right and keys[right] > key:
                right -= 1
            if left > right:
                return left
            self._swap(left, right)
            left, right = left + 1, right - 1
