"""No template hangs or eats the memory: what is too much is an error that says where."""

import resource
from collections.abc import Iterator

import pytest

from discovery.gotemplate.errors import (
    TemplateError,
    TemplateExecutionError,
    TemplateSyntaxError,
)
from discovery.gotemplate.limits import Limits
from discovery.gotemplate.template import MAX_TEXT_CHARACTERS, Template
from tests.discovery.gotemplate.conftest import Confd

SMALL = Limits(steps=100_000, held=2**20, output=2**18)
STEPS = "takes more than 100,000 steps"
HELD = "values of more than 1,048,576 characters are made"
DEEP = "nested more than 100 deep"
DEPTH = "exceeded maximum template depth"
NESTED = (
    '{{define "x"}}{{if 1}}{{with 1}}{{range 1}}{{if 1}}{{with 1}}{{template "x"}}{{end}}{{end}}'
    '{{end}}{{end}}{{end}}{{end}}{{template "x"}}'
)
OUTPUT = "more than 262,144 characters are written"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{range 9223372036854775807}}{{end}}", STEPS),
        ("{{range 1000000}}{{range 1000000}}{{break}}{{end}}{{end}}", STEPS),
        ("{{range 1000000}}{{$x := .}}{{end}}", STEPS),
        ('{{range 1000000}}{{$x := getvs "/*/q"}}{{end}}', STEPS),
        ('{{range 1000000}}{{ls "/"}}{{end}}', STEPS),
        ('{{range 1000000}}{{lookupIP "localhost"}}{{end}}', STEPS),
        ("{{range 1000000}}{{if and 1 2 3 4}}{{end}}{{end}}", STEPS),
        ('{{define "x"}}{{range 1000000}}{{end}}{{end}}{{template "x"}}', STEPS),
        ("{{seq 1 9223372036854775807}}", HELD),
        ("{{seq 1 20000}}", HELD),
        ('{{$s := "xxxx"}}{{range 60}}{{$s = print $s $s}}{{end}}', HELD),
        ('{{$s := "x"}}{{range 60}}{{$s = replace $s "x" "xx" -1}}{{end}}', HELD),
        ('{{$s := "x"}}{{range 60}}{{$s = replace $s "" $s -1}}{{end}}', HELD),
        ('{{$s := "x"}}{{range 60}}{{$s = html $s $s "<"}}{{end}}', HELD),
        ('{{$s := "x"}}{{range 60}}{{$s = base64Encode $s}}{{end}}', HELD),
        ('{{$s := "x"}}{{range 60}}{{$s = join (split (print $s "x") "") "yy"}}{{end}}', HELD),
        ('{{$m := "x"}}{{range 60}}{{$m = map "a" $m "b" $m}}{{end}}{{print $m | len}}', STEPS),
        ('{{printf "%1000000d%1000000d" 1 2 | len}}', HELD),
        ('{{printf "%.1000000f%.1000000f" 1.5 2.5 | len}}', HELD),
        ('{{printf "%1000000s%-1000000s" "a" "b" | len}}', HELD),
        ('{{printf "%*d%*d" 1000000 1 1000000 1 | len}}', HELD),
        ('{{printf "%.1000000d%.1000000x" 1 2 | len}}', HELD),
        ('{{range 100000}}{{"0123456789"}}{{end}}', OUTPUT),
        ("{{range 100000}}0123456789{{end}}", OUTPUT),
        ('{{$m := "x"}}{{range 200}}{{$m = map "a" $m}}{{end}}{{$m}}', DEEP),
        ('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}', DEPTH),
        (NESTED, DEPTH),
        ('{{jsonArray (getv "/deep")}}', "exceeded max depth"),
        ('{{json (getv "/deeper")}}', "exceeded max depth"),
    ],
)  # fmt: skip
def test_too_much_is_an_error_that_says_where(text: str, why: str, confd: Confd) -> None:
    keys = {"/deep": "[" * 200 + "]" * 200, "/deeper": "[" * 20_000}
    keys |= {f"/many/{number}": "x" for number in range(1000)}
    with pytest.raises(TemplateExecutionError) as caught:
        confd("\n" + text, keys=keys, limits=SMALL)
    assert why in str(caught.value)
    assert str(caught.value).startswith("template: t:2:")


