"""Whole templates: the cases of confd's own suite, and files with what confd makes of them."""

from pathlib import Path

import pytest

from tests.discovery.gotemplate.conftest import Confd

GOLDEN = Path(__file__).parent / "golden"

KEYS = {
    "/db/host": "10.0.0.5",
    "/db/port": "6432",
    "/shop_prod/10.0.0.2-80": "10.0.0.2:80",
    "/shop_prod/10.0.0.1-80": "10.0.0.1:80",
    "/shop_prod/[::1]-80": "[::1]:80",
    "/apps/shop/Prod/1": "10.1.0.1:80",
    "/apps/shop/Prod/2": "10.1.0.2:80",
    "/apps/shop/test/1": "10.1.1.1:80",
    "/apps/blog/prod/1": "10.2.0.1:80",
    "/apps/readme": "text",
    "/json/1": '{"name":"shop","weight":1.5,"port":8080,"tags":["a","b"],"zone":null}',
    "/json/2": '{"name":"blog","weight":1000000,"tags":[]}',
}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.tmpl")), ids=lambda path: path.stem)
def test_a_file_becomes_what_confd_makes_of_it(path: Path, confd: Confd) -> None:
    assert confd(path.read_text(), keys=KEYS) == path.with_suffix(".expected").read_text()


LIST = {"/t/data/abc": "123", "/t/data/def/ghi": "456", "/t/data/x/y/z": "7"}

# One case for each of the nineteen of confd's template_test.go, in its order.
CASES = [
    ('{{with get "/t/key"}}\nkey: {{base .Key}}\nval: {{.Value}}\n{{end}}', {"/t/key": "abc"},
     "\nkey: key\nval: abc\n"),
    ('{{range gets "/t/*"}}{{.Key}}={{.Value}}\n{{end}}', {"/t/user": "bob", "/t/pass": "abc"},
     "/t/pass=abc\n/t/user=bob\n"),
    ('url = {{getv "/t/url"}}\nuser = {{getv "/t/user"}}\n',
     {"/t/url": "http://www.abc.com", "/t/user": "bob"}, "url = http://www.abc.com\nuser = bob\n"),
    ('{{range getvs "/t/*"}}\nval: {{.}}\n{{end}}', {"/t/user": "mary", "/t/pass": "abc"},
     "\nval: abc\n\nval: mary\n"),
    ('{{$d := split (getv "/t/d") ":"}}{{index $d 0}} {{index $d 1}} {{index $d 2}}',
     {"/t/d": "foo:bar:baz"}, "foo bar baz"),
    ('{{$d := toUpper (getv "/t/d")}}key: {{$d}}', {"/t/d": "Value"}, "key: VALUE"),
    ('{{$d := toLower (getv "/t/d")}}key: {{$d}}', {"/t/d": "Value"}, "key: value"),
    ('{{range getvs "/t/*"}}{{$d := json .}}{{$d.Id}} {{$d.IP}}\n{{end}}',
     {"/t/1": '{"Id":"host1", "IP":"192.168.10.11"}', "/t/2": '{"Id":"host2", "IP":"::1"}'},
     "host1 192.168.10.11\nhost2 ::1\n"),
    ('{{range jsonArray (getv "/t/data/")}}num: {{.}}\n{{end}}', {"/t/data/": '["1", "2", 3]'},
     "num: 1\nnum: 2\nnum: 3\n"),
    ('{{range ls "/t/data"}}value: {{.}}\n{{end}}', LIST, "value: abc\nvalue: def\nvalue: x\n"),
    ('{{range lsdir "/t/data"}}value: {{.}}\n{{end}}', LIST, "value: def\nvalue: x\n"),
    ('{{with dir "/t/data/abc"}}dir: {{.}}\n{{end}}', LIST, "dir: /t/data\n"),
    ('{{range lookupIPV4 "localhost"}}ip: {{.}}\n{{end}}', {}, "ip: 10.0.0.9\nip: 127.0.0.1\n"),
    ('{{range lookupIPV6 "localhost"}}ip: {{.}}\n{{end}}', {}, "ip: ::1\n"),
    ('{{range lookupIP "localhost"}}ip: {{.}}\n{{end}}', {},
     "ip: 10.0.0.9\nip: 127.0.0.1\nip: ::1\n"),
    ('{{base64Encode (getv "/t/d")}}', {"/t/d": "Value"}, "VmFsdWU="),
    ('{{base64Decode (getv "/t/d")}}', {"/t/d": "VmFsdWU="}, "Value"),
    ("{{ seq 1 3 }}", {}, "[1 2 3]"),
    ('{{ seq 1 (atoi (getv "/t/count")) }}', {"/t/count": "3"}, "[1 2 3]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keys", "expected"), CASES)
def test_confds_own_cases(text: str, keys: dict[str, str], expected: str, confd: Confd) -> None:
    assert confd(text, keys=keys) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[ .a ]] {{ .a }}", "1 {{ .a }}"),
        ("[[- range .l -]] <[[ . ]]> [[- end ]]", "<x><y>"),
        ("[[/* c */]]x[[- /* c */ -]] y", "xy"),
    ],
)
def test_delimiters_can_be_others(text: str, expected: str, confd: Confd) -> None:
    data = {"a": 1, "l": ["x", "y"]}
    assert confd(text, data, delimiters=("[[", "]]")) == expected


def test_delimiters_show_in_errors(confd: Confd) -> None:
    with pytest.raises(Exception, match=r'at <<<template "x">>>: template "x" not defined'):
        confd('<<template "x">>', delimiters=("<<", ">>"))
    with pytest.raises(Exception, match=r"unexpected <<end>>"):
        confd("<<end>>", delimiters=("<<", ">>"))
