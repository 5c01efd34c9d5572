"""Go's own functions: logic, comparison, indexing, printing and escaping.

Every row is what Go and confd themselves say of it, but for messages of encoding/json, which are
those of the Go that confd's releases were built with.
"""

import pytest

from tests.discovery.gotemplate.conftest import DATA, Confd

CASES = [
    (
        (
            '{{and 1 0 2}}|{{and 1 2}}|{{and ""}}|{{or 0 "" "x"}}|{{or 0 ""}}|{{not '
            "1}}{{not 0}}{{not nil}}"
        ),
        "0|2||x||falsetruetrue",
    ),
    (
        '{{and 0 (index "a" 5)}}{{or 1 (index "a" 5)}}',
        "01",
    ),
    (
        # A null of JSON's is no value, through which function it ever came.
        "{{and 1 .n}}|{{or 0 .n}}|{{or .n .n}}|{{or .n 2}}|{{print (and 1 .n)}}",
        "<no value>|<no value>|<no value>|2|<nil>",
    ),
    (
        '{{1 | and 2}}{{0 | or 3}}{{"x" | or ""}}',
        "13x",
    ),
    (
        '{{eq 1 2 3 1}}{{eq "a" "b"}}{{eq 1.5 1.5}}{{eq true true}}{{eq 1 2}}',
        "truefalsetruetruefalse",
    ),
    (
        '{{ne 1 2}}{{ne "a" "a"}}{{lt 1 2}}{{le "a" "a"}}{{gt 1.5 1.0}}{{ge 1 2}}',
        "truefalsetruetruetruefalse",
    ),
    (
        '{{lt "Z" "a"}}{{lt "a" "é"}}{{lt "\uffff" "😀"}}',
        "truetruetrue",
    ),
    (
        "{{eq nil nil}}{{eq .no nil}}{{eq .no 1}}{{eq .n nil}}",
        "truetruefalsetrue",
    ),
    (
        '{{eq (index "abc" 0) 97}}{{lt (index "abc" 0) 98}}',
        "truetrue",
    ),
    (
        '{{eq (get "/a") (get "/a")}}{{eq (get "/a") (get "/top")}}',
        "truefalse",
    ),
    (
        '{{eq (split "a" ",") nil}}{{eq (seq 2 1) nil}}',
        "falsetrue",
    ),
    (
        "{{eq .f 1e6}}{{eq (index .a.b 0) 1.0}}",
        "truetrue",
    ),
    (
        '{{len "é"}} {{len "abc"}} {{len .l}} {{len .}} {{len ""}} {{len (seq 2 1)}}',
        "2 3 2 5 0 0",
    ),
    (
        (
            '{{index .l 1}} {{index . "s"}} {{index .a "b" 1}} {{index "abc" 1}} {{index '
            '. "no"}} {{index .l}}'
        ),
        "yy é 2.5 98 <no value> [x yy]",
    ),
    (
        '{{index "é" 0}} {{index "é" 1}}',
        "195 169",
    ),
    (
        (
            '{{slice "hello" 1 3}} {{slice "hello" 2}} {{slice "hello"}} {{slice "héllo" '
            "1 3}} {{slice .l 1}} {{slice .l 0 1 2}}"
        ),
        "el llo hello é [yy] [x]",
    ),
    (
        '{{slice "é" 0 1 | printf "%q"}} {{print (slice "é" 0 1) (slice "é" 1 2)}}',
        '"\\xc3" é',
    ),
    (
        '{{eq (print (slice "é" 0 1) (slice "é" 1 2)) "é"}}',
        "true",
    ),
    (
        '{{html "<a href=\'x\'>&\\"\\x00"}} {{html 1 2 "x" nil .no}}',
        "&lt;a href=&#39;x&#39;&gt;&amp;&#34;� 1 2x&lt;no value&gt;&lt;no value&gt;",
    ),
    (
        '{{js "it\'s <\\"\\\\>=&\\n\\u2028é"}} {{js 1.5}}',
        "it\\'s \\u003C\\\"\\\\\\u003E\\u003D\\u0026\\u000A\\u2028é 1.5",
    ),
    (
        '{{urlquery "a b/c?é&-_.~"}} {{urlquery 1 2}}',
        "a+b%2Fc%3F%C3%A9%26-_.~ 1+2",
    ),
    (
        '{{print 1 2 "a" "b" 3 nil true}}|{{println 1 "a"}}|{{print}}|{{println}}',
        "1 2ab3 <nil> true|1 a\n||\n",
    ),
    (
        '{{print .l .a.b}} {{print "a" 1 "b"}} {{print 1 1.5}}',
        "[x yy] [1 2.5 <nil> s true] a1b 1 1.5",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_it_gives_what_go_gives(text: str, expected: str, confd: Confd) -> None:
    assert confd(text, DATA) == expected
