"""Stack traces become one event, others stay apart; nothing of the text is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.lines.multiline import Grouper
from logshipper.lines.presets import PRESETS, compile_multiline
from logshipper.model import Message, OpenMessage, Position
from wharfinger.errors import Rejected


def at_second(second: float) -> str:
    return f"2026-07-01T10:{int(second) // 60:02d}:{second % 60:012.9f}Z"


def feed(
    grouper: Grouper, lines: list[tuple[str, str, float]], *, flush: bool = True
) -> list[Message]:
    ready: list[Message] = []
    for number, (stream, text, second) in enumerate(lines):
        time = at_second(second)
        ready += grouper.passed(stream, time)
        at = Position(0, number)
        ready += grouper.add(Message(f"c.g.{number:x}", text, stream, time, at=at))
    return ready + (grouper.flush(*grouper.streams) if flush else [])


def grouper(how: str, *, seconds: float = 1.0, lines: int = 500, size: int = 2**20) -> Grouper:
    return Grouper(compile_multiline(how), seconds=seconds, limit_lines=lines, limit_bytes=size)


def events(how: str, text: str) -> list[str]:
    lines = [("stdout", line, n / 1000) for n, line in enumerate(text.strip("\n").split("\n"))]
    return [message.text for message in feed(grouper(how), lines)]


JAVA = """
2026-07-01 10:00:00 INFO  started
2026-07-01 10:00:01 ERROR could not pay
java.lang.IllegalStateException: card: "x"
\tat com.shop.Pay.run(Pay.java:12)
\tat com.shop.Main.main(Main.java:3)
\tSuppressed: java.io.IOException: close
\t\tat com.shop.Pay.close(Pay.java:40)
Caused by: java.net.SocketTimeoutException: read
\tat java.net.Socket.read(Socket.java:1)
\t... 2 more
2026-07-01 10:00:02 INFO  next
java.lang.Error: once
\tat a.B.c(B.java:1)
java.lang.Error: twice
\tat a.B.c(B.java:1)
Exception in thread "main" java.lang.NullPointerException
\tat a.B.c(B.java:2)
"""


def test_java() -> None:
    found = events("java", JAVA)
    assert [each.split("\n")[0] for each in found] == [
        "2026-07-01 10:00:00 INFO  started",
        "2026-07-01 10:00:01 ERROR could not pay",
        "2026-07-01 10:00:02 INFO  next",
        "java.lang.Error: twice",
        'Exception in thread "main" java.lang.NullPointerException',
    ]
    assert found[1].count("\n") == 8
    assert found[2].count("\n") == 2


PYTHON = """
INFO:root:started
ERROR:root:failed
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    1/0
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise ValueError
ValueError
INFO:root:next
Traceback (most recent call last):
  File "a.py", line 9, in <module>
KeyError: 'a'
Traceback (most recent call last):
  File "a.py", line 9, in <module>
KeyError: 'b'
"""


def test_python() -> None:
    found = events("python", PYTHON)
    assert [each.split("\n")[0] for each in found] == [
        "INFO:root:started",
        "ERROR:root:failed",
        "INFO:root:next",
        "Traceback (most recent call last):",
    ]
    assert found[1].endswith("ValueError")
    assert found[2].endswith("KeyError: 'a'")
    assert found[3].endswith("KeyError: 'b'")


GO = """
2026/07/01 10:00:00 started
2026/07/01 10:00:01 http: panic serving 127.0.0.1:5000: boom
goroutine 19 [running]:
net/http.(*conn).serve.func1()
\t/usr/lib/go/src/net/http/server.go:1850 +0xb0
panic({0x1, 0x2})
\t/usr/lib/go/src/runtime/panic.go:884 +0x1f4
created by net/http.(*Server).Serve in goroutine 1
\t/usr/lib/go/src/net/http/server.go:3086 +0x5cc
2026/07/01 10:00:02 next (really)
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47]

goroutine 1 [running]:
main.(*Shop).pay(...)
\t/app/main.go:9
main.main()
\t/app/main.go:5 +0x1d
exit status 2
"""


def test_go() -> None:
    found = events("go", GO)
    assert [each.split("\n")[0] for each in found] == [
        "2026/07/01 10:00:00 started",
        "2026/07/01 10:00:01 http: panic serving 127.0.0.1:5000: boom",
        "2026/07/01 10:00:02 next (really)",
        "panic: runtime error: invalid memory address or nil pointer dereference",
    ]
    assert found[3].endswith("exit status 2")


NODE = """
listening on 3000
/app/server.js:7
    throw new Error("boom");
    ^

Error: boom
    at Object.<anonymous> (/app/server.js:7:11)
    at node:internal/main/run_main_module:23:47 {
  code: 'E_BOOM'
}

