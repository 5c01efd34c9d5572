"""Files of lines: how they are packed, cut, recognised and sent."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from logshipper.store.keeping import bodies, importing, packing
from logshipper.store.keeping.importing import Outcome
from logshipper.store.lines.times import Arrival, text
from tests.store.damage import BASE_NS
from tests.store.running import Make
from wharfinger.errors import Rejected, Unavailable

ARRIVAL_NS = BASE_NS + 10**12
FOREVER = 3_650


def exported(number: int, message: str = "", seconds: int | None = None) -> bytes:
    time_ns = BASE_NS + (number if seconds is None else seconds) * 10**9
    given = {
        "id": f"20261123.0.{number}",
        "time": text(time_ns),
        "message": message or f"n {number}",
    }
    return json.dumps(given, separators=(",", ":")).encode()


def bulk(number: int) -> tuple[bytes, bytes]:
    return (
        b'{"create":{"_id":"0123456789abcdef.1.%x"}}' % number,
        json.dumps({"@timestamp": text(BASE_NS + number), "message": f"n {number}"}).encode(),
    )


def loki(*messages: str) -> bytes:
    values = [[str(BASE_NS + n), message] for n, message in enumerate(messages)]
    return json.dumps({"streams": [{"stream": {"app": "shop"}, "values": values}]}).encode()


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_file_is_packed_as_its_name_ends_and_read_whatever_its_name(
    tmp_path: Path, ending: str
) -> None:
    sent = [b"%d" % n * 50 for n in range(50_000)]
    with packing.written(str(tmp_path / f"x{ending}")) as sink:
        for line in sent:
            sink.write(line + b"\n")
        assert not (tmp_path / f"x{ending}").exists()
    (tmp_path / f"x{ending}").rename(tmp_path / "y")
    with packing.opened(str(tmp_path / "y")) as (source, _):
        assert list(packing.lines(source, "y")) == sent
    if ending:
        assert (tmp_path / "y").stat().st_size < 10**6


def test_a_file_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")

    def fail() -> None:
        with packing.written(str(tmp_path / "x")) as sink:
            sink.write(b"half")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"
    with pytest.raises(Unavailable, match="cannot be written"), packing.written("/proc/x"):
        pass


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_packed_file_that_is_cut_off_is_not_taken_for_whole(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    whole = pack(b"".join(os.urandom(60).hex().encode() + b"\n" for _ in range(30_000)))
    (tmp_path / "two").write_bytes(whole + whole)
    with packing.opened(str(tmp_path / "two")) as (source, _):
        assert sum(1 for _ in packing.lines(source, "two")) == 60_000
    for data in (whole[:-20], whole[:100_000] + b"rot" * 9 + whole[100_000:]):
        (tmp_path / "cut").write_bytes(data)
        with (
            packing.opened(str(tmp_path / "cut")) as (source, _),
            pytest.raises(Rejected, match="cannot be read any further"),
        ):
            list(packing.lines(source, "cut"))
    with pytest.raises(Rejected, match="cannot be read"), packing.opened(str(tmp_path / "none")):
        pass


@pytest.mark.parametrize(
    ("line", "form"),
    [
        (exported(1), "exported"),
        (bulk(1)[0], "bulk"),
        (b'{"index":{}}', "bulk"),
        (loki("x"), "loki"),
        (b'{"message":"x"}', "jsonline"),
        (b'{"create":{},"message":"x"}', "jsonline"),
    ],
)
def test_a_file_is_recognised_by_its_first_line(line: bytes, form: str) -> None:
    assert bodies.recognised(line) == form


def test_what_is_no_json_is_refused() -> None:
    for line in (b"2026-11-23 plain text", b"[1]", b"\xff"):
        with pytest.raises(Rejected, match="the first line is no JSON object"):
            bodies.recognised(line)


def test_bodies_are_cut_where_they_may_be() -> None:
    lines = [line for n in range(7_000) for line in (*bulk(n), b"")]
    cut = list(bodies.cut(lines, "bulk"))
    assert [line for body in cut for line in body.lines] == [line for line in lines if line]
    assert all(body.lines[0].startswith(b'{"create"') for body in cut)
    assert cut[1].numbers[0] == len(cut[0].lines) * 3 // 2 + 1
    alike = [exported(n, seconds=n // 6_000) for n in range(13_000)]
    assert [len(body.lines) for body in bodies.cut(alike, "exported")] == [6_000, 6_000, 1_000]
    big = [exported(n, "x" * 10**6) for n in range(9)]
    assert [len(body.lines) for body in bodies.cut(big, "exported")] == [4, 4, 1]


def test_bad_lines_are_told_by_their_numbers_in_the_file() -> None:
    def parsed(form: str, *lines: bytes) -> bodies.Parsed:
        (body,) = bodies.cut(lines, form)
        return bodies.understand(body, form, Arrival.of(ARRIVAL_NS))

    found = parsed("exported", exported(1), b"", b"bad", exported(2))
    assert (len(found.documents), found.bad, found.reasons[0][0]) == (2, 1, 3)
    found = parsed("jsonline", b"", b'{"message":"x"}', b"bad")
    assert (len(found.documents), found.bad, found.reasons[0][0]) == (1, 1, 3)
    found = parsed(
        "bulk", *bulk(1), b'{"delete":{"_id":"x"}}', b"", *bulk(2), b'{"create":{}}', b"bad"
    )
    assert (len(found.documents), found.bad) == (2, 2)
    assert [number for number, _ in found.reasons] == [3, 7]
    found = parsed(
        "loki",
        loki("a", "b"),
        b'{"streams":7}',
        b'{"streams":[{"stream":{},"values":[["x","y"]]}]}',
    )
    assert (len(found.documents), found.bad) == (2, 2)
    assert [number for number, _ in found.reasons] == [2, 3]


@pytest.mark.parametrize("form", bodies.FORMATS)
async def test_a_file_sent_twice_is_stored_once(make: Make, form: str) -> None:
    store = await make(retention_days=FOREVER)
    lines = {
        "exported": [exported(n) for n in range(30)],
        "bulk": [line for n in range(30) for line in bulk(n)],
        "loki": [loki(*(f"n {n}" for n in range(10 * m, 10 * m + 10))) for m in range(3)],
        "jsonline": [
            b'{"_id":"a.1.%x","_time":"%b","_msg":"n %d"}' % (n, text(BASE_NS + n).encode(), n)
            for n in range(30)
        ],
    }[form]
    url = str(store.client.make_url("/"))
    for new in (30, 0):
        outcome = Outcome()
        async with importing.over_http(url, "", form) as target:
            await importing.bring([*lines, b"bad"], form, target, FOREVER, outcome)
        assert (outcome.new, outcome.known, outcome.bad) == (new, 30 - new, 1)
    # Every message once; loki's lines keep their labels.
    found = await store.found(limit="100", **({"app": "shop"} if form == "loki" else {}))
    assert sorted(found) == sorted(f"n {n}" for n in range(30))


async def test_what_is_too_old_is_left_out_and_counted(make: Make) -> None:
    store = await make(retention_days=1)
    outcome = Outcome()
    async with importing.over_http(str(store.client.make_url("/")), "", "exported") as target:
        await importing.bring(
            [exported(n - 9 * 10**6) for n in range(9)], "exported", target, 1, outcome
        )
    assert (outcome.new, outcome.known, outcome.old) == (0, 0, 9)


async def test_a_store_that_refuses_is_told_so(make: Make, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("correct-token\n")
    store = await make(retention_days=FOREVER, ingest_token_file=tokens)
    url = str(store.client.make_url("/"))
    outcome = Outcome()
    for token, expected in (("wrong-token", 0), ("correct-token", 1)):
        async with importing.over_http(url, token, "exported") as target:
            if expected:
                await importing.bring([exported(1)], "exported", target, FOREVER, outcome)
            else:
                with pytest.raises(Rejected, match="refuses: 401"):
                    await importing.bring([exported(1)], "exported", target, FOREVER, outcome)
    assert outcome.new == 1


async def test_a_store_that_does_not_answer_is_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_PATIENCE_SECONDS", 0.0)
    outcome = Outcome()
    async with importing.over_http("http://127.0.0.1:1", "", "bulk") as target:
        with pytest.raises(Unavailable, match="import again"):
            await importing.bring(bulk(1), "bulk", target, FOREVER, outcome)
    # Busy at first, then not.
    store = await make(retention_days=FOREVER)
    intake = store.daemon._intake
    intake.refusal = "full"
    monkeypatch.setattr(importing, "_PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(importing, "_PAUSE_SECONDS", 0.0)
    tries = 0

    async def post(target: importing.Http, data: bytes) -> tuple[int, str, bytes]:
        nonlocal tries
        tries += 1
        intake.refusal = "full" if tries < 3 else ""
        return await real(target, data)

    real = importing.Http._post
    monkeypatch.setattr(importing.Http, "_post", post)
    async with importing.over_http(str(store.client.make_url("/")), "", "bulk") as target:
        await importing.bring(bulk(1), "bulk", target, FOREVER, outcome)
    assert (outcome.new, tries) == (1, 3)
