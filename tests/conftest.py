"""Fixtures that every test may ask for."""

import asyncio
import importlib.util

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
        "tests.stack.rsyslog",
        "tests.stack.logs",
        "tests.stack.shipper",
        "tests.stack.runtime",
    )
    if importlib.util.find_spec(name) is not None
]

# pytest-asyncio asks for the current loop, which makes one that nobody closes where none was
# ever set (CPython 3.11, asyncio.get_event_loop); its warning would fail the whole run.
asyncio.set_event_loop(None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what the tests measured (`record_property`): the figures that documents quote."""
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
