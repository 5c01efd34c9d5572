"""Every function of confd's: what it gives for good input.

Every row is what Go and confd themselves say of it, but for messages of encoding/json, which are
those of the Go that confd's releases were built with.
"""

import pytest

from tests.discovery.gotemplate.conftest import DATA, Confd

CASES = [
    (
        '{{base "/a/b"}} {{base "/a/b/"}} {{base ""}} {{base "/"}} {{base "a"}} {{base "//"}}',
        "b b . / a /",
    ),
    (
        (
            '{{dir "/a/b"}} {{dir "a"}} {{dir ""}} {{dir "/"}} {{dir "/a/../b/c"}} {{dir '
            '"//a//b"}} {{dir "/a/b/"}} {{dir "../x/y"}}'
        ),
        "/a . . / /b /a /a/b ../x",
    ),
    (
        (
            '{{split "a,b,c" ","}} {{len (split "" ",")}} {{split "abc" ""}} {{split '
            '"é☺" ""}} {{len (split "a" "")}} {{split "a::b" "::"}} {{printf "%q" (split '
            '",a," ",")}}'
        ),
        '[a b c] 1 [a b c] [é ☺] 1 [a b] ["" "a" ""]',
    ),
    (
        (
            '{{join (split "a,b,c" ",") "-"}} {{join (split "a" ",") "-"}} {{join (getvs '
            '"/n/*") ","}} {{join (getvs "/none/*") ","}}'
        ),
        "a-b-c a 10.0.0.1:80,10.0.0.2:80 ",
    ),
    (
        (
            '{{replace "aaa" "a" "b" 2}} {{replace "aaa" "a" "b" -1}} {{replace "abc" "" '
            '"-" -1}} {{replace "abc" "" "-" 2}} {{replace "abc" "b" "" -1}} {{replace '
            '"a" "a" "b" 0}}'
        ),
        "bba bbb -a-b-c- -a-bc ac a",
    ),
    (
        '{{contains "abc" "b"}} {{contains "abc" "x"}} {{contains "abc" ""}}',
        "true false true",
    ),
    (
        '{{trimSuffix "a.conf" ".conf"}} {{trimSuffix "a.conf" ".x"}} {{trimSuffix "" "x"}}',
        "a a.conf ",
    ),
    (
        '{{toUpper "aé"}} {{toUpper "ß"}} {{toLower "ÀB"}} {{toUpper "\\xff"}} {{toLower "İ"}}',
        "AÉ ß àb � i",
    ),
    (
        (
            '{{json "{\\"a\\":{\\"b\\":1}}"}} {{(json "{\\"a\\":{\\"b\\":1}}").a.b}} '
            '{{json "null"}} {{json " {} "}} {{(json "{\\"a\\":1,\\"a\\":2}").a}}'
        ),
        "map[a:map[b:1]] 1 map[] map[] 2",
    ),
    (
        (
            '{{jsonArray "[1,\\"x\\",null,true,{\\"a\\":[]}]"}} {{jsonArray "[]"}} '
            '{{jsonArray "null"}} {{len (jsonArray "[1,2]")}}'
        ),
        "[1 x <nil> true map[a:[]]] [] [] 2",
    ),
    (
        (
            '{{jsonArray "[\\"\\\\ud800\\", \\"\\\\u00e9\\", \\"\\\\ud83d\\\\ude00\\", '
            '\\"\\\\n\\"]"}}'
        ),
        "[� é 😀 \n]",
    ),
    (
        (
            '{{map "a" 1 "b" "x"}} {{map}} {{(map "k" "v").k}} {{map "a" 1 "a" 2}} {{$m '
            ':= map "a" (seq 1 2)}}{{$m.a}}'
        ),
        "map[a:1 b:x] map[] v map[a:2] [1 2]",
    ),
    (
        '{{getenv "WHARFINGER_NOT_SET"}}|{{getenv "WHARFINGER_NOT_SET" "default"}}',
        "|default",
    ),
    (
        (
            '{{base64Encode "Value"}} {{base64Encode ""}} {{base64Encode "é"}} '
            '{{base64Decode "VmFsdWU="}} {{base64Decode ""}} {{base64Decode "aG\\nk="}} '
            '{{base64Decode "/w==" | printf "%q"}}'
        ),
        'VmFsdWU=  w6k= Value  hi "\\xff"',
    ),
    (
        (
            '{{parseBool "1"}}{{parseBool "t"}}{{parseBool "TRUE"}} {{parseBool '
            '"0"}}{{parseBool "f"}}{{parseBool "False"}}'
        ),
        "truetruetrue falsefalsefalse",
    ),
    (
        (
            '{{reverse (split "a,b,c" ",")}} {{reverse (sortKVByLength (gets "/n/*"))}} '
            '{{reverse 3}} {{reverse "ab"}} {{reverse (seq 1 3)}}'
        ),
        "[c b a] [{/n/10.0.0.2-80 10.0.0.2:80} {/n/10.0.0.1-80 10.0.0.1:80}] 3 ab [1 2 3]",
    ),
    (
        '{{reverse (gets "/n/*")}}',
        "[{/n/10.0.0.1-80 10.0.0.1:80} {/n/10.0.0.2-80 10.0.0.2:80}]",
    ),
    (
        '{{$a := split "a,b" ","}}{{$b := reverse $a}}{{$a}}{{$b}}',
        "[b a][b a]",
    ),
    (
        (
            '{{sortByLength (split "ccc,a,bb,d" ",")}} {{sortByLength (split "éé,aaa" '
            '",")}} {{$a := split "bb,a" ","}}{{$b := sortByLength $a}}{{$a}}'
        ),
        "[a d bb ccc] [aaa éé] [a bb]",
    ),
    (
        '{{range sortKVByLength (gets "/*")}}{{.Key}} {{end}}',
        "/a /j /z /ja /top /empty ",
    ),
    (
        (
            "{{add 1 2}} {{sub 1 5}} {{mul 3 -4}} {{div 7 2}} {{div -7 2}} {{div 7 -2}} "
            "{{mod 7 3}} {{mod -7 3}} {{mod 7 -3}}"
        ),
        "3 -4 -12 3 -3 -3 1 -1 1",
    ),
    (
        (
            "{{add 9223372036854775807 1}} {{mul 4611686018427387904 4}} {{sub "
            "-9223372036854775808 1}} {{div -9223372036854775808 -1}} {{mod "
            "-9223372036854775808 -1}}"
        ),
        "-9223372036854775808 0 9223372036854775807 -9223372036854775808 0",
    ),
    (
        (
            '{{add 1 2.0}} {{add \'a\' 1}} {{add 0x10 1}} {{add (atoi "2") (len "ab")}} '
            "{{2 | add 1}}"
        ),
        "3 98 17 4 3",
    ),
    (
        "{{seq 1 3}} {{seq 3 1}} {{seq -1 1}} {{seq 5 5}} {{len (seq 1 1000)}}",
        "[1 2 3] [] [-1 0 1] [5] 1000",
    ),
    (
        ('{{atoi "12"}} {{atoi "-5"}} {{atoi "+5"}} {{atoi "007"}} {{atoi "9223372036854775807"}}'),
        "12 -5 5 7 9223372036854775807",
    ),
    (
        '{{exists "/a"}} {{exists "/n"}} {{exists "/none"}} {{exists "a"}} {{exists ""}}',
        "true false false false false",
    ),
    (
        '{{get "/a"}} {{(get "/z").Value}}',
        "{/a 1} éü",
    ),
    (
        (
            '{{gets "/n/*"}} {{gets "/none/*"}} {{range gets '
            '"/order/*"}}{{.Key}}={{.Value}} {{end}} {{len (gets "/*")}} {{len (gets '
            '"/*/*")}}'
        ),
        (
            "[{/n/10.0.0.1-80 10.0.0.1:80} {/n/10.0.0.2-80 10.0.0.2:80}] [] /order/1=c "
            "/order/2=a /order/3=b  6 6"
        ),
    ),
    (
        (
            '{{gets "/order/[13]"}} {{gets "/order/[^1]"}} {{gets "/order/?"}} {{gets '
            '"/a"}} {{gets "/\\\\a"}} {{gets "/n/*-80"}}'
        ),
        (
            "[{/order/1 c} {/order/3 b}] [{/order/2 a} {/order/3 b}] [{/order/1 c} "
            "{/order/2 a} {/order/3 b}] [{/a 1}] [{/a 1}] [{/n/10.0.0.1-80 10.0.0.1:80} "
            "{/n/10.0.0.2-80 10.0.0.2:80}]"
        ),
    ),
    (
        (
            '{{getv "/a"}} {{getv "/none" "default"}} {{getv "/a" "default"}} {{getv '
            '"/empty" "default"}}| {{getv "/none" "d" "e"}}'
        ),
        "1 default 1 | d",
    ),
    (
        (
            '{{getvs "/order/*"}} {{getvs "/none/*"}} {{len (getvs "/none/*")}} {{range '
            'getvs "/n/*"}}server {{.}};{{end}}'
        ),
        "[a b c] [] 0 server 10.0.0.1:80;server 10.0.0.2:80;",
    ),
    (
        (
            '{{ls "/a"}} {{ls "/a/"}} {{ls "/n"}} {{ls "/none"}} {{ls "/order"}} {{ls '
            '"/a/b"}} {{ls "/ord"}}'
        ),
        "[a b c] [b c] [10.0.0.1-80 10.0.0.2-80] [] [1 2 3] [b] []",
    ),
    (
        '{{ls "/"}} {{ls ""}} {{ls "a"}} {{ls "/a//"}} {{ls "/a/../a"}} {{ls "/a/./c"}}',
        "[a empty j ja top z] [] [] [a] [a] [a]",
    ),
    (
        (
            '{{lsdir "/a"}} {{lsdir "/a/"}} {{lsdir "/n"}} {{lsdir "/"}} {{lsdir ""}} '
            '{{lsdir "/none"}} {{lsdir "/a/c"}} {{lsdir "/a//"}}'
        ),
        "[c] [c] [] [] [] [] [] []",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_it_gives_what_go_gives(text: str, expected: str, confd: Confd) -> None:
    assert confd(text, DATA) == expected
