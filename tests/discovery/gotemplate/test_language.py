"""Actions, pipelines, variables, control and definitions, as Go executes them.

Every row is what Go and confd themselves say of it, but for messages of encoding/json, which are
those of the Go that confd's releases were built with.
"""

import pytest

from tests.discovery.gotemplate.conftest import DATA, Confd

CASES = [
    (
        "{{.}}",
        "map[a:map[b:[1 2.5 <nil> s true]] f:1e+06 l:[x yy] n:<nil> s:é]",
    ),
    (
        "{{.s}} {{.f}} {{.l}} {{.a}} {{.a.b}}",
        "é 1e+06 [x yy] map[b:[1 2.5 <nil> s true]] [1 2.5 <nil> s true]",
    ),
    (
        "{{.no}}|{{.no.more}}|{{.n}}",
        "<no value>|<no value>|<no value>",
    ),
    (
        "{{$.s}}{{with .a}}{{$.s}}{{end}}",
        "éé",
    ),
    (
        '{{"x" | printf "%s-%d" 3}}',
        "%!s(int=3)-%!d(string=x)",
    ),
    (
        '{{"x" | printf "%d-%s" 3}}',
        "3-x",
    ),
    (
        '{{printf "%d %s" 3 "x" | printf "%q"}}',
        '"3 x"',
    ),
    (
        '{{"a" | toUpper | printf "%s%s" "b"}}',
        "bA",
    ),
    (
        '{{("a" | toUpper) | len}}',
        "1",
    ),
    (
        '{{(split "a,b" ",") | len}}',
        "2",
    ),
    (
        '{{len (split "a,b" ",") | add 1}}',
        "3",
    ),
    (
        "{{1_000}} {{0x1F}} {{0b101}} {{0o17}} {{017}} {{'a'}} {{'\\n'}} {{'\\x41'}} {{'é'}}",
        "1000 31 5 15 15 97 10 65 233",
    ),
    (
        "{{1e3}} {{1.5e-7}} {{-3}} {{+4}} {{0x1p4}} {{1.0}} {{100000000.0}} {{.5}}",
        "1000 1.5e-07 -3 4 16 1 1e+08 0.5",
    ),
    (
        "{{1i}} {{1+2i}}",
        "(0+1i) (1+2i)",
    ),
    (
        "{{true}}{{false}}",
        "truefalse",
    ),
    (
        '{{`raw\\n`}}{{"\\x41\\u00e9\\101\\t|"}}{{"\\U0001F600"}}',
        "raw\\nAéA\t|😀",
    ),
    (
        "{{9223372036854775807}} {{-9223372036854775808}}",
        "9223372036854775807 -9223372036854775808",
    ),
    (
        "a {{- 1 -}} b",
        "a1b",
    ),
    (
        "a {{- /* gone */ -}} b{{/* gone, too */}}",
        "ab",
    ),
    (
        '{{- "  x  " -}}   y',
        "  x  y",
    ),
    (
        'x{{"y"}}  {{- "z"}}',
        "xyz",
    ),
    (
        "{{3 -}} x",
        "3x",
    ),
    (
        "a{{if true -}} b {{- end}}c",
        "abc",
    ),
    (
        '{{if 0}}a{{else if ""}}b{{else if 0.0}}c{{else}}d{{end}}',
        "d",
    ),
    (
        "{{if .l}}y{{end}}{{if .n}}n{{else}}z{{end}}{{if .no}}n{{else}}z{{end}}",
        "yzz",
    ),
    (
        '{{if map}}y{{else}}n{{end}}{{if map "a" 1}}y{{end}}{{if seq 2 1}}y{{else}}n{{end}}',
        "nyn",
    ),
    (
        '{{if get "/a"}}a struct is true{{end}}',
        "a struct is true",
    ),
    (
        "{{if false}}{{else}}{{end}}{{if true}}{{end}}",
        "",
    ),
    (
        '{{with ""}}{{.}}{{else with "y"}}{{.}}{{else}}no{{end}}',
        "y",
    ),
    (
        "{{with 0}}{{else}}{{.s}}{{end}}",
        "é",
    ),
    (
        "{{with $x := 5}}{{with 6}}{{$x}}{{.}}{{end}}{{end}}",
        "56",
    ),
    (
        "{{with .a}}{{.b}}{{end}}",
        "[1 2.5 <nil> s true]",
    ),
    (
        "{{range .l}}[{{.}}]{{end}}",
        "[x][yy]",
    ),
    (
        "{{range $x := .l}}[{{$x}}]{{end}}",
        "[x][yy]",
    ),
    (
        "{{range $i, $x := .l}}{{$i}}={{$x}};{{end}}",
        "0=x;1=yy;",
    ),
    (
        "{{range .a.b}}[{{.}}]{{end}}",
        "[1][2.5][<no value>][s][true]",
    ),
    (
        "{{range $k, $v := .}}{{$k}} {{end}}",
        "a f l n s ",
    ),
    (
        '{{range $k, $v := map "b" 1 "a" 2 "B" 3}}{{$k}}{{$v}}{{end}}',
        "B3a2b1",
    ),
    (
        (
            "{{range .no}}a{{else}}b{{end}}{{range .n}}a{{else}}b{{end}}{{range "
            "map}}a{{else}}c{{end}}"
        ),
        "bbc",
    ),
    (
        (
            "{{range 5}}{{.}}{{end}}{{range $i := 3}}{{$i}}{{end}}{{range "
            "0}}x{{else}}none{{end}}{{range -2}}x{{else}}none{{end}}"
        ),
        "01234012nonenone",
    ),
    (
        '{{range index "ab" 0 | printf "%d" | atoi | sub 100}}{{.}}{{end}}',
        "012",
    ),
    (
        (
            '{{range $i, $x := split "a,b,c,d" ","}}{{if eq $x '
            '"b"}}{{continue}}{{end}}{{if eq $i 3}}{{break}}{{end}}{{$x}}{{end}}'
        ),
        "ac",
    ),
    (
        "{{range 2}}{{range 0}}{{else}}a{{break}}b{{end}}c{{end}}",
        "acac",
    ),
    (
        "{{range 2}}{{range 0}}{{else}}a{{continue}}b{{end}}c{{end}}",
        "aa",
    ),
    (
        (
            "{{range 3}}{{$o := .}}{{range 3}}{{if eq . 1}}{{break}}{{end}}{{$o}}{{.}} "
            "{{end}}{{end}}"
        ),
        "00 10 20 ",
    ),
    (
        '{{range $x := split "a,b" ","}}{{range split "c,d" ","}}{{$x}}{{.}} {{end}}{{end}}',
        "ac ad bc bd ",
    ),
    (
        "{{range 2}}{{if true}}{{with 1}}{{continue}}{{end}}{{end}}x{{end}}done",
        "done",
    ),
    (
        "{{$x := 1}}{{$x = 2}}{{$x}}{{if true}}{{$x = 3}}{{$x := 4}}{{$x}}{{end}}{{$x}}",
        "243",
    ),
    (
        '{{$x := 1}}{{range split "a,b" ","}}{{$x = .}}{{end}}{{$x}}',
        "b",
    ),
    (
        "{{$x := 0}}{{if false}}{{$x := 1}}{{else}}{{$x}}{{end}}",
        "0",
    ),
    (
        "{{$x := 1}}{{$x := 2}}{{$x}}",
        "2",
    ),
    (
        '{{$i := 0}}{{$v := 0}}{{range $i, $v = split "a,b" ","}}{{end}}{{$i}}{{$v}}',
        "1b",
    ),
    (
        '{{$v := 0}}{{range $v = split "a,b" ","}}{{end}}{{$v}}',
        "b",
    ),
    (
        '{{if $x := "v"}}{{$x}}{{end}}',
        "v",
    ),
    (
        '{{$m := map "a" (map "b" (split "x,y" ","))}}{{$m.a.b}} {{index $m.a.b 1}}',
        "[x y] y",
    ),
    (
        '{{(index (jsonArray "[{\\"a\\":1}]") 0).a}}',
        "1",
    ),
    (
        '{{(get "/a").Value}} {{(get "/a").Key}} {{get "/a"}}',
        "1 /a {/a 1}",
    ),
    (
        '{{$kv := get "/a"}}{{$kv.Value}}',
        "1",
    ),
    (
        '{{define "x"}}[{{.}}{{$}}]{{end}}{{template "x" 5}}{{template "x"}}',
        "[55][<no value><no value>]",
    ),
    (
        '{{template "late" "v"}}{{define "late"}}<{{.}}>{{end}}',
        "<v>",
    ),
    (
        '{{block "y" "q"}}<{{.}}>{{end}}{{template "y" "r"}}',
        "<q><r>",
    ),
    (
        '{{define "a"}}{{template "b" .}}{{end}}{{define "b"}}b{{.}}{{end}}{{template "a" 1}}',
        "b1",
    ),
    (
        (
            '{{define "walk"}}{{.}}{{if gt . 0}}{{template "walk" (sub . '
            '1)}}{{end}}{{end}}{{template "walk" 3}}'
        ),
        "3210",
    ),
    (
        '{{$v := "outer"}}{{define "v"}}{{.}}{{end}}{{template "v" $v}}',
        "outer",
    ),
    (
        '{{define "e"}}{{end}}{{template "e"}}|{{define "e"}}filled{{end}}',
        "filled|",
    ),
    (
        (
            '{{if and (exists "/a") (eq (getv "/a") "1")}}one{{end}}{{if not (exists '
            '"/q")}}none{{end}}'
        ),
        "onenone",
    ),
    (
        '{{if eq "a" "a" | not}}x{{else}}y{{end}}',
        "y",
    ),
    (
        "{{ range $index, $value := seq 1 3 }}{{ if $index }},{{ end }}{{ $value }}{{ end }}",
        "1,2,3",
    ),
    (
        '{{"{{"}}{{"}}"}}',
        "{{}}",
    ),
    (
        '{{ "a" }}{{\t"b"\t}}',
        "ab",
    ),
    (
        '{{printf\n"%d"\n1}}',
        "1",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_it_gives_what_go_gives(text: str, expected: str, confd: Confd) -> None:
    assert confd(text, DATA) == expected
