"""What stands in the way of a promotion, in words."""

from typing import Any

import pytest

from deploy.release.evidence.approval import approval, check_of, without_others
from deploy.release.evidence.gate import missing, wanted
from deploy.release.evidence.judging import Reporter, judge
from deploy.release.evidence.model import Evidence
from wharfinger.errors import Rejected

AT = "2026-11-26T13:00:00Z"
REPORTER = Reporter(by="alice", at=AT)


def passed(check: str, **more: Any) -> Evidence:
    told: dict[str, Any] = {"check": check, "passed": True, "tests": 40, "tool": "pytest", "at": AT}
    return Evidence(**{**told, **more})


def test_all_of_them_let_it_pass() -> None:
    held = [passed("unit"), passed("bandit"), passed("pre.smoke")]
    assert missing(["checks", "pre.smoke"], ["unit", "bandit"], held) == ()
    assert missing([], ["unit"], []) == ()


def test_each_is_wanted_once_in_the_order_of_the_file() -> None:
    assert wanted(["checks", "pre.smoke", "unit"], ["unit", "ruff"]) == (
        "unit",
        "ruff",
        "pre.smoke",
    )


def test_what_was_never_reported_is_named_with_what_brings_it() -> None:
    (said,) = missing(["unit"], [], [passed("bandit")])
    assert said == "unit: nobody reported it for this digest; deploy report unit FILE"
    # Of an older one a report by no name would be of another image.
    (said,) = missing(["unit"], [], [], digest="sha256:12")
    assert said.endswith("; deploy report unit FILE --digest sha256:12")
    (said,) = missing(["pre.smoke"], [], [], digest="sha256:12")
    assert said.endswith("; once pre runs it, deploy report pre.smoke FILE")


def test_a_failure_is_named_with_what_failed() -> None:
    bad = passed("unit", passed=False, failures=2, note="tests.test_a.test_bad")
    (said,) = missing(["unit"], [], [bad])
    assert "40 tests, 2 failed in pytest" in said
    assert "tests.test_a.test_bad" in said
    assert "report unit FILE" in said


@pytest.mark.parametrize(
    ("tests", "skipped", "why"),
    [(0, 0, "no test ran"), (1, 1, "1 test, all skipped"), (12, 12, "12 tests, all skipped")],
)
def test_what_did_not_run_is_no_pass(tests: int, skipped: int, why: str) -> None:
    """Though it says of itself that it is one."""
    (said,) = missing(["unit"], [], [passed("unit", tests=tests, skipped=skipped)])
    assert why in said
    (said,) = missing(["unit"], [], [passed("unit", tests=0)], digest="sha256:12")
    assert said.endswith("deploy report unit FILE --digest sha256:12")


def test_what_was_reported_in_vain_is_reported_again_of_the_same_digest() -> None:
    bad = passed("unit", passed=False, errors=1, tool="", note="cannot be read")
    (said,) = missing(["unit"], [], [bad], digest="sha256:12")
    assert said.endswith("cannot be read; deploy report unit FILE --digest sha256:12 again")


def test_some_that_were_skipped_beside_others_do_no_harm() -> None:
    assert missing(["unit"], [], [passed("unit", skipped=3)]) == ()


def test_figures_are_told_as_people_count() -> None:
    told = Evidence(check="unit", passed=False, tests=1, failures=1, errors=1, skipped=1)
    assert told.figures == "1 test, 1 failed, 1 error, 1 skipped"
    assert passed("unit", errors=2).figures == "40 tests, 2 errors"


def test_figures_count_for_more_than_a_word() -> None:
    assert missing(["unit"], [], [passed("unit", errors=1)])
    assert missing(["unit"], [], [passed("unit", passed=False)])


def test_the_last_report_counts() -> None:
    bad = passed("unit", passed=False, failures=1)
    assert missing(["unit"], [], [bad, passed("unit")]) == ()
    assert missing(["unit"], [], [passed("unit"), bad])


def test_every_reason_is_told_at_once() -> None:
    said = missing(["checks", "pre.smoke", check_of("prod")], ["unit", "ruff"], [passed("ruff")])
    assert [each.partition(":")[0] for each in said] == ["unit", "pre.smoke", "approval.prod"]
    # `up` asks for the same as `promote`.
    assert said[2].endswith("; the same command with --approve WORDS")


def test_an_approval_is_somebodys_words() -> None:
    given = approval("shop", "prod", " looked at it\nmyself ", by="alice", at=AT)
    assert missing([check_of("prod")], [], [given]) == ()
    assert given.note == "looked at it\\nmyself"
    for words, by in (("  ", "alice"), ("yes", "")):
        with pytest.raises(Rejected):
            approval("shop", "prod", words, by=by, at=AT)
    # What was approved for one place is not for another.
    assert missing([check_of("pre")], [], [given])


def test_an_approval_is_of_one_application_though_two_are_made_of_one_image() -> None:
    held = (passed("unit"), approval("shop", "prod", "yes", by="alice", at=AT))
    assert missing([check_of("prod"), "unit"], [], without_others(held, "shop")) == ()
    (said,) = missing([check_of("prod"), "unit"], [], without_others(held, "worker"))
    assert said.startswith("approval.prod: nobody approved it")


def test_no_report_is_taken_for_an_approval() -> None:
    with pytest.raises(Rejected, match="--approve WORDS"):
        judge(check_of("prod"), b'<testsuite><testcase name="a"/></testsuite>', REPORTER)
    assert missing([check_of("prod")], [], [passed(check_of("prod"), tool="pytest")])


def test_a_report_becomes_evidence() -> None:
    report = b'<testsuite><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'
    found = judge("unit", report, REPORTER)
    assert (found.check, found.passed, found.holds) == ("unit", False, False)
    assert (found.tests, found.failures, found.note) == (2, 1, "b")
    assert len(found.sha256) == 64
    assert (found.by, found.at) == ("alice", AT)


def test_a_tool_may_be_named_with_its_version() -> None:
    found = judge("lint", b"[]", Reporter(by="a", at=AT, tool="ruff", tool_version="0.17.6"))
    assert (found.tool, found.tool_version, found.holds) == ("ruff", "0.17.6", True)


def test_a_byte_order_mark_is_no_reason_to_refuse() -> None:
    text = '<testsuite><testcase name="a"/></testsuite>'
    for encoding in ("utf-8-sig", "utf-16"):
        assert judge("unit", text.encode(encoding), REPORTER).holds


@pytest.mark.parametrize("report", [b"", b" \n", b"\xef\xbb\xbf", b"OK (40 tests)", b"\x89PNG"])
def test_what_is_no_report_shows_nothing(report: bytes) -> None:
    with pytest.raises(Rejected):
        judge("unit", report, REPORTER)


def test_a_report_without_end_is_refused() -> None:
    with pytest.raises(Rejected, match="16 MiB"):
        judge("unit", b"<" + b" " * (16 << 20), REPORTER)


@pytest.mark.parametrize("check", ["", "a b", "a/b", ".a", "-a", "a" * 40, "ä", "a\n", "a:b"])
def test_names_of_checks_are_parts_of_tags(check: str) -> None:
    with pytest.raises(Rejected):
        judge(check, b"<testsuite/>", REPORTER)
