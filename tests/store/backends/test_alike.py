"""The same questions, asked of each back end, find the same lines in the same order."""

from typing import Any

import pytest

from tests.store.backends import corpus
from tests.store.backends.conftest import Above

BACKENDS = ["victorialogs", "elastic"]


@pytest.fixture(params=BACKENDS)
def other(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"above_{request.param}")


def moment(clock: str) -> str:
    return clock and f"{corpus.DAY}T{clock}Z"


async def test_searches(embedded: Above, other: Above) -> None:
    differing = []
    for question in corpus.QUESTIONS:
        wanted = await embedded.page(q=question, limit=200)
        found = await other.page(q=question, limit=200)
        if _by_time(found) != _by_time(wanted):
            differing.append((question, wanted, found))
    assert differing == []


def _by_time(page: tuple[list[str], bool]) -> tuple[list[str], bool]:
    # Lines of one nanosecond stand in the order of their arrival, or in none that is known.
    return sorted(page[0]), page[1]
