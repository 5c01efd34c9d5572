"""Fixtures that every test may ask for."""

import asyncio
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_timeout
from hypothesis import HealthCheck, settings

# A change is judged by the same examples at each try; whoever works on it searches for new ones.
CI = os.environ.get("CI") == "true"

# How long an example takes says how busy the machine is.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=CI
)
settings.load_profile("patient")

# Each folder of real parts brings its own fixtures; a missing one is a mistake, not a skip.
pytest_plugins = [
    name
    for name in (
        "tests.stack.etcd",
        "tests.stack.dockerd",
        "tests.stack.nginx",
        "tests.stack.discovery",
        "tests.stack.pushed",
        "tests.stack.registrar",
        "tests.stack.registry",
        "tests.stack.releasesite",
        "tests.stack.commandsite",
        "tests.stack.fakeregistry",
        "tests.stack.rolling",
        "tests.stack.rsyslog",
        "tests.stack.logs",
        "tests.stack.shipper",
        "tests.stack.runtime",
        "tests.stack.journal",
        "tests.stack.package",
        "tests.stack.victorialogs",
        "tests.stack.lab.fixtures",
    )
    if importlib.util.find_spec(name) is not None
]

# pytest-asyncio asks for the current loop, which makes one that nobody closes where none was
# ever set (CPython 3.11, asyncio.get_event_loop); its warning would fail the whole run.
asyncio.set_event_loop(None)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for the path of a socket, which pytest's own folders are not."""
    found = Path(tempfile.mkdtemp(prefix="wf-", dir="/tmp"))
    yield found
    shutil.rmtree(found)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test a second try in CI, told with its failure by `_show_second_tries`.

    Several thousand tests wait for real servers on a shared machine. One of them that comes too
    late once says little of the change; one that fails twice does.
    """
    if CI:
        for item in items:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Gives a second try its own time: pytest-timeout counts once for all of a test's tries.

    The first one that hung has used that up, and a second one that hangs would do so for ever.
    """
    if getattr(item, "execution_count", 1) > 1:
        pytest_timeout.pytest_timeout_cancel_timer(item)
        limits = pytest_timeout._get_item_settings(item)
        item.ihook.pytest_timeout_set_timer(item=item, settings=limits)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows second tries, and the figures of `record_property` that documents quote."""
    _show_second_tries(terminalreporter)
    _show_measured(terminalreporter)


def _show_second_tries(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"tried a second time: {report.nodeid}", sep="-")
        terminalreporter.write_line(report.longreprtext)


def _show_measured(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for several in terminalreporter.stats.values() for each in several]
    rows = {
        (report.nodeid, f"{name}={value}")
        for report in reports
        for name, value in getattr(report, "user_properties", ())
    }
    if rows:
        terminalreporter.section("measured")
        for nodeid, figure in sorted(rows):
            terminalreporter.write_line(f"{nodeid.rpartition('/')[2]}: {figure}")
