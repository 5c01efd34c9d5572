"""From a tool's report to evidence: its figures, who looked, and the hash of what was read."""

import hashlib
from dataclasses import dataclass
from typing import Final

from deploy.release.evidence import junit, scans
from deploy.release.evidence.approval import PREFIX
from deploy.release.evidence.model import (
    MAX_TEXT_LENGTH,
    Evidence,
    checked,
    note_of,
    passes,
)
from wharfinger.errors import Rejected

MAX_REPORT_BYTES: Final = 16 << 20
# What may come before the first `<`: a byte order mark, blanks.
_BLANK: Final = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Who reports, with what, and when.

    Attributes:
        by: who.
        at: when, RFC 3339, UTC.
        tool: what looked, where the report does not tell; empty for what it does.
        tool_version: of that, likewise.
    """

    by: str
    at: str
    tool: str = ""
    tool_version: str = ""


def judge(check: str, report: bytes, reporter: Reporter) -> Evidence:
    """What a report says of a check.

    Args:
        check: its name.
        report: the file, whole: JUnit's XML, or the JSON of a tool that is known here.
        reporter: who brings it.

    Raises:
        Rejected: it cannot be read, so it shows nothing; or `check` is no name of one.
    """
    if checked(check).startswith(PREFIX):
        raise Rejected(f"{check} is no report of a tool: deploy promote --approve WORDS")
    if len(report) > MAX_REPORT_BYTES:
        raise Rejected(f"the report has more than {MAX_REPORT_BYTES >> 20} MiB")
    begins = report.lstrip(_BLANK)[:1]
    if not begins:
        raise Rejected("the report is empty: the tool did not run to its end")
    found = (
        junit.outcome(report) if begins == b"<" else scans.outcome(report, reporter.tool or check)
    )
    return Evidence(
        check=check,
        passed=passes(found.tests, found.failures, found.errors, found.skipped),
        tests=found.tests,
        failures=found.failures,
        errors=found.errors,
        skipped=found.skipped,
        tool=note_of(reporter.tool or found.tool, MAX_TEXT_LENGTH),
        tool_version=note_of(reporter.tool_version or found.tool_version, MAX_TEXT_LENGTH),
        sha256=hashlib.sha256(report).hexdigest(),
        at=reporter.at,
        by=note_of(reporter.by, MAX_TEXT_LENGTH),
        note=note_of("; ".join(found.amiss)),
    )
