"""The index's tokens, and the query's that must meet them."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.store.engine import schema
from logshipper.store.lines import words
from logshipper.store.query.tokenizer import Tokenizer

TOKENIZER = Tokenizer()


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    TOKENIZER.close()


def test_han_runs_become_pairs() -> None:
    assert words.index_text("数据库 ok").split() == ["数据", "据库", "库", "ok"]
    assert words.index_text("a数b").split() == ["a", "数", "b"]
    assert words.query_text("数据库") == (" 数据 据库 ", ())
    assert words.query_text("数") == ("  ", ("数",))
    assert words.index_text("plain\0text") == "plain text"


def test_this_sqlite_will_do() -> None:
    assert schema.missing_features() == ""


@given(st.text())
def test_ascii_shortcut_agrees_with_sqlite(text: str) -> None:
    ascii_text = "".join(c for c in text if c.isascii()).replace("\0", " ")
    with_letter = TOKENIZER.tokens(ascii_text + " é")  # goes to SQLite
    assert TOKENIZER.tokens(ascii_text) == with_letter[:-1]


@given(st.text(alphabet="ab 数据库é", min_size=1, max_size=12), st.data())
def test_every_part_of_a_text_is_found_by_its_tokens(text: str, data: st.DataObject) -> None:
    """A run of Han inside the text: each of its pieces has its pairs in the index."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    piece = "".join(c for c in text[start:end] if words.is_unspaced(c))
    if piece not in text or not piece:
        return
    held = set(TOKENIZER.tokens(words.index_text(text)))
    pairs, runs = words.query_text(piece)
    assert set(TOKENIZER.tokens(pairs)) <= held
    assert all(any(token.startswith(run) for token in held) for run in runs)


@given(st.lists(st.tuples(st.text(), st.integers(1, 300)), max_size=5))
def test_lines_go_to_the_index_with_their_streams(lines: list[tuple[str, int]]) -> None:
    texts = words.index_texts(words.plain_texts([text for text, _ in lines]))
    given_to_index = json.loads(words.index_json(texts, [stream_id for _, stream_id in lines]))
    for text, (line, stream_id) in zip(given_to_index, lines, strict=True):
        single = f"{words.index_text(words.plain(line))} {words.stream_token(stream_id)}"
        assert TOKENIZER.tokens(text) == TOKENIZER.tokens(single)


def test_no_text_can_pass_for_the_stand_in_of_a_mark() -> None:
    (text,) = json.loads(words.index_json(["a\x7f5 b\x7f"], [7]))
    assert TOKENIZER.tokens(text) == ("a", "5", "b", words.stream_token(7))
