"""fmt: values, verbs, flags, width, precision and the marks of what is wrong.

Every row is what Go and confd themselves say of it, but for messages of encoding/json, which are
those of the Go that confd's releases were built with.
"""

import pytest

from tests.discovery.gotemplate.conftest import DATA, Confd

CASES = [
    (
        (
            "{{1e6}} {{123456789.0}} {{100000.0}} {{1e20}} {{1e21}} {{0.0001}} "
            "{{0.00001}} {{3.0}} {{-0.0}} {{1.7976931348623157e308}} {{5e-324}}"
        ),
        (
            "1e+06 1.23456789e+08 100000 1e+20 1e+21 0.0001 1e-05 3 -0 "
            "1.7976931348623157e+308 5e-324"
        ),
    ),
    (
        '{{jsonArray "[1, 1.5, 1000000, 12345678, 0.1, 1e100, 12345678901234567890]"}}',
        "[1 1.5 1e+06 1.2345678e+07 0.1 1e+100 1.2345678901234567e+19]",
    ),
    (
        (
            '{{split "a,b" ","}} {{seq 1 3}} {{map "b" 1 "a" "x"}} {{map "a" nil}} '
            '{{json (getv "/j")}}'
        ),
        (
            "[a b] [1 2 3] map[a:x b:1] map[a:<nil>] map[a:map[b:[1 2.5 <nil> s true]] "
            "f:1e+06 n:<nil>]"
        ),
    ),
    (
        '{{gets "/n/*"}} {{map}} {{seq 2 1}}',
        "[{/n/10.0.0.1-80 10.0.0.1:80} {/n/10.0.0.2-80 10.0.0.2:80}] map[] []",
    ),
    (
        '{{printf "%v %+v %#v %T" (gets "/n/*") (get "/a") (get "/a") (gets "/n/*")}}',
        (
            "[{/n/10.0.0.1-80 10.0.0.1:80} {/n/10.0.0.2-80 10.0.0.2:80}] {Key:/a "
            'Value:1} memkv.KVPair{Key:"/a", Value:"1"} memkv.KVPairs'
        ),
    ),
    (
        '{{printf "%v %#v %T" (map "a" 1 "b" nil) (map "a" 1 "b" nil "c" "x") (map)}}',
        (
            'map[a:1 b:<nil>] map[string]interface {}{"a":1, "b":interface {}(nil), '
            '"c":"x"} map[string]interface {}'
        ),
    ),
    (
        '{{printf "%#v %#v %#v %#v %#v %#v" "a" 1 1.5 true (split "a,b" ",") (seq 2 1)}}',
        '"a" 1 1.5 true []string{"a", "b"} []int(nil)',
    ),
    (
        '{{printf "%#v" (jsonArray "[1, null, \\"x\\"]")}}',
        '[]interface {}{1, interface {}(nil), "x"}',
    ),
    (
        '{{printf "%v %s %d" nil nil nil}} {{printf "%v" .no}}',
        "<nil> %!s(<nil>) %!d(<nil>) <nil>",
    ),
    (
        (
            '{{printf "%d%%" 5}} {{printf "%d" "x"}} {{printf "%s" 5}} {{printf "%d"}} '
            '{{printf "x" 1 "y"}}'
        ),
        "5% %!d(string=x) %!s(int=5) %!d(MISSING) x%!(EXTRA int=1, string=y)",
    ),
    (
        (
            '{{printf "%"}} {{printf "%!"}} {{printf "%z" 1}} {{printf "%-"}} {{printf '
            '"%d %d" 1}} {{printf "a%" 1}}'
        ),
        ("%!(NOVERB) %!!(MISSING) %!z(int=1) %!(NOVERB) 1 %!d(MISSING) a%!(NOVERB)%!(EXTRA int=1)"),
    ),
    (
        '{{printf "%t %v" true false}} {{printf "%t" 1}} {{printf "%5t|%-6t|" true false}}',
        "true false %!t(int=1)  true|false |",
    ),
    (
        '{{printf "%5d|%-5d|%05d|%+d|% d|%+05d" 42 42 42 42 42 42}}',
        "   42|42   |00042|+42| 42|+0042",
    ),
    (
        '{{printf "%x|%X|%#x|%#X|%o|%#o|%O|%b|%#b" 42 42 42 42 42 42 42 42 42}}',
        "2a|2A|0x2a|0X2A|52|052|0o52|101010|0b101010",
    ),
    (
        (
            '{{printf "%c|%q|%U|%#U|%+q" 233 233 233 233 233}} {{printf "%c" 1114112}} '
            '{{printf "%q" 55296}}'
        ),
        "é|'é'|U+00E9|U+00E9 'é'|'\\u00e9' � '�'",
    ),
    (
        (
            '{{printf "%.3d|%8.3d|%-8.3d|%08.3d|%.0d|%+.2d" 7 7 7 7 0 7}} {{printf "%x" '
            '-255}} {{printf "%d" -9223372036854775808}}'
        ),
        "007|     007|007     |     007||+07 -ff -9223372036854775808",
    ),
    (
        (
            '{{printf "%5s|%-5s|%.2s|%q|%x|%X|% x|%#x|%# x|%#q|%05s|%5.1s" "abc" "abc" '
            '"abc" "a\\"b" "hi" "hi" "hi" "hi" "hi" "raw" "ab" "xyz"}}'
        ),
        '  abc|abc  |ab|"a\\"b"|6869|6869|68 69|0x6869|0x68 0x69|`raw`|000ab|    x',
    ),
    (
        (
            '{{printf "%q %+q %q %#q" "é\\n\\x00" "é" "\\xff" "a`b"}} {{printf '
            '"%.1s|%3s|%-3s|" "éa" "é" "é"}}'
        ),
        '"é\\n\\x00" "\\u00e9" "\\xff" "a`b" é|  é|é  |',
    ),
    (
        (
            '{{printf "%f|%.2f|%8.3f|%-8.2f|%+f|%08.2f|% f|%.0f" 3.14159 3.14159 3.14159 '
            "3.14159 3.14159 -3.14159 3.14159 2.5}}"
        ),
        "3.141590|3.14|   3.142|3.14    |+3.141590|-0003.14| 3.141590|2",
    ),
    (
        (
            '{{printf "%e|%E|%.2e|%g|%G|%.3g|%.10g|%#g|%#.3g" 1234.5678 1234.5678 '
            "1234.5678 1234.5678 1e-7 1234.5678 1234.5678 1.0 1.0}}"
        ),
        "1.234568e+03|1.234568E+03|1.23e+03|1234.5678|1E-07|1.23e+03|1234.5678|1.00000|1.00",
    ),
    (
        (
            '{{printf "%6.2f%%" 99.5}} {{printf "%x %b" 1.5 1.5}} {{printf "%.3x" '
            '1.999}} {{printf "%8.2g|" 100.0}} {{printf "%F" 1.5}}'
        ),
        " 99.50% 0x1.8p+00 6755399441055744p-52 0x1.ffcp+00    1e+02| 1.500000",
    ),
    (
        '{{printf "%d" 1.5}} {{printf "%f" 1}} {{printf "%s" true}} {{printf "%d" true}}',
        "%!d(float64=1.5) %!f(int=1) %!s(bool=true) %!d(bool=true)",
    ),
    (
        (
            '{{printf "%[2]d %[1]d" 1 2}} {{printf "%[3]d" 1}} {{printf "%[x]d" 1}} '
            '{{printf "%[1]d %d" 1 2}} {{printf "%[2]*[1]d" 2 5}} {{printf "%[" 1}}'
        ),
        "2 1 %!d(BADINDEX) %!d(BADINDEX) 1 2     2 %!(NOVERB)",
    ),
    (
        (
            '{{printf "%*d|%-*d|%*d" 5 42 5 42 -5 42}} {{printf "%.*f" 2 3.14159}} '
            '{{printf "%*d" "x" 1}} {{printf "%.*d" -1 5}} {{printf "%*d" 10000000 1}}'
        ),
        "   42|42   |42    3.14 %!(BADWIDTH)1 %!(BADPREC)5 %!(BADWIDTH)1",
    ),
    (
        '{{printf "%999999999999d" 1}} {{printf "%1000001d" 1}} {{printf "%.d|%.f" 5 2.5}}',
        "%!(NOVERB)%!(EXTRA int=1)" + " " * 1_000_001 + "1 5|2",
    ),
    (
        (
            '{{printf "%v %d %s %q %x %5d|" (split "a,b" ",") (seq 1 3) (split "a,b" '
            '",") (split "a,b" ",") (split "a,b" ",") (seq 1 2)}}'
        ),
        '[a b] [1 2 3] [a b] ["a" "b"] [61 62] [    1     2]|',
    ),
    (
        (
            '{{printf "%s %d" (seq 1 2) (split "a" ",")}} {{printf "%6.2f" (jsonArray '
            '"[1,2.5]")}} {{printf "%s" (map "a" 1)}} {{printf "%05v" (map "a" 1)}}'
        ),
        (
            "[%!s(int=1) %!s(int=2)] [%!d(string=a)] [  1.00   2.50] map[a:%!s(int=1)] "
            "map[0000a:00001]"
        ),
    ),
    (
        (
            '{{printf "%w" 1}} {{printf "%T %T %T %T %T %T" 1 "a" 1.5 true (seq 1 2) '
            '(index "a" 0)}} {{printf "%T" nil}}'
        ),
        "%!w(int=1) int string float64 bool []int uint8 <nil>",
    ),
    (
        (
            '{{printf "%v %#v %x %d" (index "abc" 0) (index "abc" 0) (index "abc" 0) '
            '(index "abc" 0)}}'
        ),
        "97 0x61 61 97",
    ),
    (
        '{{printf "%v %.1f %+v" 1i 1i 2i}}',
        "(0+1i) (0.0+1.0i) (0+2i)",
    ),
    (
        '{{printf "%d" (get "/a")}} {{printf "%s" (get "/a")}} {{printf "%q" (gets "/n/*")}}',
        (
            '{%!d(string=/a) %!d(string=1)} {/a 1} [{"/n/10.0.0.1-80" "10.0.0.1:80"} '
            '{"/n/10.0.0.2-80" "10.0.0.2:80"}]'
        ),
    ),
    (
        '{{printf "héé %d é" 1}} {{printf "%é" 1}}',
        "héé 1 é %!é(int=1)",
    ),
    (
        ('{{printf "%v" 1e21}} {{printf "%v" 123456789.0}} {{printf "%6v|%-6v|%06v" 1.5 1.5 1.5}}'),
        "1e+21 1.23456789e+08    1.5|1.5   |0001.5",
    ),
    (
        (
            '{{printf "%+d %+d" 0 -0}} {{printf "%+.1e" 0.0}} {{printf "%e" 0.0}} '
            '{{printf "%g" 100000.0}} {{printf "%g" 1000000.0}} {{printf "%G" 1e-10}}'
        ),
        "+0 +0 +0.0e+00 0.000000e+00 100000 1e+06 1E-10",
    ),
    (
        '{{println "a" 1 1.5 nil (seq 1 2)}}',
        "a 1 1.5 <nil> [1 2]\n",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_it_gives_what_go_gives(text: str, expected: str, confd: Confd) -> None:
    assert confd(text, DATA) == expected
