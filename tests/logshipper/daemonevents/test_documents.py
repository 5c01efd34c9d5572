"""What becomes of an event, and what is none."""

import json
from pathlib import Path

import pytest

from logshipper.daemonevents.documents import Place, began, fields, message, missed, read
from logshipper.daemonevents.places import Places
from logshipper.sinks.encoding.bulk import BulkEncoding
from wharfinger.errors import Rejected


def test_the_same_event_is_the_same_document() -> None:
    line = (
        b'{"seq":17,"time":"2026-01-01T00:00:00.000+00:00","level":"warning",'
        b'"event":"check unhealthy","check":"docker","host":"other","container":"abc"}'
    )
    seq, event = read(line)
    made = message("registrar", "box1", Place(0xABC, seq), event)
    assert made is not None
    assert made.id == "wharfinger.registrar.box1.abc.11"
    assert made.text == "check unhealthy check=docker host=other container=abc"
    document = BulkEncoding().compile(fields("registrar", "box1")).message(made)
    action, source = map(json.loads, document.splitlines())
    assert action == {"create": {"_id": made.id}}
    assert (source["app"], source["env"], source["host"]) == ("wharfinger", "registrar", "box1")
    # What an event says does not make it another host's, nor a stream for each container.
    assert (source["parsed_host"], source["parsed_container"]) == ("other", "abc")
    assert (source["level"], source["event"], source["seq"]) == ("warning", "check unhealthy", 17)


def test_looking_makes_no_lines() -> None:
    _, event = read(b'{"seq":1,"level":"debug","event":"search answered"}')
    assert message("logstore", "box1", Place(1, 1), event) is None


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"{", b'{"seq":1}', b'{"seq":"1","event":"a"}', b'{"seq":true,"event":"a"}',
     b'{"seq":-1,"event":"a"}', b'{"seq":%d,"event":"a"}' % 10**30,
     b'{"seq":1,"event":[]}', b"[" * 5_000, b"\xff"],
)  # fmt: skip
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(Rejected):
        read(line)


@pytest.mark.parametrize(
    ("header", "start"),
    [("1700000000000", 1_700_000_000_000), ("", None), ("-1", None), ("x", None), ("٣", None),
     ("9" * 17, None), ("9" * 5_000, None)],
)  # fmt: skip
def test_when_a_life_began_is_a_number_within_bounds(header: str, start: int | None) -> None:
    assert began(header) == start


@pytest.mark.parametrize(
    ("said", "count"),
    [({"missed": 40}, 40), ({}, 0), ({"missed": -1}, 0), ({"missed": True}, 0),
     ({"missed": 10**400}, 0), ({"missed": "4"}, 0), ({"missed": 4, "event": "other"}, 0)],
)  # fmt: skip
def test_only_a_gap_that_can_be_has_missed_some(said: dict[str, object], count: int) -> None:
    assert missed({"event": "gap", **said}) == count


def test_places_are_there_again(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert places.of("registrar") is None
    places.move("registrar", Place(5, 7))
    places.write()
    assert Places(tmp_path).of("registrar") == Place(5, 7)
    (tmp_path / "events.json").write_text("{")
    assert Places(tmp_path).of("registrar") is None
    (tmp_path / "events.json").unlink()
    places.write()
    assert not (tmp_path / "events.json").exists()  # nothing is new: no disk is asked for it
    gone = Places(tmp_path / "none")
    gone.move("registrar", Place(5, 8))  # no such folder: nothing ends for it
    assert gone.of("registrar") == Place(5, 8)
