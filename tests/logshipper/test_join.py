"""Parts become messages; no text is ever lost, whatever the order of streams and ends."""

from hypothesis import given
from hypothesis import strategies as st

from logshipper.join import PART_BYTES, Joiner
from logshipper.model import Message, Position

FULL = "x" * PART_BYTES


def feed(joiner: Joiner, *records: tuple[str, str]) -> list[Message]:
    ready: list[Message] = []
    for number, (stream, text) in enumerate(records):
        ready += joiner.add(f"c.g.{number:x}", Position(0, number), text, stream, f"t{number}")
    return ready


def test_a_whole_line_passes_without_its_newline() -> None:
    [message] = feed(Joiner(2**20), ("stdout", "hello\n"))
    assert (message.id, message.text, message.piece) == ("c.g.0", "hello", 0)


def test_parts_are_joined_under_the_id_and_time_of_the_first() -> None:
    [message] = feed(Joiner(2**20), ("stdout", FULL), ("stdout", FULL), ("stdout", "end\n"))
    assert message.text == FULL + FULL + "end"
    assert (message.id, message.time) == ("c.g.0", "t0")


def test_a_line_of_the_other_stream_between_parts_goes_its_own_way() -> None:
    ready = feed(Joiner(2**20), ("stdout", FULL), ("stderr", "oops\n"), ("stdout", "end\n"))
    assert [(m.id, m.text) for m in ready] == [("c.g.1", "oops"), ("c.g.0", FULL + "end")]


def test_a_message_of_exactly_one_part_is_ended_by_a_bare_newline() -> None:
    [message] = feed(Joiner(2**20), ("stdout", FULL), ("stdout", "\n"))
    assert message.text == FULL


def test_output_without_a_last_newline_is_not_joined_to_what_a_restart_prints() -> None:
    ready = feed(Joiner(2**20), ("stdout", "bye"), ("stdout", "hello again\n"))
    assert [m.text for m in ready] == ["bye", "hello again"]


def test_a_part_whose_bytes_were_replaced_is_longer_and_still_a_part() -> None:
    [message] = feed(
        Joiner(2**20), ("stdout", "\N{REPLACEMENT CHARACTER}" + FULL), ("stdout", "\n")
    )
    assert message.text == "\N{REPLACEMENT CHARACTER}" + FULL


def test_a_message_beyond_the_limit_is_cut_into_numbered_pieces() -> None:
    joiner = Joiner(4 * PART_BYTES)
    ready = feed(joiner, *[("stdout", FULL)] * 10, ("stdout", "end\n"))
    assert "".join(m.text for m in ready) == FULL * 10 + "end"
    assert [m.piece for m in ready] == [1, 2, 3]
    assert [m.last for m in ready] == [False, False, True]
    assert {m.base for m in ready} == {"c.g.0"}
    assert len({m.id for m in ready}) == 3
    assert joiner.open == ()


def test_another_limit_gives_other_bytes_another_id() -> None:
    records = [*[("stdout", FULL)] * 10, ("stdout", "end\n")]
    small = {m.id: m.text for m in feed(Joiner(4 * PART_BYTES), *records)}
    large = {m.id: m.text for m in feed(Joiner(6 * PART_BYTES), *records)}
    assert all(small[each] == large[each] for each in small.keys() & large.keys())


def test_flush_gives_what_has_no_end_under_an_id_of_its_own() -> None:
    joiner = Joiner(2**20)
    assert feed(joiner, ("stdout", FULL)) == []
    [message] = joiner.flush()
    assert message.text == FULL
    assert message.id != "c.g.0"
    assert joiner.flush() == []


def test_a_cut_message_goes_on_after_a_restart_where_it_was() -> None:
    records = [*[("stdout", FULL)] * 10, ("stdout", "end\n")]
    whole = feed(Joiner(4 * PART_BYTES), *records)
    before = Joiner(4 * PART_BYTES)
    first = feed(before, *records[:6])
    [opened] = before.open
    assert opened.start == Position(0, 4)
    after = Joiner(4 * PART_BYTES, before.open)
    second: list[Message] = []
    for number, (stream, text) in enumerate(records[4:], 4):
        second += after.add(f"c.g.{number:x}", Position(0, number), text, stream, "t")
    assert [(m.id, m.text) for m in (*first, *second)] == [(m.id, m.text) for m in whole]


texts = st.one_of(
    st.text(max_size=20).map(lambda t: t.replace("\n", " ") + "\n"),
    st.text(max_size=20).map(lambda t: t.replace("\n", " ")),
    st.just(FULL),
    st.just(FULL + "y"),
)


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr", "odd"]), texts), max_size=60))
def test_no_text_is_lost_or_repeated_and_ids_are_unique(records: list[tuple[str, str]]) -> None:
    joiner = Joiner(3 * PART_BYTES)
    ready = feed(joiner, *records) + joiner.flush()
    for stream in ("stdout", "stderr", "odd"):
        wrote = "".join(text for each, text in records if each == stream)
        got = "".join(m.text for m in ready if m.stream == stream)
        assert got.replace("\n", "") == wrote.replace("\n", "")
    assert len({m.id for m in ready}) == len(ready)
