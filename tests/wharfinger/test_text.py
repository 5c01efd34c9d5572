"""Text for people: what there is one of, and what there are several of."""

import pytest

from wharfinger.text import quantity


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 lines"), (1, "1 line"), (2, "2 lines"), (40_000, "40,000 lines")],
)
def test_one_is_no_several(count: int, said: str) -> None:
    assert quantity(count, "line") == said


def test_some_words_have_another_form() -> None:
    assert quantity(1, "instance is", "instances are") == "1 instance is"
    assert quantity(0, "instance is", "instances are") == "0 instances are"
