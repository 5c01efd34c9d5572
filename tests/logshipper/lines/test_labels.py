"""Labels of a container against the operator's defaults; a wrong one harms nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logshipper.lines.labels import LABELS, PREFIX, from_labels
from logshipper.lines.rules import Rules
from logshipper.lines.settings import check_settings
from logshipper.linesettings import LineSettings
from logshipper.model import Message


def read(defaults: LineSettings | None = None, /, **labels: str) -> tuple[LineSettings, str]:
    named = {PREFIX + name.replace("_", "."): text for name, text in labels.items()}
    settings, problems = from_labels(named, defaults or LineSettings())
    return settings, "; ".join(problems)


def test_every_label() -> None:
    settings, problems = read(
        multiline="Java",
        multiline_seconds="2.5",
        multiline_lines="99",
        parse="delimiter",
        parse_delimiter="|",
        parse_columns="a, b",
        time="%Y-%m-%d %H:%M:%S",
        time_zone="Asia/Shanghai",
        time_field="a",
        level="b",
        redact="card, JWT",
        redact_pattern="x+",
        include="^a",
        exclude="b",
        sample="0.5",
        rate="6000/m",
        rate_burst="50",
        charset="gbk",
        fields="team=pay, tier = gold",
    )
    assert problems == ""
    assert settings == LineSettings(
        multiline="java",
        multiline_seconds=2.5,
        multiline_lines=99,
        parse="delimiter",
        delimiter="|",
        columns=("a", "b"),
        time="%Y-%m-%d %H:%M:%S",
        zone="Asia/Shanghai",
        time_field="a",
        level="b",
        redact=("card", "jwt"),
        redact_patterns=("x+",),
        include=("^a",),
        exclude=("b",),
        sample=0.5,
        rate=100.0,
        burst=50.0,
        charset="gbk",
        fields={"team": "pay", "tier": "gold"},
    )
    assert check_settings(settings) == []
    assert Rules(settings)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("multiline", "jaba"),
        ("multiline", "("),
        ("multiline.seconds", "nan"),
        ("multiline.seconds", "1e9"),
        ("multiline.lines", "0"),
        ("parse", "yaml"),
        ("parse", "(?P<a>" + "x" * 3000 + ")"),
        ("parse", r"(?P<a>1[01]{600}x)"),
        ("parse", "delimiter"),
        ("parse.delimiter", ""),
        ("parse.columns", "a,,b"),
        ("parse.columns", "a,a"),
        ("parse.columns", ",".join(map(str, range(300)))),
        ("time", "soon"),
        ("time.zone", "Mars"),
        ("time.field", ""),
        ("level", ""),
        ("redact", "iban"),
        ("redact.pattern", "a*"),
        ("include", "("),
        ("exclude", "(?!x)"),
        ("sample", "2"),
        ("sample", "1_0"),
        ("rate", "fast"),
        ("rate", "1/y"),
        ("rate.burst", "0"),
        ("charset", "utf-16"),
        ("fields", "app=evil"),
        ("fields", "_id=1"),
        ("fields", "host.name=evil"),
        ("fields", "team"),
        ("fields", ",".join(f"f{n}=1" for n in range(17))),
        ("mutliline", "java"),
    ],
)
def test_a_wrong_label_is_told_and_left_out_alone(name: str, text: str) -> None:
    defaults = LineSettings(parse="json", multiline="go")
    labels = {PREFIX + "sample": "0.5", PREFIX + name: text}
    settings, problems = from_labels(labels, defaults)
    assert len(problems) == 1
    assert name in problems[0]
    assert settings.parse == "json"
    assert settings.multiline == "go"
    assert settings.sample == (1.0 if name == "sample" else 0.5)


def test_off_takes_a_default_away() -> None:
    defaults = LineSettings(parse="json", multiline="go", time="auto")
    settings, problems = read(defaults, parse="off", multiline="OFF", time="off", level="off")
    assert (settings.parse, settings.multiline, settings.time, settings.level) == (
        "",
        "",
        "",
        "off",
    )
    assert problems == ""


def test_a_label_lifts_no_limit_and_undoes_no_redaction() -> None:
    defaults = LineSettings(
        rate=10, burst=20, redact=("jwt",), redact_patterns=("a",), fields={"site": "x"}
    )
    settings, _ = read(
        defaults, rate="0", redact="card,jwt", redact_pattern="b", fields="site=y,z=1"
    )
    assert (settings.rate, settings.burst) == (10, 20)
    assert settings.redact == ("jwt", "card")
    assert settings.redact_patterns == ("a", "b")
    assert settings.fields == {"site": "x", "z": "1"}
    assert read(defaults, rate="1000", rate_burst="1000")[0].burst == 20
    assert (
        read(defaults, rate="5", rate_burst="7")[0] == read(defaults, rate_burst="7", rate="5")[0]
    )
    assert read(defaults, rate="5")[0].rate == 5


@pytest.mark.parametrize("defaults", [LineSettings(rate=0.05), LineSettings(rate=2, burst=0.5)])
def test_a_bucket_holds_a_line_at_least_whoever_has_made_it(defaults: LineSettings) -> None:
    for settings in (defaults, read(defaults, rate_burst="5")[0]):
        assert settings.bucket_lines == 1
        rules = Rules(settings)
        line = Message("1", "text", "stdout", "2026-07-01T10:00:00Z")
        assert [rules.apply(line), rules.apply(line)] == [True, False]


def test_a_zone_that_does_not_fit_its_format_falls_back_together() -> None:
    settings, problems = read(LineSettings(time="iso"), time_zone="Mars")
    assert (settings.time, settings.zone) == ("iso", "UTC")
    assert "Mars" in problems


def test_other_labels_are_none_of_these() -> None:
    labels = {"wharfinger.logs": "on", "wharfinger.logs.files": "/a", "com.example": "x"}
    assert from_labels(labels, LineSettings()) == (LineSettings(), ())


names = st.one_of(st.sampled_from(list(LABELS)), st.text(max_size=9))
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["java", "json", "delimiter", "auto", "off", "1", "0.5", "card", "(?P<a>x)"]),
)


@given(st.dictionaries(names, texts, max_size=6))
def test_whatever_labels_say_the_settings_hold(labels: dict[str, str]) -> None:
    named: dict[str, Any] = {PREFIX + name: text for name, text in labels.items()}
    settings, problems = from_labels(named, LineSettings(parse="json"))
    assert check_settings(settings) == []
    Rules(settings)
    assert len(problems) <= len(labels) + 1
