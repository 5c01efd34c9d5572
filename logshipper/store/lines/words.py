"""What goes into the index beside the words themselves: bigrams for scripts without spaces."""

import re
from collections.abc import Sequence
from operator import add
from typing import Final

import msgspec

# The index's tokenizer takes a run of letters as one word; Chinese and Japanese write without
# spaces, so a word inside a sentence would never be found. Pairs of characters are.
UNSPACED: Final = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f\U00030000-\U000323af"
)
_RUN: Final = re.compile(f"[{UNSPACED}]+")
# ECMA-48 control sequences: without this "\x1b[31mERROR" would hold the word "31mERROR".
_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)")
# A private-use character is a letter to the tokenizer and in no word that people write.
STREAM_MARK: Final = "\ue000"
# DEL stands for it until the text is bytes: the mark would double the memory of each text. Like
# all control characters it is in no word, and unlike the others it is never quoted in JSON.
_STAND_IN: Final = "\x7f"


def plain(text: str) -> str:
    """The text without the colours and links of terminals, as the eye reads it."""
    return _ANSI.sub("", text) if "\x1b" in text else text


def index_text(text: str) -> str:
    """The text to hand to the index for a line: its words, runs of Han and kana as pairs.

    The last character of a run stands alone too, so that a search for one character finds it
    as the beginning of some token wherever it stands.
    """
    if text.isascii():
        # SQLite's JSON functions end a text at NUL.
        return text.replace("\0", " ")
    return _RUN.sub(_pairs_and_last, text).replace("\0", " ")


def plain_texts(texts: Sequence[str]) -> Sequence[str]:
    """`plain` of each: as they are if none holds an escape, as most do not."""
    return list(map(plain, texts)) if "\x1b" in "".join(texts) else texts


def index_texts(texts: Sequence[str]) -> Sequence[str]:
    """`index_text` of each."""
    joined = "".join(texts)
    return texts if joined.isascii() and "\0" not in joined else list(map(index_text, texts))


def query_text(word: str) -> tuple[str, tuple[str, ...]]:
    """What to look for to find `word`: a text whose tokens must all be there, and prefixes."""
    if word.isascii():
        return word, ()
    prefixes = tuple(run for run in _RUN.findall(word) if len(run) == 1)
    return _RUN.sub(_pairs, word), prefixes


def is_unspaced(character: str) -> bool:
    """Whether words of this script stand side by side without a space."""
    return _RUN.fullmatch(character) is not None


def stream_token(stream_id: int) -> str:
    """The token that every line of a stream carries in the index."""
    return f"{STREAM_MARK}{stream_id}"


def index_json(texts: Sequence[str], stream_ids: Sequence[int]) -> bytes:
    """A JSON array of what to index for each line: its text and the token of its stream."""
    if _STAND_IN in "".join(texts):
        texts = [text.replace(_STAND_IN, " ") for text in texts]
    tails = {stream_id: f" {_STAND_IN}{stream_id}" for stream_id in set(stream_ids)}
    marked = list(map(add, texts, map(tails.__getitem__, stream_ids)))
    return msgspec.json.encode(marked).replace(_STAND_IN.encode(), STREAM_MARK.encode())


def _pairs_and_last(found: re.Match[str]) -> str:
    run = found[0]
    return f" {_joined_pairs(run)} {run[-1]} "


def _pairs(found: re.Match[str]) -> str:
    return f" {_joined_pairs(found[0])} "


def _joined_pairs(run: str) -> str:
    return " ".join(run[at : at + 2] for at in range(len(run) - 1))
