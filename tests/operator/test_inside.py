"""Which container a command is run in: the one that was meant, or none."""

from dataclasses import replace

import pytest

from wharfinger.container import Container
from wharfinger.errors import Rejected, Unavailable
from wharfinger.operator.inside import labels, the_one

NGINX = Container(
    id="a" * 64, name="edge_nginx.1", running=True, labels={"part": "nginx", "stack": "edge"}
)
OTHER = replace(NGINX, id="b" * 64, name="other_nginx", labels={"part": "nginx", "stack": "other"})


def test_all_labels_must_be_there() -> None:
    wanted = labels(["part=nginx", "stack=edge"])
    assert the_one([OTHER, NGINX], wanted) is NGINX


def test_none_and_several_are_told_apart() -> None:
    with pytest.raises(Unavailable, match="no running container has the labels part=apache"):
        the_one([NGINX], {"part": "apache"})
    with pytest.raises(Unavailable, match=r"2 containers .* edge_nginx.1, other_nginx"):
        the_one([NGINX, OTHER], {"part": "nginx"})


def test_one_that_has_ended_does_not_count() -> None:
    ended = replace(OTHER, running=False)
    assert the_one([ended, NGINX], {"part": "nginx"}) is NGINX


def test_a_value_may_hold_anything_and_must_be_there() -> None:
    assert labels(["a=b=c", "empty="]) == {"a": "b=c", "empty": ""}
    with pytest.raises(Rejected, match="write NAME=VALUE"):
        labels(["nginx"])
