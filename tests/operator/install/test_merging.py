"""Settings in a TOML file: in place, with every comment, and nothing else changed."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfinger.errors import Rejected
from wharfinger.operator.install.merging import merged

TEXT = """\
# A host.
[host]
# ip = (found)
#name = "x"

# Registry.
[etcd]
#endpoints = ["127.0.0.1:2379"]
prefix = "/here"  # why

[discovery]
# Switched on by its header.
# [discovery.nginx]
# dest = "/etc"

[logshipper]
#[[logshipper.sinks]]
#type = "bulk"
#url = "http://127.0.0.1:7280"
# [[logshipper.sinks]]
# type = "loki"
"""
COMMENTS = ("# A host.", "# Registry.", "# Switched on by its header.", '# type = "loki"')
ETCD = ("etcd", "endpoints")
SINK = ("logshipper", "sinks", 0)


@pytest.mark.parametrize(
    ("before", "place", "value", "after"),
    [
        ("", ETCD, ["a:1"], '[etcd]\nendpoints = ["a:1"]\n'),
        ('[etcd]\nendpoints = ["b:1"] # mine\n', ETCD, ["a:1"],
         '[etcd]\nendpoints = ["a:1"] # mine\n'),
        ('[etcd]\nendpoints = [\n  "b:1", # one\n]\nprefix = "/x"\n', ETCD, ["a:1"],
         '[etcd]\nendpoints = ["a:1"]\nprefix = "/x"\n'),
        ('[etcd]\n# All of them.\n#endpoints = ["x:1"]\nprefix = "/x"\n[host]\n', ETCD, ["a:1"],
         '[etcd]\n# All of them.\nendpoints = ["a:1"]\nprefix = "/x"\n[host]\n'),
        ('etcd.prefix = "/x"\n[host]\n', ETCD, ["a:1"],
         'etcd.prefix = "/x"\netcd.endpoints = ["a:1"]\n[host]\n'),
        ("[discovery]\n# [discovery.nginx]\n# listen = 80\n[log]\n",
         ("discovery", "nginx", "listen"), "8080",
         '[discovery]\n[discovery.nginx]\nlisten = "8080"\n[log]\n'),
        ('[[logshipper.sinks]]\ntype = "bulk"\nurl = "http://a"\n', (*SINK, "url"), "http://b",
         '[[logshipper.sinks]]\ntype = "bulk"\nurl = "http://b"\n'),
        ('#[[logshipper.sinks]]\n#url = "http://a"\n', (*SINK, "url"), "http://b",
         '[[logshipper.sinks]]\nurl = "http://b"\n'),
        ('[etcd]\r\nprefix = "/x"\r\n', ("etcd", "prefix"), "/y",
         '[etcd]\r\nprefix = "/y"\r\n'),
        ('\ufeff[etcd]\nprefix = "/x"\n', ("etcd", "prefix"), "/y",
         '\ufeff[etcd]\nprefix = "/y"\n'),
        ("[log]", ("etcd", "prefix"), "/y", '[log]\n\n[etcd]\nprefix = "/y"\n'),
    ],
)  # fmt: skip
def test_a_setting_goes_to_its_place(before: str, place: Any, value: object, after: str) -> None:
    assert merged(before, {place: value}) == after
    assert merged(after, {place: value}) == after


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("[etcd\n", ETCD, "is not TOML"),
        ("etcd = { prefix = '/x' }\n", ETCD, "write etcd.endpoints"),
        ("etcd = 5\n", ETCD, "is no table"),
        ("logshipper.sinks = [{ type = 'bulk' }]\n", (*SINK, "url"), "yourself"),
    ],
)
def test_what_leaves_no_room_is_refused_in_words(text: str, place: Any, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        merged(text, {place: ["a:1"]})


def test_an_example_behind_which_other_keys_stand_does_not_take_them_along() -> None:
    before = '[discovery]\n# [discovery.nginx]\nprefix = "/x"\n'
    after = merged(before, {("discovery", "nginx", "dest"): "/d"})
    assert tomllib.loads(after) == {"discovery": {"prefix": "/x", "nginx": {"dest": "/d"}}}


KEYS = st.sampled_from(
    [("host", "ip"), ETCD, ("etcd", "prefix"), ("registrar", "listen"), ("log", "level"),
     ("discovery", "nginx", "dest"), (*SINK, "url"), (*SINK, "token_file"), ("logstore", "listen")]
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(KEYS, TEXTS, max_size=4), max_size=4))
def test_whatever_is_written_in_whatever_order_reads_so_and_keeps_every_comment(
    rounds: list[dict[Any, str]],
) -> None:
    text = TEXT
    said: dict[Any, str] = {}
    for each in rounds:
        text = merged(text, each)
        said |= each
    document = tomllib.loads(text)
    for place, value in said.items():
        at: Any = document
        for step in place:
            at = at[step]
        assert at == value
    assert all(line in text.splitlines() for line in COMMENTS)
