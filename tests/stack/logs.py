"""What the real parts wrote, shown beside a test that failed."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from wharfinger.operator.parts.process import Process

SHOWN_LINES = 60


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Adds the end of each part's log to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for name, part in getattr(item, "funcargs", {}).items():
        for process in processes(part):
            heading = f"{name}: end of {process.log}"
            report.sections.append((heading, process.log_tail(SHOWN_LINES)))


def processes(part: object) -> Iterator[Process]:
    """The processes that a fixture's value holds."""
    for candidate in (part, *(getattr(part, name, None) for name in ("process", "containerd"))):
        if isinstance(candidate, Process):
            yield candidate
