"""An export imported: as it was, each line once, whatever the store has already."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logshipper.store.engine.day import DayWriter
from logshipper.store.engine.folder import Folder
from logshipper.store.http.protocols import exported
from logshipper.store.keeping import exporting
from logshipper.store.keeping.exporting import Wanted
from logshipper.store.keeping.inspection import Inspection
from logshipper.store.keeping.progress import Progress
from logshipper.store.lines import documents
from logshipper.store.lines.times import Arrival
from logshipper.store.model import Document, Line
from logshipper.store.query import language
from tests.store import damage
from tests.store.damage import BASE_NS, DAY

ARRIVAL_NS = BASE_NS + 10**15


class Bytes:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def written(path: Path, sent: list[Document]) -> list[int | None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = DayWriter(path)
    try:
        return writer.write(sent)
    finally:
        writer.close()


def export(root: Path, **wanted: Any) -> bytes:
    sink = Bytes()
    query = language.parse(wanted.pop("q", ""))
    exporting.export(Folder(root), Wanted("default", query, **wanted), sink, Progress("lines"))
    return sink.data


def stored(root: Path) -> Counter[Line]:
    lines = exported.parse(export(root), Arrival.of(ARRIVAL_NS)).documents
    return Counter(document.line for document in lines)


def imported(root: Path, data: bytes) -> int:
    found = exported.parse(data, Arrival.of(ARRIVAL_NS))
    assert found.bad == 0, found.reasons
    row_ids = written(root / "default" / damage.NAME, found.documents)
    return sum(row_id is not None for row_id in row_ids)


def sender(number: int, **fields: Any) -> Document:
    return damage.document(number, f"1.1.{number:x}", **fields)


def test_an_export_comes_back_as_it_was_and_once(tmp_path: Path) -> None:
    damage.write(tmp_path / "a/default" / damage.NAME, 2_500)
    data = export(tmp_path / "a")
    assert data.count(b"\n") == 2_500
    assert imported(tmp_path / "b", data) == 2_500
    assert imported(tmp_path / "b", data) == 0
    assert imported(tmp_path / "a", data) == 0  # whence it came it is known, too
    assert stored(tmp_path / "a") == stored(tmp_path / "b")
    assert export(tmp_path / "b", q="数据库 order") == export(tmp_path / "a", q="数据库 order")
    assert Inspection(tmp_path / "b/default" / damage.NAME, DAY, "").run().findings == []


def test_lines_that_a_repair_has_lost_are_filled_up_from_an_export(tmp_path: Path) -> None:
    path = tmp_path / "a/default" / damage.NAME
    damage.write(path, 2_500)
    data, before = export(tmp_path / "a"), stored(tmp_path / "a")
    damage.sql("DELETE FROM block WHERE id = 1")(path)
    assert imported(tmp_path / "a", data) == 1_000
    assert stored(tmp_path / "a") == before


def test_two_stores_that_had_the_same_sender_become_one(tmp_path: Path) -> None:
    written(tmp_path / "a/default" / damage.NAME, [sender(n) for n in range(60)])
    written(tmp_path / "b/default" / damage.NAME, [sender(n) for n in range(40, 100)])
    assert imported(tmp_path / "a", export(tmp_path / "b")) == 40
    assert sum(stored(tmp_path / "a").values()) == len(stored(tmp_path / "a")) == 100


@pytest.mark.parametrize("newest_first", [False, True])
def test_lines_that_are_all_alike_are_as_many_as_they_were(
    tmp_path: Path, *, newest_first: bool
) -> None:
    alike = [
        documents.document({"message": "tick", "time": BASE_NS}, "", Arrival.of(0))
        for _ in range(5)
    ]
    written(tmp_path / "a/default" / damage.NAME, [*alike, sender(1), *alike])
    data = export(tmp_path / "a", newest_first=newest_first)
    written(tmp_path / "b/default" / damage.NAME, alike[:3])
    assert imported(tmp_path / "b", data) == 8
    assert imported(tmp_path / "b", data + data) == 0
    assert stored(tmp_path / "a") == stored(tmp_path / "b")


def test_halves_and_repetitions_in_any_order_add_up(tmp_path: Path) -> None:
    dice = random.Random(5)
    sent = [sender(n // 3, host=f"h{n % 2}") for n in range(900)]
    sent = [each for n, each in enumerate(sent) if n % 3]
    path = tmp_path / "a/default" / damage.NAME
    for at in range(0, len(sent), 100):
        written(
            path, [msgspec.structs.replace(d, source="", offset=-1) for d in sent[at : at + 100]]
        )
    lines = export(tmp_path / "a").splitlines(keepends=True)
    for _ in range(12):
        first = dice.randrange(len(lines))
        imported(tmp_path / "b", b"".join(lines[first : first + dice.randrange(300)]))
    imported(tmp_path / "b", b"".join(lines))
    assert stored(tmp_path / "a") == stored(tmp_path / "b")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ERROR x", "plain", "", "\x1b[31mred", "数据库", "nul \0 in it"]),
            st.dictionaries(
                st.sampled_from(["a", "level", "fields.x", "app", "id", "_id", "message", "日"]),
                JSON,
            ),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_was_stored_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, dict[str, Any], int]],
) -> None:
    root = tmp_path_factory.mktemp("twins")
    sent = [
        documents.stated(dict(fields), message, BASE_NS + at, "", Arrival.of(ARRIVAL_NS))
        for message, fields, at in lines
    ]
    written(root / "a/default" / damage.NAME, sent)
    data = export(root / "a")
    assert imported(root / "a", data) == 0
    assert imported(root / "b", data) == len(sent)
    assert imported(root / "b", data) == 0
    strip = [
        {name: value for name, value in msgspec.json.decode(line).items() if name != "id"}
        for line in (*data.splitlines(), *export(root / "b").splitlines())
    ]
    assert strip[: len(sent)] == strip[len(sent) :]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense", "is not"),
        (b"[1]", "is not a JSON object"),
        (b'{"message":"x"}', "has the time 'None'"),
        (b'{"time":"yesterday","message":"x"}', "which is none of an export"),
        (b'{"time":1795392000,"message":"x"}', "which is none of an export"),
        (b'{"time":"2999-01-01T00:00:00Z","message":"x"}', "yet to come"),
        (b'{"time":"2026-11-23T00:00:00Z"}', "has no message"),
        (b'{"time":"2026-11-23T00:00:00Z","message":7}', "has no message"),
        (b'{"time":"2026-11-23T00:00:00Z","message":"x","app":{}}', "a label that is no text"),
        (b'{"time":"2026-11-23T00:00:00Z","message":"%b"}' % (b"m" * 300_000), "has a message of"),
        (
            b'{"time":"2026-11-23T00:00:00Z","message":"m","a":"%b"}' % (b"m" * 70_000),
            "has other fields of",
        ),
    ],
)
def test_a_line_that_is_none_of_an_export_costs_only_itself(line: bytes, why: str) -> None:
    good = b'{"id":"20261123.0.0","time":"2026-11-23T00:00:00Z","message":"x"}'
    found = exported.parse(b"\n".join((good, b"", line, good)), Arrival.of(ARRIVAL_NS))
    assert len(found.documents) == 2
    ((place, reason),) = found.reasons
    assert place == 2
    assert why in reason


def test_a_line_that_was_cut_comes_back(tmp_path: Path) -> None:
    long = documents.document({"message": "äm" * 300_000, "time": BASE_NS}, "", Arrival.of(BASE_NS))
    wide = documents.document(
        {"message": "x", "time": BASE_NS, "w": "w" * 65_000}, "", Arrival.of(BASE_NS)
    )
    written(tmp_path / "a/default" / damage.NAME, [long, wide])
    data = export(tmp_path / "a")
    assert imported(tmp_path / "b", data) == 2
    assert stored(tmp_path / "a") == stored(tmp_path / "b")
