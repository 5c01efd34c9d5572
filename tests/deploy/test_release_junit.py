"""JUnit's XML as tools write it, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.release.evidence import junit
from deploy.release.evidence.outcome import Outcome
from wharfinger.errors import Rejected


def figures(found: Outcome) -> tuple[int, int, int, int]:
    return found.tests, found.failures, found.errors, found.skipped


PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1"
 tests="4" time="0.043" timestamp="2026-11-26T13:00:00" hostname="ci">
<testcase classname="tests.test_a" name="test_good" time="0.001" />
<testcase classname="tests.test_a" name="test_bad"><failure message="assert 1 == 2">
def test_bad(): &lt;no&gt; &amp; more</failure></testcase>
<testcase classname="tests.test_a" name="test_setup"><error message="setup">x</error></testcase>
<testcase classname="tests.test_a" name="test_later"><skipped message="later"/></testcase>
</testsuite></testsuites>"""


def test_what_pytest_writes() -> None:
    found = junit.outcome(PYTEST)
    assert figures(found) == (4, 1, 1, 1)
    assert found.tool == "pytest"
    assert found.amiss == ["tests.test_a.test_bad", "tests.test_a.test_setup"]


def test_a_suite_alone_as_ant_and_surefire_write_it() -> None:
    found = junit.outcome(
        b'<testsuite name="com.acme.ShopTest" tests="3" errors="0" skipped="0" failures="0">'
        b"<properties><property name='a' value='b'/></properties>"
        b'<testcase name="a" classname="S"/>'
        b'<testcase name="b" classname="S"><flakyFailure type="x">once</flakyFailure></testcase>'
        b'<testcase name="c" classname="S"><system-out>x</system-out></testcase></testsuite>'
    )
    assert figures(found) == (3, 0, 0, 0)
    assert found.tool == "junit"


def test_what_googletest_did_not_run_is_skipped() -> None:
    found = junit.outcome(
        b'<testsuites tests="2" failures="0" disabled="1" errors="0"><testsuite name="S" tests="2">'
        b'<testcase name="a" status="run" result="completed"/>'
        b'<testcase name="b" status="notrun" result="suppressed"/></testsuite></testsuites>'
    )
    assert figures(found) == (2, 0, 0, 1)


def test_suites_in_suites_count_no_failure_twice() -> None:
    found = junit.outcome(
        b'<testsuites><testsuite name="all" failures="2"><testsuite name="a" failures="1">'
        b'<testcase name="x"><failure/></testcase></testsuite><testsuite name="b" failures="1">'
        b'<testcase name="y"><failure/></testcase></testsuite></testsuite></testsuites>'
    )
    assert figures(found) == (2, 2, 0, 0)


def test_what_a_suite_says_of_itself_counts_where_it_is_worse() -> None:
    """A test that crashed its runner stands in no case."""
    found = junit.outcome(
        b'<testsuites><testsuite name="a" tests="2" failures="0" errors="3">'
        b'<testcase name="x"/></testsuite></testsuites>'
    )
    assert figures(found) == (1, 0, 3, 0)


def test_what_a_suite_says_of_itself_does_not_hide_a_failure() -> None:
    found = junit.outcome(
        b'<testsuites tests="1" failures="0" errors="0"><testsuite failures="0">'
        b'<testcase name="x"><failure/></testcase></testsuite></testsuites>'
    )
    assert found.failures == 1


def test_an_empty_suite_has_no_test() -> None:
    assert junit.outcome(b'<testsuites tests="99"/>').tests == 0


def test_other_encodings() -> None:
    text = '<testsuite name="ä"><testcase name="ö"><failure/></testcase></testsuite>'
    for encoding in ("utf-16", "utf-8-sig"):
        assert junit.outcome(text.encode(encoding)).amiss == ["ö"]
    latin = b'<?xml version="1.0" encoding="iso-8859-1"?>' + text.encode("latin-1")
    assert junit.outcome(latin).amiss == ["ö"]


ENTITIES = b"""<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c SYSTEM "file:///etc/passwd">]><testsuites><testcase name="&b;&c;"/></testsuites>"""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ENTITIES, "DTD"),
        (b"<!DOCTYPE testsuites SYSTEM 'http://127.0.0.1/x.dtd'><testsuites/>", "DTD"),
        (PYTEST[:-20], "no XML to its end"),
        (PYTEST + b"<testsuites/>", "no XML to its end"),
        (b"<html><body>502 Bad Gateway</body></html>", "begins with <html>"),
        (b"<testsuites>&nbsp;</testsuites>", "no XML"),
        (b"<testsuite>" * 65 + b"</testsuite>" * 65, "deep"),
        (b"<testsuite " + b" ".join(b'a%d="x"' % n for n in range(201)) + b"/>", "attributes"),
        (b"<?xml version='1.0' encoding='nonsense'?><testsuites/>", "no XML"),
        (b"<testsuites>\xff\xfe</testsuites>", "no XML"),
    ],
)
def test_what_is_no_report_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        junit.outcome(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(Rejected):
        junit.outcome(b"<" + data)


def test_names_without_end_are_cut() -> None:
    name = "x" * 100_000
    found = junit.outcome(
        f'<testsuite><testcase name="{name}"><error/></testcase></testsuite>'.encode()
    )
    assert len(found.amiss[0]) == 200


def test_numbers_that_are_none_count_for_nothing() -> None:
    text = '<testsuite failures="-1" errors="NaN" skipped="٣"><testcase name="a"/></testsuite>'
    found = junit.outcome(text.encode())
    assert figures(found) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    "report",
    [
        '<testsuites><testsuite><testsuite failures="2">{}</testsuite></testsuite></testsuites>',
        '<testsuite><testsuite errors="1">{}</testsuite></testsuite>',
        '<testsuite>{}<error message="before any test"/></testsuite>',
        "<testsuites><testsuite>{}<failure/></testsuite></testsuites>",
        '<testsuite failures=" 1 ">{}</testsuite>',
        '<testsuite>{}<testcase name="b" status="failed"/></testsuite>',
        '<testsuite>{}<testcase name="b" result="Error"/></testsuite>',
    ],
)
def test_a_failure_is_found_wherever_a_dialect_has_it(report: str) -> None:
    found = junit.outcome(report.format('<testcase name="a"/>').encode())
    assert found.failures + found.errors > 0


def test_a_failure_that_is_told_twice_counts_once() -> None:
    case = b'<testsuite><testcase name="a" status="failed"><error/></testcase></testsuite>'
    assert figures(junit.outcome(case)) == (1, 0, 1, 0)
