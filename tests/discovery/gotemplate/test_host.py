"""What functions ask of the machine, and Go's layouts of times."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from discovery.gotemplate.errors import TemplateExecutionError
from discovery.gotemplate.timeformat import formatted
from tests.discovery.gotemplate.conftest import Confd


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{getenv "HOSTNAME"}} {{getenv "HOSTNAME" "x"}}', "wharf-1 wharf-1"),
        ('{{getenv "NONE"}}|{{getenv "NONE" "x"}}', "|x"),
        ('{{fileExists "/etc/there"}} {{fileExists "/etc/not"}}', "true false"),
        ("{{hostname}}", "wharf-1"),
        ('{{lookupIP "localhost"}} {{lookupIP "unknown"}}', "[10.0.0.9 127.0.0.1 ::1] []"),
        ('{{lookupIPV4 "localhost"}} {{lookupIPV6 "localhost"}}', "[10.0.0.9 127.0.0.1] [::1]"),
        ('{{range lookupIPV4 "unknown"}}x{{else}}none{{end}}', "none"),
        ('{{lookupIfaceIPV4 "eth0"}} {{lookupIfaceIPV6 "eth0"}}', "10.0.0.1 fe80::1"),
        ('{{lookupIfaceIPV4 "none"}}|{{lookupIfaceIPV6 "none"}}', "|"),
        (
            '{{range lookupSRV "http" "tcp" "example.org"}}{{.Target}}:{{.Port}};{{end}}',
            "a.test.:80;b.test.:81;",
        ),
        ('{{range lookupSRV "http" "tcp" "example.org"}}{{.}}{{end}}',
         "{a.test. 80 2 10}{b.test. 81 1 5}"),
        ('{{with index (lookupSRV "http" "tcp" "example.org") 0}}{{printf "%v %d" . .Port}}{{end}}',
         "&{a.test. 80 2 10} 80"),
        ('{{lookupSRV "x" "tcp" "example.org"}}', "[]"),
        ("{{datetime}}", "2026-03-05 14:07:09.12 +0000 UTC"),
        ('{{datetime.Format "2006-01-02T15:04:05Z07:00"}}', "2026-03-05T14:07:09Z"),
        ('{{datetime.Format "Mon Jan _2 3:04PM"}}', "Thu Mar  5 2:07PM"),
        ("{{datetime.Year}} {{datetime.Month}} {{datetime.Day}} {{datetime.Weekday}}",
         "2026 March 5 Thursday"),
        ('{{printf "%d %s %v" datetime.Month datetime.Month datetime.Month}}', "3 March March"),
        ("{{datetime.Unix}} {{datetime.UnixMilli}} {{datetime.UnixNano}}",
         "1772719629 1772719629120 1772719629120000000"),
        ("{{datetime.Hour}}:{{datetime.Minute}}:{{datetime.Second}} {{datetime.Nanosecond}}",
         "14:7:9 120000000"),
        ('{{(datetime.AddDate 0 1 -5).Format "2006-01-02"}} {{datetime.YearDay}}', "2026-03-31 64"),
        ('{{(datetime.AddDate 1 -3 27).UTC.Local.Format "02 Jan 06"}}', "01 Jan 27"),
        ("{{datetime.IsZero}} {{datetime.After datetime}} {{datetime.Equal datetime}}",
         "false false true"),
        ('{{with datetime}}{{.Format "15"}}{{end}}{{$d := datetime}}{{$d.Format "05"}}', "1409"),
        ('{{"2006" | datetime.Format}} {{eq datetime datetime}}', "2026 true"),
        ("{{eq datetime.Month 3}} {{lt datetime.Month 4}}", "true true"),
    ],
)  # fmt: skip
def test_the_machine_is_asked(text: str, expected: str, confd: Confd) -> None:
    assert confd(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{datetime.x}}", "can't evaluate field x in type time.Time"),
        ("{{datetime.Format 1}}", "expected string; found 1"),
        ("{{datetime.AddDate 1}}", "wrong number of args for AddDate: want 3 got 1"),
        ("{{datetime.AddDate 999999999 0 0}}", "error calling AddDate: time out of range"),
        ("{{add datetime.Month 1}}", "expected int; got time.Month"),
        ("{{datetime.After 1}}", "can't handle 1 for arg of type time.Time"),
        ("{{lt datetime datetime}}", "invalid type for comparison"),
    ],
)
def test_a_wrong_use_of_the_time_is_told(text: str, why: str, confd: Confd) -> None:
    with pytest.raises(TemplateExecutionError) as caught:
        confd(text)
    assert why in str(caught.value)


AT = datetime(2009, 2, 4, 21, 0, 57, 12_345, timezone(timedelta(hours=-8), "PST"))


@pytest.mark.parametrize(
    ("layout", "expected"),
    # The rows of Go's time/format_test.go, and what else makes a layout.
    [
        ("Mon Jan _2 15:04:05 2006", "Wed Feb  4 21:00:57 2009"),
        ("Mon Jan _2 15:04:05 MST 2006", "Wed Feb  4 21:00:57 PST 2009"),
        ("Mon Jan 02 15:04:05 -0700 2006", "Wed Feb 04 21:00:57 -0800 2009"),
        ("02 Jan 06 15:04 MST", "04 Feb 09 21:00 PST"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Wednesday, 04-Feb-09 21:00:57 PST"),
        ("Mon, 02 Jan 2006 15:04:05 MST", "Wed, 04 Feb 2009 21:00:57 PST"),
        ("2006-01-02T15:04:05Z07:00", "2009-02-04T21:00:57-08:00"),
        ("2006-01-02T15:04:05.999999999Z07:00", "2009-02-04T21:00:57.012345-08:00"),
        ("3:04PM", "9:00PM"), ("3:04pm", "9:00pm"), ("03:04", "09:00"),
        ("Jan _2 15:04:05.000", "Feb  4 21:00:57.012"),
        ("Jan _2 15:04:05.000000", "Feb  4 21:00:57.012345"),
        ("05.999", "57.012"), ("05.00", "57.01"), ("05,000000000", "57,012345000"),
        ("002 __2", "035  35"), ("January Monday", "February Wednesday"),
        ("Janet Monetary", "Janet Monetary"), ("_2006", "_2009"), ("1/2/06", "2/4/09"),
        ("Z0700 Z07 -07 -07:00:00", "-0800 -08 -08 -08:00:00"), ("", ""), ("x", "x"),
    ],
)  # fmt: skip
def test_layouts_are_gos(layout: str, expected: str) -> None:
    assert formatted(AT, layout) == expected


def test_utc_shows_as_go_shows_it() -> None:
    at = datetime(2010, 1, 2, 0, 0, 0, 0, UTC)
    assert formatted(at, "15:04:05.999 Z07:00 MST -0700 3PM") == "00:00:00 Z UTC +0000 12AM"
