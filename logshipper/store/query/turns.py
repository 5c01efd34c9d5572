"""Threads for questions, in turns: whoever asks much does not keep the others waiting."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

# Whose question it is that a request asks; who sets none is one asker with all such others.
ASKER: Final[ContextVar[Hashable]] = ContextVar("asker", default="")

_LOOKED_THROUGH: Final = 128

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Work:
    future: "Future[Any]"
    call: Callable[[], Any]


class Turns(Executor):
    """Runs questions in threads; the next is always one of whoever has the fewest running.

    One asker never has all threads: the last one is kept for somebody else.

    Args:
        threads: how many there are, two at least.
        waiting: is told how many questions wait.
    """

    def __init__(self, threads: int, waiting: Callable[[int], None] = lambda _count: None) -> None:
        self._threads = ThreadPoolExecutor(threads, "reader")
        self._free = threads
        self._most = threads - 1
        self._tell = waiting
        self._lock = threading.Lock()
        self._running: Counter[Hashable] = Counter()
        self._queues: OrderedDict[Hashable, deque[_Work]] = OrderedDict()
        self._ended = False

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Queues a question of the current `ASKER`.

        Raises:
            RuntimeError: it was shut down.
        """
        future: Future[T] = Future()
        work = _Work(future, lambda: call(*args, **kwargs))
        with self._lock:
            if self._ended:
                message = "no questions are taken any more"
                raise RuntimeError(message)
            queue = self._queues.setdefault(ASKER.get(), deque())
            queue.append(work)
            if len(queue) > _LOOKED_THROUGH:
                # Askers that went away again leave what they asked behind.
                still = [each for each in queue if not each.future.cancelled()]
                queue.clear()
                queue.extend(still)
            self._start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's own
        """Takes no more; what waits is given up, whatever `cancel_futures` says."""
        with self._lock:
            self._ended = True
            given_up = [work for queue in self._queues.values() for work in queue]
            self._queues.clear()
        for work in given_up:
            work.future.cancel()
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _start(self) -> None:
        """Starts what can be started; under the lock."""
        while self._free and (asker := self._next()) is not None:
            queue = self._queues[asker]
            work = queue.popleft()
            self._queues.move_to_end(asker)
            if not queue:
                del self._queues[asker]
            if not work.future.set_running_or_notify_cancel():
                continue
            self._free -= 1
            self._running[asker] += 1
            self._threads.submit(self._run, asker, work)
        self._tell(sum(map(len, self._queues.values())))

    def _next(self) -> Hashable | None:
        # Of those with equally many, whoever was not served for longest stands first.
        ready = [asker for asker in self._queues if self._running[asker] < self._most]
        return min(ready, key=self._running.__getitem__, default=None)

    def _run(self, asker: Hashable, work: _Work) -> None:
        try:
            result = work.call()
        except BaseException as error:  # noqa: BLE001 - it is the asker's, whatever it is
            work.future.set_exception(error)
        else:
            work.future.set_result(result)
        finally:
            with self._lock:
                self._free += 1
                self._running[asker] -= 1
                if not self._running[asker]:
                    del self._running[asker]
                if not self._ended:
                    self._start()
