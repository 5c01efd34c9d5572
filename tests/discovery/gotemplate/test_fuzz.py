"""Whatever stands in a template or in etcd: text, or one of two errors, within the limits."""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from discovery.gotemplate.errors import TemplateExecutionError, TemplateSyntaxError
from discovery.gotemplate.limits import Limits
from tests.discovery.gotemplate.conftest import Confd

LIMITS = Limits(steps=20_000, held=2**18, output=2**16)

FUNCTIONS = [
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "call",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "base",
    "split",
    "json",
    "jsonArray",
    "dir",
    "map",
    "getenv",
    "join",
    "datetime",
    "toUpper",
    "toLower",
    "contains",
    "replace",
    "trimSuffix",
    "lookupIP",
    "lookupSRV",
    "fileExists",
    "base64Encode",
    "base64Decode",
    "parseBool",
    "reverse",
    "sortByLength",
    "sortKVByLength",
    "add",
    "sub",
    "div",
    "mod",
    "mul",
    "seq",
    "atoi",
    "exists",
    "ls",
    "lsdir",
    "get",
    "gets",
    "getv",
    "getvs",
    "hostname",
    "lookupIfaceIPV4",
]
PIECES = [
    *FUNCTIONS, "{{", "}}", "{{-", "-}}", "(", ")", "|", ".", "$", "$x", ":=", "=", ",", '"', "`",
    "'", "\\", "/*", "*/", "if", "else", "end", "range", "with", "define", "template", "block",
    "break", "continue", "nil", "true", "0x", "1_", "1e9", "1i", "9223372036854775807", '"%[1]*d"',
    '"/a"', '"/*"', '"x"', ".a", ".Key", " ", "\n", "é", "\ud800", "\x00", "\udcff", "{", "}",
]  # fmt: skip
literal = st.sampled_from(
    [
        "0", "1", "-1", "2.5", "1e300", "nil", "true", '""', '"a"', '"/a"', '"/*"', '"%v%d%s"',
        '"[1,{}]"', '"{\\"a\\":[null]}"', "'x'", '"\\xff"', ".", ".a", ".a.b", "$", "$.x",
        '"%[2]*.[1]*f"', "9223372036854775807", '"1"', '","',
    ]
)  # fmt: skip
operand = st.recursive(
    literal,
    lambda inner: st.builds(
        lambda name, arguments, field: f"({name} {' '.join(arguments)}){field}",
        st.sampled_from(FUNCTIONS),
        st.lists(inner, max_size=4),
        st.sampled_from(["", "", ".a", ".Value"]),
    ),
    max_leaves=8,
)
pipeline = st.builds(" | ".join, st.lists(operand, min_size=1, max_size=3))
statement = st.recursive(
    st.one_of(
        pipeline.map("{{{{{}}}}}".format),
        pipeline.map("{{{{$x := {}}}}}".format),
        st.sampled_from(["text", "{{break}}", '{{template "t"}}', '{{template "d" .}}']),
    ),
    lambda inner: st.builds(
        lambda word, head, body, end: f"{{{{{word} {head}}}}}{body}{end}{{{{end}}}}",
        st.sampled_from(["if", "with", "range", "range $i, $x :=", "range $x :="]),
        pipeline,
        st.lists(inner, max_size=3).map("".join),
        st.sampled_from(["", "", "{{else}}{{.}}", "{{continue}}"]),
    ),
    max_leaves=6,
)
data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)
keys = st.dictionaries(
    st.text("/ab*[é\udcff-", max_size=8).map("/{}".format), st.text(max_size=12), max_size=6
)
relaxed = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def is_bounded(confd: Confd, text: str, dot: object, store: dict[str, str]) -> None:
    try:
        found = confd(text, dot, keys=store, limits=LIMITS)
    except (TemplateSyntaxError, TemplateExecutionError) as error:
        why = str(error)
    else:
        assert len(found) <= LIMITS.output
        found.encode("utf-8", "surrogateescape")
        return
    assert why.startswith("template: t:")


@relaxed
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), data)
@example("{{", None)
@example("{{- ", None)
@example("{{.", None)
@example("{{/*", None)
@example("{{'", None)
@example("{{1.", None)
def test_any_text_of_pieces(confd: Confd, text: str, dot: object) -> None:
    is_bounded(confd, text, dot, {"/a": "b"})


@relaxed
@given(st.text(max_size=60), data)
def test_any_text_inside_of_delimiters(confd: Confd, text: str, dot: object) -> None:
    is_bounded(confd, f"{{{{{text}}}}}", dot, {})


@relaxed
@given(st.lists(statement, max_size=5).map("".join), data, keys)
def test_any_template_with_any_values(
    confd: Confd, text: str, dot: object, store: dict[str, str]
) -> None:
    is_bounded(confd, f'{{{{define "d"}}}}{{{{.}}}}{{{{end}}}}{text}', dot, store)


@relaxed
@given(
    st.text("%+-# 0123456789.*[]vdsqxXeEfFgGbcoOUtTpw", max_size=16),
    st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
             max_size=4),
)  # fmt: skip
def test_any_format(confd: Confd, text: str, values: list[object]) -> None:
    arguments = "".join(f" (index .v {number})" for number in range(len(values)))
    is_bounded(confd, f"{{{{printf .f{arguments}}}}}", {"f": text, "v": values}, {})


@relaxed
@given(st.text('[]{}",:0123456789.eE+-truefalsn\\ud8 \n\udcff', max_size=40))
def test_any_json(confd: Confd, text: str) -> None:
    is_bounded(confd, '{{json (getv "/j")}}', None, {"/j": text})
    is_bounded(confd, '{{jsonArray (getv "/j")}}', None, {"/j": text})
