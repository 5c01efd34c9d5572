"""When workers that pile up are told of."""

from discovery.nginx.oldworkers import FEW, MANY, OldWorkers
from wharfinger.lifecycle import Scope
from wharfinger.notify import Notifier


async def test_that_they_pile_up_is_told_once() -> None:
    scope = Scope("discovery", Notifier())
    workers = OldWorkers(scope)

    def count(number: int) -> int:
        workers.take(number)
        lines = [line["event"] for _, line in scope.events.since(0)]
        return lines.count("nginx workers pile up")

    assert count(MANY - 1) == 0
    assert count(MANY) == 1
    assert count(MANY + 5) == 1
    assert count(FEW + 1) == 1
    assert count(MANY) == 1  # it had not really fallen
    assert count(FEW) == 1
    assert count(MANY) == 2