@pytest.mark.parametrize(
    "text",
    [
        "{{" + "(" * 20_000, "{{if 1}}" * 20_000, "{{if 1}}" + "{{else if 1}}" * 5_000 + "{{end}}",
        "{{print " + "(print " * 5_000 + ")" * 5_000 + "}}", "x" * (MAX_TEXT_CHARACTERS + 1),
        "{{" + "1" * 100_000 + "}}", "{{with 1}}" * 5_000 + "{{end}}" * 5_000,
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_text_without_end_is_no_template(text: str, confd: Confd) -> None:
    with pytest.raises(TemplateSyntaxError, match=r"^template: t:\d+: "):
        confd(text)


def test_a_number_of_many_digits_is_read_or_refused_but_never_a_fault_of_ours(confd: Confd) -> None:
    keys = {"/zeros": "-" + "0" * 9_999 + "7", "/nines": "9" * 9_999}
    assert confd('{{atoi (getv "/zeros")}}', keys=keys) == "-7"
    with pytest.raises(TemplateExecutionError, match="value out of range"):
        confd('{{atoi (getv "/nines")}}', keys=keys)


@pytest.mark.parametrize(
    "text",
    [
        '{{$s := "abc"}}{{range 60}}{{$s = printf "% #x" $s}}{{end}}',
        '{{$s := "\\x01\\x01"}}{{range 60}}{{$s = printf "%q" $s}}{{end}}',
        '{{$s := "\\U00010428"}}{{range 60}}{{$s = printf "%+q" $s}}{{end}}',
        '{{$s := "\\U00010428"}}{{range 60}}{{$s = print $s $s}}{{end}}',
        '{{$s := "<\\x01"}}{{range 60}}{{$s = js $s}}{{end}}',
    ],
)
def test_what_is_quoted_again_and_again_eats_no_memory(text: str, confd: Confd) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TemplateExecutionError, match="characters are made"):
        confd(text, limits=Limits(held=2**26))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_many_variables_are_looked_up_within_the_steps(confd: Confd) -> None:
    text = "{{$x := 1}}" * 2_000 + "{{range 100000}}{{$}}{{end}}"
    with pytest.raises(TemplateExecutionError, match="steps"):
        confd(text, limits=SMALL)


def test_time_is_a_limit_where_there_is_a_clock() -> None:
    template = Template.parse("t", "{{range 1000000}}{{end}}", {})
    ticks: Iterator[float] = iter(range(1000))
    with pytest.raises(TemplateExecutionError, match="takes more than 3 seconds"):
        template.render(limits=Limits(seconds=3), clock=lambda: next(ticks))


def test_ten_thousand_servers_are_far_from_any_limit(confd: Confd) -> None:
    keys = {f"/app_prod/10.0.{n // 250}.{n % 250}-80": f"10.0.{n // 250}.{n % 250}:80"
            for n in range(10_000)}  # fmt: skip
    text = '{{range getvs "/app_prod/*"}}server {{.}};\n{{end}}'
    assert confd(text, keys=keys, limits=Limits(steps=200_000)).count("\n") == 10_000


def test_a_thousand_services_are_asked_for_one_by_one(confd: Confd) -> None:
    keys = {f"/apps/{app}/{n}": f"{app}.{n}" for app in range(1000) for n in range(10)}
    text = '{{range ls "/apps"}}{{range gets (printf "/apps/%s/*" .)}}{{.Value}}\n{{end}}{{end}}'
    assert confd(text, keys=keys, limits=Limits(steps=1_000_000)).count("\n") == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "{{.__class__}}", "{{.__class__.__mro__}}", "{{.real}}", "{{$.__init__}}",
        '{{index . "__class__"}}', "{{.a.__len__}}", "{{.s.upper}}", "{{.l.append 1}}",
        "{{.f.hex}}", '{{(get "/a").__class__}}', '{{(get "/a").values}}', "{{datetime.at}}",
        '{{(gets "/*").items}}', "{{.items}}", "{{.keys}}", "{{datetime.__class__}}",
        '{{printf "{0.__class__}" 1}}', "{{datetime.Month.real}}", "{{call .s}}",
    ],
)  # fmt: skip
def test_nothing_of_python_can_be_reached(text: str, confd: Confd) -> None:
    try:
        found = confd(text, {"a": [1], "s": "x", "l": [1], "f": 1.5}, keys={"/a": "b"})
    except TemplateError as error:
        found = str(error)
    assert "<class" not in found
    assert "built-in" not in found
    assert "object at" not in found


@pytest.mark.parametrize("data", [{1: 2}, object(), {"a": {1, 2}}, [b"x"]])
def test_data_that_no_json_is_is_refused(data: object) -> None:
    with pytest.raises(TemplateExecutionError, match="template: t: "):
        Template.parse("t", "{{.}}", {}).render(data)
