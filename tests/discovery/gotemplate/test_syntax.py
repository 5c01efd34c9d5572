"""What is no template, in which line and why.

Every row is what Go and confd themselves say of it, but for messages of encoding/json, which are
those of the Go that confd's releases were built with.
"""

import pytest

from discovery.gotemplate.errors import TemplateSyntaxError
from tests.discovery.gotemplate.conftest import Confd

CASES = [
    (
        "{{if}}a{{end}}",
        "template: t:1: missing value for if",
    ),
    (
        "{{if 1}}a",
        "template: t:1: unexpected EOF",
    ),
    (
        "{{if 1}}a",
        "template: t:1: unexpected EOF",
    ),
    (
        "{{end}}",
        "template: t:1: unexpected {{end}}",
    ),
    (
        "{{else}}",
        "template: t:1: unexpected {{else}}",
    ),
    (
        "{{nofunc 1}}",
        'template: t:1: function "nofunc" not defined',
    ),
    (
        "{{$x}}",
        'template: t:1: undefined variable "$x"',
    ),
    (
        "{{$x.y}}",
        'template: t:1: undefined variable "$x"',
    ),
    (
        "{{if $x := 1}}{{end}}{{$x}}",
        'template: t:1: undefined variable "$x"',
    ),
    (
        "{{break}}",
        "template: t:1: {{break}} outside {{range}}",
    ),
    (
        "{{continue}}",
        "template: t:1: {{continue}} outside {{range}}",
    ),
    (
        "{{break 1}}",
        'template: t:1: unexpected "1" in {{break}}',
    ),
    (
        "{{range 3}}{{break 1}}{{end}}",
        'template: t:1: unexpected "1" in {{break}}',
    ),
    (
        "{{range 3}}{{else}}{{break}}{{end}}",
        "template: t:1: {{break}} outside {{range}}",
    ),
    (
        '{{range 3}}{{block "q" .}}{{break}}{{end}}{{end}}',
        "template: t:1: {{break}} outside {{range}}",
    ),
    (
        '{{define "x"}}a{{end}}{{define "x"}}b{{end}}',
        'template: t:1: template: multiple definition of template "x"',
    ),
    (
        "{{define x}}a{{end}}",
        'template: t:1: unexpected "x" in define clause',
    ),
    (
        '{{define "x"}}',
        "template: t:1: unexpected EOF",
    ),
    (
        '{{define "x" .}}{{end}}',
        "template: t:1: unexpected <.> in define clause",
    ),
    (
        '{{if 1}}{{define "x"}}{{end}}{{end}}',
        "template: t:1: unexpected <define> in command",
    ),
    (
        '{{block "x"}}{{end}}',
        "template: t:1: missing value for block clause",
    ),
    (
        '{{block "x" .}}',
        "template: t:1: unexpected EOF",
    ),
    (
        "{{template}}",
        'template: t:1: unexpected "}}" in template clause',
    ),
    (
        "{{template 1}}",
        'template: t:1: unexpected "1" in template clause',
    ),
    (
        '{{template "x" 1 2}}{{end}}',
        "template: t:1: unexpected {{end}}",
    ),
    (
        "{{if 1}}{{else}}{{else}}{{end}}",
        "template: t:1: expected end; found {{else}}",
    ),
    (
        "{{if 1}}{{else 2}}{{end}}",
        'template: t:1: unexpected "2" in else',
    ),
    (
        "{{with 1}}{{else if 2}}x{{end}}",
        "template: t:1: unexpected <if> in input",
    ),
    (
        "{{if 1}}{{else with 2}}x{{end}}",
        "template: t:1: unexpected <with> in input",
    ),
    (
        "{{range 0}}{{else if 2}}x{{end}}",
        "template: t:1: unexpected <if> in input",
    ),
    (
        "{{range $a, $b, $c := .}}{{end}}",
        "template: t:1: too many declarations in range",
    ),
    (
        "{{range $a, 1 := .}}{{end}}",
        "template: t:1: range can only initialize variables",
    ),
    (
        "{{$a, $b := 1}}",
        "template: t:1: too many declarations in command",
    ),
    (
        "{{/* unclosed }}",
        "template: t:1: unclosed comment",
    ),
    (
        "{{/* c */ }}",
        "template: t:1: comment ends before closing delimiter",
    ),
    (
        "{{- /* c */-}}",
        "template: t:1: comment ends before closing delimiter",
    ),
    (
        '{{"unterminated}}',
        "template: t:1: unterminated quoted string",
    ),
    (
        "{{`unterminated}}",
        "template: t:1: unterminated raw quoted string",
    ),
    (
        "{{'ab'}}",
        "template: t:1: malformed character constant: 'ab'",
    ),
    (
        "{{''}}",
        "template: t:1: invalid syntax",
    ),
    (
        "{{'a}}",
        "template: t:1: unterminated character constant",
    ),
    (
        '{{"\\q"}}',
        "template: t:1: invalid syntax",
    ),
    (
        '{{"\\400"}}',
        "template: t:1: invalid syntax",
    ),
    (
        '{{"\\ud800"}}',
        "template: t:1: invalid syntax",
    ),
    (
        "{{'\\\"'}}",
        "template: t:1: invalid syntax",
    ),
    (
        "{{(1}}",
        "template: t:1: unclosed left paren",
    ),
    (
        "{{1)}}",
        "template: t:1: unexpected right paren",
    ),
    (
        "{{1 | 2}}",
        "template: t:1: non executable command in pipeline stage 2",
    ),
    (
        '{{1 | "a"}}',
        "template: t:1: non executable command in pipeline stage 2",
    ),
    (
        "{{1 | .}}",
        "template: t:1: non executable command in pipeline stage 2",
    ),
    (
        "{{| 1}}",
        'template: t:1: unexpected "|" in command',
    ),
    (
        "{{()}}",
        "template: t:1: missing value for parenthesized pipeline",
    ),
    (
        "{{}}",
        "template: t:1: missing value for command",
    ),
    (
        "{{ }}",
        "template: t:1: missing value for command",
    ),
    (
        '{{"a".b}}',
        'template: t:1: unexpected . after term "\\"a\\""',
    ),
    (
        "{{1.x}}",
        'template: t:1: bad number syntax: "1.x"',
    ),
    (
        "{{true.x}}",
        'template: t:1: unexpected . after term "true"',
    ),
    (
        "{{nil.x}}",
        'template: t:1: unexpected . after term "nil"',
    ),
    (
        "{{..}}",
        "template: t:1: unexpected <.> in operand",
    ),
    (
        "{{.x.}}",
        "template: t:1: unexpected <.> in operand",
    ),
    (
        "{{a b}}",
        'template: t:1: function "a" not defined',
    ),
    (
        "{{!}}",
        'template: t:1: unexpected "!" in command',
    ),
    (
        "{{@}}",
        'template: t:1: unexpected "@" in command',
    ),
    (
        "{{é}}",
        'template: t:1: function "é" not defined',
    ),
    (
        "{{1é}}",
        'template: t:1: bad number syntax: "1é"',
    ),
    (
        "{{ ☺ }}",
        "template: t:1: unrecognized character in action: U+263A '☺'",
    ),
    (
        "{{1a}}",
        'template: t:1: bad number syntax: "1a"',
    ),
    (
        "{{089}}",
        'template: t:1: integer overflow: "089"',
    ),
    (
        "{{0x}}",
        'template: t:1: illegal number syntax: "0x"',
    ),
    (
        "{{1__0}}",
        'template: t:1: illegal number syntax: "1__0"',
    ),
    (
        "{{99999999999999999999}}",
        'template: t:1: integer overflow: "99999999999999999999"',
    ),
    (
        "{{1e400}}",
        'template: t:1: illegal number syntax: "1e400"',
    ),
    (
        "{{1 2, 3}}",
        'template: t:1: unexpected "," in operand',
    ),
    (
        '{{"a" "b"c}}',
        'template: t:1: unexpected "c" in operand',
    ),
    (
        "{{.a$b}}",
        "template: t:1: bad character U+0024 '$'",
    ),
    (
        "{{$x+1}}",
        "template: t:1: bad character U+002B '+'",
    ),
    (
        "{{x := 1}}",
        'template: t:1: function "x" not defined',
    ),
    (
        "{{$x : 1}}",
        'template: t:1: undefined variable "$x"',
    ),
    (
        "{{1 := 2}}",
        'template: t:1: unexpected ":=" in operand',
    ),
    (
        "{{end}} trailing",
        "template: t:1: unexpected {{end}}",
    ),
    (
        "{{if}}",
        "template: t:1: missing value for if",
    ),
    (
        "{{if 1}}a\nline two {{\nthree",
        'template: t:3: function "three" not defined',
    ),
    (
        '{{"new\nline"}}',
        "template: t:1: unterminated quoted string",
    ),
    (
        '{{printf "%d" 1\n"x"\n\nmore',
        'template: t:4: function "more" not defined',
    ),
    (
        "a\n\n{{if}}",
        "template: t:3: missing value for if",
    ),
    (
        "\n{{range .}}\n{{end}}\n{{end}}",
        "template: t:4: unexpected {{end}}",
    ),
    (
        '{{- "x" -}}\n\n{{nofunc}}',
        'template: t:3: function "nofunc" not defined',
    ),
    (
        "é\n{{é.b}}",
        'template: t:2: function "é" not defined',
    ),
]


@pytest.mark.parametrize(("text", "why"), CASES)
def test_what_is_no_template_is_refused_with_its_line(text: str, why: str, confd: Confd) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        confd(text)
    assert str(caught.value) == why
