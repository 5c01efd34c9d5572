"""The JSON of scanners, as they wrote it on one machine, and as none does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.evidence import scans
from wharfinger.errors import Rejected


def outcome(value: Any, tool: str = "") -> Any:
    return scans.outcome(json.dumps(value).encode(), tool)


RUFF = [
    {
        "cell": None,
        "code": "S605",
        "filename": "src/a.py",
        "location": {"column": 1, "row": 2},
        "message": "Starting a process with a shell",
        "url": "https://docs.astral.sh/ruff/rules/start-process-with-a-shell",
    },
    {
        "cell": None,
        "code": None,
        "filename": "src/broken.py",
        "location": {"column": 5, "row": 1},
        "message": "SyntaxError: Expected an identifier",
        "url": None,
    },
]
HADOLINT = [
    {
        "code": "DL3007",
        "column": 1,
        "file": "Dockerfile",
        "level": "warning",
        "line": 1,
        "message": "x",
    },
    {
        "code": "DL4000",
        "column": 1,
        "file": "Dockerfile",
        "level": "style",
        "line": 2,
        "message": "x",
    },
]
BANDIT = {
    "errors": [{"filename": "src/broken.py", "reason": "syntax error while parsing AST from file"}],
    "generated_at": "2026-11-26T13:29:35Z",
    "metrics": {"_totals": {"loc": 5}, "src/a.py": {"loc": 3}, "src/broken.py": {"loc": 1}},
    "results": [
        {"filename": "src/a.py", "issue_severity": "HIGH", "line_number": 2, "test_id": "B605"}
    ],
}  # fmt: skip
SECRETS = {
    "version": "1.5.0",
    "plugins_used": [
        {"name": "AWSKeyDetector"},
        {"name": "KeywordDetector", "keyword_exclude": ""},
    ],
    "filters_used": [],
    "results": {
        "src/a.py": [
            {
                "type": "AWS Access Key",
                "filename": "src/a.py",
                "is_verified": False,
                "line_number": 3,
            },
            {"type": "Secret Keyword", "is_secret": False, "line_number": 3},
        ]
    },
    "generated_at": "2026-11-26T13:29:36Z",
}
AUDIT = {
    "dependencies": [
        {"name": "aiohttp", "version": "3.14.5", "vulns": []},
        {"name": "jinja2", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]},
        {"name": "ours", "skip_reason": "Dependency not found on PyPI and could not be audited"},
    ],
    "fixes": [],
}


@pytest.mark.parametrize(
    ("report", "tool", "figures", "amiss"),
    [
        (RUFF, "ruff", (2, 1, 1), ["src/a.py:2: S605", "src/broken.py:1: None"]),
        (HADOLINT, "hadolint", (2, 1, 0), ["Dockerfile:1: DL3007"]),
        (BANDIT, "bandit", (2, 1, 1), ["src/a.py:2: B605"]),
        (SECRETS, "detect-secrets", (2, 1, 0), ["src/a.py:3: AWS Access Key"]),
        (AUDIT, "pip-audit", (3, 1, 1), ["jinja2", "ours: could not be looked up"]),
    ],
)
def test_what_each_tool_found(
    report: Any, tool: str, figures: tuple[int, int, int], amiss: list[str]
) -> None:
    found = outcome(report)
    assert (found.tests, found.failures, found.errors) == figures
    assert found.tool == tool
    assert list(found.amiss) == amiss


def test_the_version_is_told_where_the_report_has_it() -> None:
    assert outcome(SECRETS).tool_version == "1.5.0"


def test_a_scan_of_nothing_has_no_test() -> None:
    """bandit of an empty folder: exit code 0, no result, no file."""
    assert outcome({"errors": [], "metrics": {"_totals": {"loc": 0}}, "results": []}).tests == 0
    assert outcome({"dependencies": [], "fixes": []}).tests == 0


@pytest.mark.parametrize("tool", ["ruff", "hadolint"])
def test_an_empty_list_is_of_whom_it_is_said_to_be(tool: str) -> None:
    found = outcome([], tool)
    assert (found.tests, found.failures, found.tool) == (1, 0, tool)


def test_an_empty_list_of_nobody_is_refused() -> None:
    with pytest.raises(Rejected, match="name the tool"):
        outcome([], "lint")


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"results": []},
        [1],
        [{}],
        None,
        "ok",
        {"metrics": [], "results": {}, "errors": []},
        {"plugins_used": [], "results": {"a": [{"no": "type"}]}, "version": "1"},
        [{"filename": 1, "location": {}}],
        [*RUFF, 7],
        {"dependencies": [{"vulns": []}]},
    ],
)
def test_what_no_tool_writes_is_refused(report: Any) -> None:
    with pytest.raises(Rejected):
        outcome(report, "ruff")


def test_a_report_that_was_cut_off_is_refused() -> None:
    data = json.dumps(RUFF).encode()
    for length in (1, len(data) // 2, len(data) - 1):
        with pytest.raises(Rejected):
            scans.outcome(data[:length], "ruff")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(Rejected):
        scans.outcome(b"{" + data + b"\x00", "ruff")


def test_nesting_without_end_is_refused() -> None:
    for hostile in (b"[" * 200_000, b'{"a":' * 200_000):
        with pytest.raises(Rejected):
            scans.outcome(hostile, "ruff")
