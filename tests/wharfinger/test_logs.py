"""Log lines: one a line, readable back, harmless to a terminal, and never a reason to stop."""

import contextlib
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfinger import logs
from wharfinger.jsontext import encode_line, encode_page

HOSTILE = [
    "two\nlines\r\n", "\x1b[31mred\x1b]0;title\x07", "\x9b31m", "a\u202eb\u2066c\u061cd",
    "\u2028\u2029\x85", "\udcff\ud800", "\0", "\ufeff\u200b\u00ad", "a\u00a0b", "\U000e0041",
]  # fmt: skip


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stderr() -> io.StringIO:
    return io.StringIO()


def configure(stderr: io.StringIO, **settings: Any) -> None:
    chosen = {"level": "info", "style": "logfmt", "under_journald": False, **settings}
    with contextlib.redirect_stderr(stderr):
        logs.configure("registrar", **chosen)


def fail(text: str) -> None:
    raise ValueError(text)


class TestLogfmt:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("plain", "plain"), ("10.0.0.1:80", "10.0.0.1:80"), ("é", "é"), ("", '""'),
            ("two words", '"two words"'), ('say "x"', '"say \\"x\\""'), ("a=b", '"a=b"'),
            ("back\\slash", '"back\\\\slash"'), (None, '""'), (True, "true"), (False, "false"),
            (3, "3"), (0.123456789, "0.123457"), (["a", 1], "a,1"), (["a b"], '"a b"'),
            (b"\xff", '"\\\\xff"'), (Path("/x"), "/x"), ("\n", '"\\n"'),
        ],
    )  # fmt: skip
    def test_values(self, value: object, expected: str) -> None:
        assert logs.logfmt({"key": value}) == f"key={expected}"

    def test_keys_cannot_break_out(self) -> None:
        assert logs.logfmt({"a b=\n": 1}) == "a_b__=1"

    @given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text(max_size=20)))
    def test_reads_back(self, fields: dict[str, str]) -> None:
        line = logs.logfmt(fields)
        assert line.isprintable()
        pairs = re.findall(r'([a-z]+)=("(?:[^"\\]|\\.)*"|[^ "]+)', line)
        back = {k: json.loads(v) if v.startswith('"') else v for k, v in pairs}
        assert back == fields


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_hostile_text_is_one_printable_line(stderr: io.StringIO, style: str, text: str) -> None:
    configure(stderr, style=style)
    logs.write("info", text, {"why": text, "list": [text], "path": Path(f"/{text}")})
    logging.getLogger("other").warning("%s", text)
    try:
        fail(text)
    except ValueError:
        logging.getLogger(text).exception("failed")
    lines = stderr.getvalue().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    if style == "json":
        for line in lines:
            json.loads(line)


def test_logfmt_line(stderr: io.StringIO) -> None:
    configure(stderr)
    logs.write("warning", "lease lost", {"lease": 7})
    assert re.fullmatch(
        r'ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 level=warning daemon=registrar'
        r' event="lease lost" lease=7\n',
        stderr.getvalue(),
    )  # fmt: skip


def test_json_line_and_what_json_cannot_hold(stderr: io.StringIO) -> None:
    configure(stderr, style="json")
    odd = {"path": Path("/x"), "set": {1}, "big": 2**70, "nan": float("nan"), "object": object}
    logs.write("error", "odd", odd)
    line = json.loads(stderr.getvalue())
    assert line["level"] == "error"
    assert line["path"] == "/x"
    assert line["big"] == 2**70
    assert line["nan"] is None


def test_under_journald_the_journal_has_the_time_and_we_the_priority(stderr: io.StringIO) -> None:
    configure(stderr, under_journald=True)
    logs.write("error", "x", {})
    logs.write("info", "y", {})
    assert stderr.getvalue().splitlines() == [
        "<3>level=error daemon=registrar event=x",
        "<6>level=info daemon=registrar event=y",
    ]


def test_an_inherited_journal_stream_is_not_believed() -> None:
    with Path(os.devnull).open("w") as stream:
        status = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        script = "import sys; from wharfinger import logs; sys.exit(logs.under_journald())"
        for error, expected in ((stream, 1), (subprocess.PIPE, 0)):
            command = [sys.executable, "-c", script]
            done = subprocess.run(
                command, stderr=error, env={**os.environ, **environment}, check=False
            )
            assert done.returncode == expected


def test_a_field_never_hides_the_lines_own(stderr: io.StringIO) -> None:
    configure(stderr, style="json")
    logs.write("info", "x", {"level": "mine", "event": "mine", "ts": "mine", "daemon": "mine"})
    line = json.loads(stderr.getvalue())
    assert (line["level"], line["event"], line["daemon"]) == ("info", "x", "registrar")
    assert (line["level_"], line["event_"], line["daemon_"]) == ("mine",) * 3


def test_levels_and_an_unknown_one(stderr: io.StringIO) -> None:
    configure(stderr, level="warning")
    logs.write("info", "hidden", {})
    logs.write("loud", "shown", {})
    assert "hidden" not in stderr.getvalue()
    assert "level=error" in stderr.getvalue()


def test_percent_signs_are_no_format(stderr: io.StringIO) -> None:
    configure(stderr)
    logs.write("info", "100%s %d", {"x": "%s"})
    assert '"100%s %d" x=%s' in stderr.getvalue()


@pytest.mark.parametrize("broken", ["closed", "reader went away", "full"])
def test_a_broken_stderr_stops_nothing(broken: str) -> None:
    # In a process of its own, as a real daemon meets it.
    script = """
import sys
from wharfinger import cli, logs
logs.configure("x", level="info", style="logfmt", under_journald=False)
if sys.argv[1] == "closed":
    sys.stderr.close()
for _ in range(3):
    logs.write("info", "event", {"text": "x" * 100_000})
print("alive")
cli._flush()
"""
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    error = {"reader went away": writer, "full": full}.get(broken, subprocess.PIPE)
    done = subprocess.run(
        [sys.executable, "-c", script, broken], stdout=subprocess.PIPE, stderr=error, check=False
    )
    os.close(writer)
    os.close(full)
    assert done.stdout == b"alive\n"
    assert done.returncode == 0


@given(st.recursive(st.text() | st.integers() | st.none(), lambda i: st.lists(i, max_size=3)))
def test_json_is_valid_printable_and_keeps_what_utf8_can_hold(value: object) -> None:
    line = encode_line({"x": value}).decode()
    assert line.isprintable()
    assert json.loads(line) == {"x": value}
    assert json.loads(encode_page({"x": value})) == {"x": value}


def test_json_of_surrogates_anywhere() -> None:
    bad = "\udcff"
    value = {bad: [bad, (bad,), {bad: Path(f"/{bad}")}]}
    assert json.loads(encode_line(value)) == {
        "\\udcff": ["\\udcff", ["\\udcff"], {"\\udcff": "/\\udcff"}]
    }
