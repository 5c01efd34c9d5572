"""JUnit's XML, as dozens of tools write it, read without trust: no DTD, so no entities; bounded.

There is no standard; what is counted is what stands there test by test, and what a suite says of
itself only where that is worse.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from deploy.release.evidence.outcome import NAMED, Outcome
from wharfinger.errors import Rejected

MAX_DEPTH: Final = 64
MAX_TESTS: Final = 1_000_000
MAX_ATTRIBUTES: Final = 200
_MAX_NAME_LENGTH: Final = 200
_CLAIMS: Final = ("failures", "errors", "skipped")
_SUITES: Final = ("testsuites", "testsuite")
_OUTCOMES: Final = {"failure": "failures", "error": "errors", "skipped": "skipped"}
# GoogleTest and others tell so of what they left out.
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_NOT_RUN: Final = {"notrun", "disabled", "skipped"}
_NOT_PASSED: Final = {"fail", "failed", "failure", "error", "errored"}


def outcome(data: bytes) -> Outcome:
    """The figures of a report.

    Raises:
        Rejected: it is no such report, is cut off, or asks its reader for more than to read.
    """
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.StartDoctypeDeclHandler = _refuse_dtd
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat's way to say: this is all
    except expat.ExpatError as error:
        raise Rejected(f"it is no XML to its end: {error}") from None
    except (ValueError, LookupError) as error:
        raise Rejected(f"it is no XML that can be read: {error}") from None
    return reading.outcome()


def _refuse_dtd(*_: object) -> None:
    raise Rejected("it has a DTD: no report needs one, and entities can do harm")


@dataclass(slots=True)
class _Reading:
    """Where the parser is, and what was counted so far."""

    open: list[str] = field(default_factory=list)
    tests: int = 0
    found: Counter[str] = field(default_factory=Counter)
    claimed: Counter[str] = field(default_factory=Counter)
    claimed_by_suites: Counter[str] = field(default_factory=Counter)
    claimed_within: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    tool: str = ""
    case: str = ""
    case_outcomes: set[str] = field(default_factory=set)
    case_is_amiss: bool = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not self.open and name not in _SUITES:
            raise Rejected(f"it begins with <{name[:40]}>, where JUnit's has <testsuites>")
        self.open.append(name)
        if len(self.open) > MAX_DEPTH or len(attributes) > MAX_ATTRIBUTES:
            raise Rejected(
                f"it is nested more than {MAX_DEPTH} deep, or has attributes without end"
            )
        match name:
            case "testsuites" | "testsuite":
                self._suite(attributes)
            case "testcase":
                self._case(attributes)
            case "failure" | "error" | "skipped" if self.open[-2:-1] == ["testcase"]:
                self.case_outcomes.add(_OUTCOMES[name])
            case "failure" | "error" if self.open[-2] in _SUITES:
                # Of what goes before its tests, so that they did not run.
                self.found[_OUTCOMES[name]] += 1

    def end(self, _tag: str) -> None:
        name = self.open.pop()
        if name != "testcase":
            return
        if self.case_is_amiss and not self.case_outcomes & {"failures", "errors"}:
            self.case_outcomes.add("failures")
        self.found.update(self.case_outcomes)
        if self.case_outcomes & {"failures", "errors"} and len(self.names) < NAMED:
            self.names.append(self.case)
        self.case_outcomes, self.case_is_amiss = set(), False

    def outcome(self) -> Outcome:
        counts = (self.found, self.claimed, self.claimed_by_suites, self.claimed_within)
        failures, errors, skipped = (
            max(each.get(claim, 0) for each in counts) for claim in _CLAIMS
        )
        return Outcome(
            tests=self.tests,
            failures=failures,
            errors=errors,
            skipped=skipped,
            tool=self.tool or "junit",
            amiss=self.names,
        )

    def _suite(self, attributes: dict[str, str]) -> None:
        told = {claim: _number(attributes.get(claim)) for claim in _CLAIMS}
        # Suites within suites are counted by those around them, in some dialects.
        if len(self.open) == 1:
            self.claimed.update(told)
        elif self.open[:-1] == ["testsuites"]:
            self.claimed_by_suites.update(told)
        else:
            held = self.claimed_within
            self.claimed_within = {each: max(held.get(each, 0), told[each]) for each in told}
        if attributes.get("name", "").startswith("pytest"):
            self.tool = "pytest"

    def _case(self, attributes: dict[str, str]) -> None:
        self.tests += 1
        if self.tests > MAX_TESTS:
            raise Rejected(f"it has more than {MAX_TESTS} tests")
        parts = (attributes.get("classname", ""), attributes.get("name", ""))
        self.case = ".".join(part[:_MAX_NAME_LENGTH] for part in parts if part) or "a test"
        states = {attributes.get("status", "").lower(), attributes.get("result", "").lower()}
        if states & _NOT_RUN or "suppressed" in states:
            self.case_outcomes.add("skipped")
        self.case_is_amiss = bool(states & _NOT_PASSED)


def _number(text: str | None) -> int:
    """What an attribute says; nothing where it is none."""
    return int(text) if text is not None and _NUMBER.fullmatch(text.strip()) else 0
