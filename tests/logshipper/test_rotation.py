"""Which files are read, in which order, from where."""

from hypothesis import given
from hypothesis import strategies as st

from logshipper.model import Generation, OpenMessage, Position, Progress, SavedLog
from logshipper.rotation import Found, chain, newer_than, resume, unique_token


def saved(ordinal: int, offset: int, token: str, *older: Generation) -> SavedLog:
    progress = Progress(Position(ordinal, offset))
    return SavedLog(progress, (*older, Generation(ordinal, token, 1, 100 + ordinal)), offset)


def found(*fingerprints: str) -> list[Found]:
    return [Found(f"log.{n}", 1, 500 + n, each) for n, each in enumerate(fingerprints)]


def test_a_chain_is_newest_first_and_knows_its_own() -> None:
    names = ["x-json.log.10", "x-json.log.2.gz", "x-json.log", "x-json.log.1", "hostname"]
    assert chain("x-json.log", names) == (
        "x-json.log",
        "x-json.log.1",
        "x-json.log.2.gz",
        "x-json.log.10",
    )


def test_what_is_not_yet_compressed_whole_is_read_plain() -> None:
    assert chain("x", ["x.1.gz", "x.1", "x"]) == ("x", "x.1")
    assert chain("x", ["x.1", "x.1.gz", "x"]) == ("x", "x.1")


def test_odd_names_are_no_part_of_the_chain() -> None:
    names = [
        "x.0",
        "x.01",
        "x.1.gz.tmp",
        "x.-1",
        "x.99999",
        "xx.1",
        "x.1\n",
        "x.\N{ARABIC-INDIC DIGIT ONE}",
    ]
    assert chain("x", names) == ()


def test_a_new_log_is_read_from_its_oldest_file() -> None:
    plan = resume(None, found("c", "b", "a"))
    assert (plan.files, plan.ordinal, plan.gap) == (((2, 0), (1, 0), (0, 0)), 0, False)


def test_reading_goes_on_where_it_stopped() -> None:
    plan = resume(saved(7, 123, "b"), found("d", "c", "b", "a"))
    assert (plan.files, plan.ordinal, plan.gap) == (((2, 123), (1, 0), (0, 0)), 7, False)


def test_a_file_that_is_gone_leaves_a_gap_and_new_ordinals() -> None:
    plan = resume(saved(7, 123, "z"), found("d", "c"))
    assert (plan.files, plan.ordinal, plan.gap) == (((1, 0), (0, 0)), 8, True)


def test_a_message_whose_head_is_gone_does_not_hide_the_rest() -> None:
    opened = OpenMessage("stdout", "c.a.0", Position(6, 10))
    log = SavedLog(
        Progress(Position(7, 50), (opened,)),
        (Generation(6, "gone", 1, 1), Generation(7, "b", 1, 2)),
        60,
    )
    plan = resume(log, found("c", "b"))
    assert (plan.files, plan.ordinal, plan.gap) == (((1, 50), (0, 0)), 7, True)


def test_files_that_begin_alike_are_told_apart_by_inode() -> None:
    files = [Found("x", 1, 9, "same"), Found("x.1", 1, 107, "same"), Found("x.2", 1, 8, "same")]
    plan = resume(saved(7, 5, "same-2"), files)
    assert plan.files == ((1, 5), (0, 0))


def test_a_reused_inode_is_not_the_old_file() -> None:
    files = [Found("x", 1, 107, "new"), Found("x.1", 1, 3, "old")]
    plan = resume(saved(7, 5, "old"), files)
    assert plan.files == ((1, 5), (0, 0))


def test_only_what_is_newer_is_new() -> None:
    known = Generation(3, "b", 1, 1)
    assert newer_than(known, found("d", "c", "b")) == (2, True)
    assert newer_than(known, found("d", "c")) == (2, False)


@given(st.lists(st.sampled_from(["aa", "bb", "aa-2"]), max_size=6))
def test_tokens_are_unique(fingerprints: list[str]) -> None:
    tokens: list[str] = []
    for each in fingerprints:
        tokens.append(unique_token(each, tokens))
    assert len(set(tokens)) == len(tokens)