Node.js v18.19.0
listening on 3000
TypeError: x is not a function
    at f (/app/x.js:1:1)
next
"""


def test_node() -> None:
    found = events("node", NODE)
    assert [each.split("\n")[0] for each in found] == [
        "listening on 3000",
        "/app/server.js:7",
        "listening on 3000",
        "TypeError: x is not a function",
        "next",
    ]
    assert found[1].endswith("Node.js v18.19.0")


@pytest.mark.parametrize(("how", "text"), [*zip(PRESETS, (JAVA, PYTHON, GO, NODE), strict=True)])
def test_a_terminals_line_ends_change_nothing(how: str, text: str) -> None:
    with_returns = events(how, text.strip("\n").replace("\n", "\r\n") + "\r")
    assert [each.replace("\r", "") for each in with_returns] == events(how, text)


def test_a_start_pattern() -> None:
    text = "stray\n[1] one\n  more\nmore still\n[2] two"
    assert events(r"^\[\d+\]", text) == ["stray", "[1] one\n  more\nmore still", "[2] two"]


@pytest.mark.parametrize("bad", ["(", "(?=x)", r"(a)\1", "x" * 3000])
def test_what_is_no_pattern_is_refused(bad: str) -> None:
    with pytest.raises(Rejected):
        compile_multiline(bad)


def test_streams_are_put_together_each_by_itself() -> None:
    lines = [("stdout", "a", 0), ("stderr", "b", 0), ("stdout", " c", 0), ("stderr", " d", 0)]
    assert [m.text for m in feed(grouper("java"), lines)] == ["a\n c", "b\n d"]


def test_what_comes_late_begins_an_event() -> None:
    lines = [("stdout", "a", 0.5), ("stdout", " b", 1.4), ("stdout", " c", 2.5)]
    assert [m.text for m in feed(grouper("java"), lines)] == ["a\n b", " c"]


def test_a_clock_that_jumps_back_ends_nothing() -> None:
    lines = [("stdout", "a", 90), ("stdout", " b", 2)]
    assert [m.text for m in feed(grouper("java"), lines)] == ["a\n b"]


def test_an_event_ends_when_the_other_stream_has_gone_on() -> None:
    ready = feed(grouper("java"), [("stderr", "a", 0), ("stdout", "b", 1.9)], flush=False)
    assert ready == []
    ready = feed(grouper("java"), [("stderr", "a", 0), ("stdout", "b", 2.1)], flush=False)
    assert [m.text for m in ready] == ["a"]


def test_limits_cut_an_event_and_lose_nothing() -> None:
    lines = [("stdout", "a", 0.0), *[("stdout", f" {n}", 0.0) for n in range(9)]]
    cut = feed(grouper("java", lines=4), lines)
    assert [m.text.count("\n") for m in cut] == [3, 3, 1]
    assert [m.id for m in cut] == ["c.g.0.4", "c.g.4.4", "c.g.8.2"]
    cut = feed(grouper("java", size=8), lines)
    assert all(len(m.text) < 8 for m in cut)
    assert "\n".join(m.text for m in cut) == "\n".join(text for _, text, _ in lines)


def test_a_piece_of_a_long_message_ends_an_event_and_stays_alone() -> None:
    it = grouper("java")
    feed(it, [("stdout", "a", 0)], flush=False)
    piece = Message("c.g.9.0-5", " piece", "stdout", at_second(0), base="c.g.9", piece=1)
    assert [m.text for m in it.add(piece)] == ["a", " piece"]
    assert it.streams == ()


def test_what_is_open_is_said_with_where_it_begins() -> None:
    it = grouper("java")
    feed(it, [("stdout", "a", 0), ("stdout", " b", 0)], flush=False)
    parts = (OpenMessage("stdout", "c.g.7", Position(0, 7)), OpenMessage("stderr", "c.g.8", None))
    assert it.open(parts) == (OpenMessage("stdout", "c.g.0", Position(0, 0)), parts[1])


texts = st.one_of(
    st.sampled_from([*JAVA.split("\n"), *PYTHON.split("\n"), *GO.split("\n"), *NODE.split("\n")]),
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8),
)


@given(
    st.sampled_from([*PRESETS, r"^\d"]),
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), texts, st.floats(0, 99)), max_size=40
    ),
)
def test_no_text_is_lost_and_ids_are_unique(how: str, lines: list[tuple[str, str, float]]) -> None:
    ready = feed(grouper(how, lines=6, size=100), lines)
    for stream in ("stdout", "stderr"):
        wrote = [text for each, text, _ in lines if each == stream]
        got = [m.text for m in ready if m.stream == stream]
        assert "\n".join(got) == "\n".join(wrote)
    assert len({m.id for m in ready}) == len(ready)
