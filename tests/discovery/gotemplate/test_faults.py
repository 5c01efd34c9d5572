"""What fails, where, and in which words.

Every row is what Go and confd themselves say of it, but for messages of encoding/json, which are
those of the Go that confd's releases were built with.
"""

import pytest

from discovery.gotemplate.errors import TemplateExecutionError
from tests.discovery.gotemplate.conftest import DATA, Confd

CASES = [
    (
        "{{nil}}",
        'template: t:1:2: executing "t" at <nil>: nil is not a command',
    ),
    (
        "{{1 2}}",
        'template: t:1:2: executing "t" at <1>: can\'t give argument to non-function 1',
    ),
    (
        "{{(1) 2}}",
        'template: t:1:2: executing "t" at <(1) 2>: can\'t give argument to non-function 1',
    ),
    (
        '{{add 1 "x"}}',
        'template: t:1:8: executing "t" at <"x">: expected integer; found "x"',
    ),
    (
        "{{add 1 2.5}}",
        'template: t:1:8: executing "t" at <2.5>: expected integer; found 2.5',
    ),
    (
        "{{add 1}}",
        'template: t:1:2: executing "t" at <add>: wrong number of args for add: want 2 got 1',
    ),
    (
        "{{add 1 2 3}}",
        'template: t:1:2: executing "t" at <add>: wrong number of args for add: want 2 got 3',
    ),
    (
        "{{1 | add 1 2}}",
        'template: t:1:6: executing "t" at <add>: wrong number of args for add: want 2 got 3',
    ),
    (
        '{{add (index "abc" 0) 1}}',
        'template: t:1:19: executing "t" at <0>: wrong type for value; expected int; got uint8',
    ),
    (
        '{{add "1" 1 | printf "%d"}}',
        'template: t:1:6: executing "t" at <"1">: expected integer; found "1"',
    ),
    (
        "{{toUpper 1}}",
        'template: t:1:10: executing "t" at <1>: expected string; found 1',
    ),
    (
        "{{toUpper nil}}",
        'template: t:1:10: executing "t" at <nil>: cannot assign nil to string',
    ),
    (
        "{{toUpper .no}}",
        'template: t:1:10: executing "t" at <.no>: invalid value; expected string',
    ),
    (
        "{{toUpper .f}}",
        (
            'template: t:1:10: executing "t" at <.f>: wrong type for value; expected '
            "string; got float64"
        ),
    ),
    (
        '{{toUpper (atoi "1")}}',
        (
            'template: t:1:16: executing "t" at <"1">: wrong type for value; expected '
            "string; got int"
        ),
    ),
    (
        "{{.f | toUpper}}",
        (
            'template: t:1:7: executing "t" at <toUpper>: wrong type for value; expected '
            "string; got float64"
        ),
    ),
    (
        '{{join "a" "b"}}',
        ('template: t:1:7: executing "t" at <"a">: can\'t handle "a" for arg of type []string'),
    ),
    (
        '{{join .l "b"}}',
        (
            'template: t:1:7: executing "t" at <.l>: wrong type for value; expected '
            "[]string; got []interface {}"
        ),
    ),
    (
        '{{join (getv "/a") "b"}}',
        (
            'template: t:1:13: executing "t" at <"/a">: wrong type for value; expected '
            "[]string; got string"
        ),
    ),
    (
        '{{join nil "b" | printf "%d %s"}}{{index .l 9}}',
        (
            'template: t:1:35: executing "t" at <index .l 9>: error calling index: index '
            "out of range: 9"
        ),
    ),
    (
        "{{index .l 2}}",
        (
            'template: t:1:2: executing "t" at <index .l 2>: error calling index: '
            "reflect: slice index out of range"
        ),
    ),
    (
        "{{index .l 3}}",
        (
            'template: t:1:2: executing "t" at <index .l 3>: error calling index: index '
            "out of range: 3"
        ),
    ),
    (
        "{{index .l -1}}",
        (
            'template: t:1:2: executing "t" at <index .l -1>: error calling index: index '
            "out of range: -1"
        ),
    ),
    (
        '{{index .l "a"}}',
        (
            'template: t:1:2: executing "t" at <index .l "a">: error calling index: '
            "cannot index slice/array with type string"
        ),
    ),
    (
        "{{index .l nil}}",
        (
            'template: t:1:2: executing "t" at <index .l nil>: error calling index: '
            "cannot index slice/array with nil"
        ),
    ),
    (
        '{{index "abc" 3}}',
        (
            'template: t:1:2: executing "t" at <index "abc" 3>: error calling index: '
            "reflect: string index out of range"
        ),
    ),
    (
        "{{index . 1}}",
        (
            'template: t:1:2: executing "t" at <index . 1>: error calling index: value '
            "has type int; should be string"
        ),
    ),
    (
        "{{index . nil}}",
        (
            'template: t:1:2: executing "t" at <index . nil>: error calling index: value '
            "is nil; should be of type string"
        ),
    ),
    (
        "{{index 1 2}}",
        (
            'template: t:1:2: executing "t" at <index 1 2>: error calling index: can\'t '
            "index item of type int"
        ),
    ),
    (
        "{{index nil 1}}",
        (
            'template: t:1:2: executing "t" at <index nil 1>: error calling index: index '
            "of untyped nil"
        ),
    ),
    (
        "{{index .no 1}}",
        (
            'template: t:1:2: executing "t" at <index .no 1>: error calling index: index '
            "of untyped nil"
        ),
    ),
    (
        "{{index .a.b 2 1}}",
        (
            'template: t:1:2: executing "t" at <index .a.b 2 1>: error calling index: '
            "index of nil pointer"
        ),
    ),
    (
        '{{index (get "/a") 1}}',
        (
            'template: t:1:2: executing "t" at <index (get "/a") 1>: error calling '
            "index: can't index item of type memkv.KVPair"
        ),
    ),
    (
        "{{len .no}}",
        (
            'template: t:1:2: executing "t" at <len .no>: error calling len: reflect: '
            "call of reflect.Value.Type on zero Value"
        ),
    ),
    (
        "{{len nil}}",
        (
            'template: t:1:2: executing "t" at <len nil>: error calling len: reflect: '
            "call of reflect.Value.Type on zero Value"
        ),
    ),
    (
        "{{len 3}}",
        'template: t:1:2: executing "t" at <len 3>: error calling len: len of type int',
    ),
    (
        '{{len (get "/a")}}',
        (
            'template: t:1:2: executing "t" at <len (get "/a")>: error calling len: len '
            "of type memkv.KVPair"
        ),
    ),
    (
        "{{range .a.b}}{{len .}}{{end}}",
        'template: t:1:16: executing "t" at <len .>: error calling len: len of type float64',
    ),
    (
        '{{slice "a" 1 2 3}}',
        (
            'template: t:1:2: executing "t" at <slice "a" 1 2 3>: error calling slice: '
            "cannot 3-index slice a string"
        ),
    ),
    (
        '{{slice "abc" 3 2}}',
        (
            'template: t:1:2: executing "t" at <slice "abc" 3 2>: error calling slice: '
            "invalid slice index: 3 > 2"
        ),
    ),
    (
        '{{slice "abc" 4}}',
        (
            'template: t:1:2: executing "t" at <slice "abc" 4>: error calling slice: '
            "index out of range: 4"
        ),
    ),
    (
        '{{slice "abc" "x"}}',
        (
            'template: t:1:2: executing "t" at <slice "abc" "x">: error calling slice: '
            "cannot index slice/array with type string"
        ),
    ),
    (
        "{{slice 5 1}}",
        (
            'template: t:1:2: executing "t" at <slice 5 1>: error calling slice: can\'t '
            "slice item of type int"
        ),
    ),
    (
        "{{slice nil 1}}",
        (
            'template: t:1:2: executing "t" at <slice nil 1>: error calling slice: slice '
            "of untyped nil"
        ),
    ),
    (
        "{{slice . 1}}",
        (
            'template: t:1:2: executing "t" at <slice . 1>: error calling slice: can\'t '
            "slice item of type map[string]interface {}"
        ),
    ),
    (
        "{{slice .l 0 1 2 3}}",
        (
            'template: t:1:2: executing "t" at <slice .l 0 1 2 3>: error calling slice: '
            "too many slice indexes: 4"
        ),
    ),
    (
        "{{.n.x}}",
        'template: t:1:4: executing "t" at <.n.x>: nil pointer evaluating interface {}.x',
    ),
    (
        "{{.f.x}}",
        ('template: t:1:4: executing "t" at <.f.x>: can\'t evaluate field x in type interface {}'),
    ),
    (
        "{{.s.x}}",
        ('template: t:1:4: executing "t" at <.s.x>: can\'t evaluate field x in type interface {}'),
    ),
    (
        "{{.l.x}}",
        ('template: t:1:4: executing "t" at <.l.x>: can\'t evaluate field x in type interface {}'),
    ),
    (
        "{{range .a.b}}{{.x}}{{end}}",
        'template: t:1:16: executing "t" at <.x>: can\'t evaluate field x in type interface {}',
    ),
    (
        "{{range $v := .l}}{{$v.x}}{{end}}",
        ('template: t:1:22: executing "t" at <$v.x>: can\'t evaluate field x in type interface {}'),
    ),
    (
        '{{range gets "/n/*"}}{{.Foo}}{{end}}',
        (
            'template: t:1:23: executing "t" at <.Foo>: can\'t evaluate field Foo in '
            "type memkv.KVPair"
        ),
    ),
    (
        '{{range gets "/n/*"}}{{.Key 1}}{{end}}',
        (
            'template: t:1:23: executing "t" at <.Key>: Key has arguments but cannot be '
            "invoked as function"
        ),
    ),
    (
        "{{.a 1}}",
        'template: t:1:2: executing "t" at <.a>: a is not a method but has arguments',
    ),
    (
        "{{1 | .a}}",
        'template: t:1:6: executing "t" at <.a>: a is not a method but has arguments',
    ),
    (
        "{{$x := 1}}{{$x 2}}",
        'template: t:1:13: executing "t" at <$x>: can\'t give argument to non-function $x',
    ),
    (
        "{{$x := 1}}{{$x.y}}",
        'template: t:1:15: executing "t" at <$x.y>: can\'t evaluate field y in type int',
    ),
    (
        '{{(split "a" ",").x}}',
        'template: t:1:13: executing "t" at <",">: can\'t evaluate field x in type []string',
    ),
    (
        '{{(get "/a").Value.x}}',
        'template: t:1:7: executing "t" at <"/a">: can\'t evaluate field x in type string',
    ),
    (
        "{{(index .l 0).a}}",
        'template: t:1:12: executing "t" at <0>: can\'t evaluate field a in type string',
    ),
    (
        "{{(nil).x}}",
        'template: t:1:3: executing "t" at <nil>: nil is not a command',
    ),
    (
        "{{range 1.5}}{{end}}",
        'template: t:1:8: executing "t" at <1.5>: range can\'t iterate over 1.5',
    ),
    (
        '{{range "abc"}}{{end}}',
        'template: t:1:8: executing "t" at <"abc">: range can\'t iterate over abc',
    ),
    (
        "{{range true}}{{end}}",
        'template: t:1:8: executing "t" at <true>: range can\'t iterate over true',
    ),
    (
        '{{range get "/a"}}{{end}}',
        'template: t:1:12: executing "t" at <"/a">: range can\'t iterate over {/a 1}',
    ),
    (
        "{{range $i, $j := 3}}{{$i}}{{end}}",
        (
            'template: t:1:18: executing "t" at <3>: can\'t use 3 to iterate over more '
            "than one variable"
        ),
    ),
    (
        '{{template "nope"}}',
        'template: t:1:11: executing "t" at <{{template "nope"}}>: template "nope" not defined',
    ),
    (
        '{{template "nope" .a.b}}',
        (
            'template: t:1:11: executing "t" at <{{template "nope" .a.b}}>: template '
            '"nope" not defined'
        ),
    ),
    (
        '{{define "a"}}\n\n{{toUpper 1}}{{end}}{{template "a"}}',
        'template: t:3:10: executing "a" at <1>: expected string; found 1',
    ),
    (
        "é\n é {{toUpper 1}}",
        'template: t:2:14: executing "t" at <1>: expected string; found 1',
    ),
    (
        "{{if false}}{{$y := 1}}{{else}}{{$y}}{{end}}",
        'template: t:1:33: executing "t" at <$y>: undefined variable: $y',
    ),
    (
        "{{$x = 1}}",
        'template: t:1:7: executing "t" at <1>: undefined variable: $x',
    ),
    (
        "{{eq 1 1.0}}",
        (
            'template: t:1:2: executing "t" at <eq 1 1.0>: error calling eq: '
            "incompatible types for comparison: int and float64"
        ),
    ),
    (
        '{{eq 1 "1"}}',
        (
            'template: t:1:2: executing "t" at <eq 1 "1">: error calling eq: '
            "incompatible types for comparison: int and string"
        ),
    ),
    (
        "{{eq 1}}",
        (
            'template: t:1:2: executing "t" at <eq 1>: error calling eq: missing '
            "argument for comparison"
        ),
    ),
    (
        "{{eq}}",
        (
            'template: t:1:2: executing "t" at <eq>: wrong number of args for eq: want '
            "at least 1 got 0"
        ),
    ),
    (
        "{{eq .l .l}}",
        (
            'template: t:1:2: executing "t" at <eq .l .l>: error calling eq: '
            "non-comparable type [x yy]: []interface {}"
        ),
    ),
    (
        "{{eq . .}}",
        (
            'template: t:1:2: executing "t" at <eq . .>: error calling eq: '
            "non-comparable type map[a:map[b:[%!s(float64=1) %!s(float64=2.5) <nil> s "
            "%!s(bool=true)]] f:%!s(float64=1e+06) l:[x yy] n:<nil> s:é]: "
            "map[string]interface {}"
        ),
    ),
    (
        "{{eq .l 1}}",
        (
            'template: t:1:2: executing "t" at <eq .l 1>: error calling eq: incompatible '
            "types for comparison: []interface {} and int"
        ),
    ),
    (
        "{{eq .l .}}",
        (
            'template: t:1:2: executing "t" at <eq .l .>: error calling eq: '
            "non-comparable types [x yy]: []interface {}, map[string]interface {}: "
            "map[a:map[b:[1 2.5 <nil> s true]] f:1e+06 l:[x yy] n:<nil> s:é]"
        ),
    ),
    (
        '{{ne 1 "a"}}',
        (
            'template: t:1:2: executing "t" at <ne 1 "a">: error calling ne: '
            "incompatible types for comparison: int and string"
        ),
    ),
    (
        "{{lt true false}}",
        (
            'template: t:1:2: executing "t" at <lt true false>: error calling lt: '
            "invalid type for comparison"
        ),
    ),
    (
        "{{lt nil 1}}",
        (
            'template: t:1:2: executing "t" at <lt nil 1>: error calling lt: invalid '
            "type for comparison"
        ),
    ),
    (
        '{{lt 1 "a"}}',
        (
            'template: t:1:2: executing "t" at <lt 1 "a">: error calling lt: '
            "incompatible types for comparison: int and string"
        ),
    ),
    (
        "{{lt .l .l}}",
        (
            'template: t:1:2: executing "t" at <lt .l .l>: error calling lt: invalid '
            "type for comparison"
        ),
    ),
    (
        "{{gt 1 1.5}}",
        (
            'template: t:1:2: executing "t" at <gt 1 1.5>: error calling gt: '
            "incompatible types for comparison: int and float64"
        ),
    ),
    (
        "{{and}}",
        (
            'template: t:1:2: executing "t" at <and>: wrong number of args for and: want '
            "at least 1 got 0"
        ),
    ),
    (
        "{{not}}",
        'template: t:1:2: executing "t" at <not>: wrong number of args for not: want 1 got 0',
    ),
    (
        "{{not 1 2}}",
        'template: t:1:2: executing "t" at <not>: wrong number of args for not: want 1 got 2',
    ),
    (
        "{{call 1}}",
        (
            'template: t:1:2: executing "t" at <call 1>: error calling call: '
            "non-function 1 of type int"
        ),
    ),
    (
        "{{call nil}}",
        'template: t:1:2: executing "t" at <call nil>: error calling call: call of nil',
    ),
    (
        "{{call .no}}",
        'template: t:1:2: executing "t" at <call .no>: error calling call: call of nil',
    ),
    (
        "{{call .s 1}}",
        (
            'template: t:1:2: executing "t" at <call .s 1>: error calling call: '
            "non-function .s of type string"
        ),
    ),
    (
        "{{printf 1}}",
        'template: t:1:9: executing "t" at <1>: expected string; found 1',
    ),
    (
        "{{printf}}",
        (
            'template: t:1:2: executing "t" at <printf>: wrong number of args for '
            "printf: want at least 1 got 0"
        ),
    ),
    (
        "{{printf nil}}",
        'template: t:1:9: executing "t" at <nil>: cannot assign nil to string',
    ),
    (
        "{{18446744073709551615}}",
        (
            'template: t:1:2: executing "t" at <18446744073709551615>: '
            "18446744073709551615 overflows int"
        ),
    ),
    (
        "{{div 1 0}}",
        (
            'template: t:1:2: executing "t" at <div 1 0>: error calling div: runtime '
            "error: integer divide by zero"
        ),
    ),
    (
        "{{mod 1 0}}",
        (
            'template: t:1:2: executing "t" at <mod 1 0>: error calling mod: runtime '
            "error: integer divide by zero"
        ),
    ),
    (
        '{{atoi "x"}}',
        (
            'template: t:1:2: executing "t" at <atoi "x">: error calling atoi: '
            'strconv.Atoi: parsing "x": invalid syntax'
        ),
    ),
    (
        '{{atoi ""}}',
        (
            'template: t:1:2: executing "t" at <atoi "">: error calling atoi: '
            'strconv.Atoi: parsing "": invalid syntax'
        ),
    ),
    (
        '{{atoi "1_0"}}',
        (
            'template: t:1:2: executing "t" at <atoi "1_0">: error calling atoi: '
            'strconv.Atoi: parsing "1_0": invalid syntax'
        ),
    ),
    (
        '{{atoi " 1"}}',
        (
            'template: t:1:2: executing "t" at <atoi " 1">: error calling atoi: '
            'strconv.Atoi: parsing " 1": invalid syntax'
        ),
    ),
    (
        '{{atoi "99999999999999999999"}}',
        (
            'template: t:1:2: executing "t" at <atoi "99999999999999999999">: error '
            'calling atoi: strconv.Atoi: parsing "99999999999999999999": value out of '
            "range"
        ),
    ),
    (
        "{{atoi 1}}",
        'template: t:1:7: executing "t" at <1>: expected string; found 1',
    ),
    (
        '{{parseBool "yes"}}',
        (
            'template: t:1:2: executing "t" at <parseBool "yes">: error calling '
            'parseBool: strconv.ParseBool: parsing "yes": invalid syntax'
        ),
    ),
    (
        '{{parseBool ""}}',
        (
            'template: t:1:2: executing "t" at <parseBool "">: error calling parseBool: '
            'strconv.ParseBool: parsing "": invalid syntax'
        ),
    ),
    (
        '{{base64Decode "a"}}',
        (
            'template: t:1:2: executing "t" at <base64Decode "a">: error calling '
            "base64Decode: illegal base64 data at input byte 0"
        ),
    ),
    (
        '{{base64Decode "aGk"}}',
        (
            'template: t:1:2: executing "t" at <base64Decode "aGk">: error calling '
            "base64Decode: illegal base64 data at input byte 0"
        ),
    ),
    (
        '{{base64Decode "aG=k"}}',
        (
            'template: t:1:2: executing "t" at <base64Decode "aG=k">: error calling '
            "base64Decode: illegal base64 data at input byte 2"
        ),
    ),
    (
        '{{base64Decode "aGk=x"}}',
        (
            'template: t:1:2: executing "t" at <base64Decode "aGk=x">: error calling '
            "base64Decode: illegal base64 data at input byte 4"
        ),
    ),
    (
        '{{base64Decode "a!"}}',
        (
            'template: t:1:2: executing "t" at <base64Decode "a!">: error calling '
            "base64Decode: illegal base64 data at input byte 1"
        ),
    ),
    (
        '{{base64Decode "===="}}',
        (
            'template: t:1:2: executing "t" at <base64Decode "====">: error calling '
            "base64Decode: illegal base64 data at input byte 0"
        ),
    ),
    (
        '{{map "a"}}',
        'template: t:1:2: executing "t" at <map "a">: error calling map: invalid map call',
    ),
    (
        "{{map 1 2}}",
        (
            'template: t:1:2: executing "t" at <map 1 2>: error calling map: map keys '
            "must be strings"
        ),
    ),
    (
        '{{json "[1]"}}',
        (
            'template: t:1:2: executing "t" at <json "[1]">: error calling json: json: '
            "cannot unmarshal array into Go value of type map[string]interface {}"
        ),
    ),
    (
        '{{json "3"}}',
        (
            'template: t:1:2: executing "t" at <json "3">: error calling json: json: '
            "cannot unmarshal number into Go value of type map[string]interface {}"
        ),
    ),
    (
        '{{json "\\"s\\""}}',
        (
            'template: t:1:2: executing "t" at <json "\\"s\\"">: error calling json: '
            "json: cannot unmarshal string into Go value of type map[string]interface {}"
        ),
    ),
    (
        '{{json "true"}}',
        (
            'template: t:1:2: executing "t" at <json "true">: error calling json: json: '
            "cannot unmarshal bool into Go value of type map[string]interface {}"
        ),
    ),
    (
        '{{json ""}}',
        (
            'template: t:1:2: executing "t" at <json "">: error calling json: unexpected '
            "end of JSON input"
        ),
    ),
    (
        '{{json "x"}}',
        (
            'template: t:1:2: executing "t" at <json "x">: error calling json: invalid '
            "character 'x' looking for beginning of value"
        ),
    ),
    (
        '{{json "{\\"a\\":}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":}">: error calling json: '
            "invalid character '}' looking for beginning of value"
        ),
    ),
    (
        '{{json "{\\"a\\" 1}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\" 1}">: error calling json: '
            "invalid character '1' after object key"
        ),
    ),
    (
        '{{json "{\\"a\\":1 \\"b\\"}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":1 \\"b\\"}">: error '
            "calling json: invalid character '\"' after object key:value pair"
        ),
    ),
    (
        '{{json "{a:1}"}}',
        (
            'template: t:1:2: executing "t" at <json "{a:1}">: error calling json: '
            "invalid character 'a' looking for beginning of object key string"
        ),
    ),
    (
        '{{json "{\\"a\\":1}}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":1}}">: error calling '
            "json: invalid character '}' after top-level value"
        ),
    ),
    (
        '{{json "{\\"a\\":tru}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":tru}">: error calling '
            "json: invalid character '}' in literal true (expecting 'e')"
        ),
    ),
    (
        '{{json "{\\"a\\":01}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":01}">: error calling '
            "json: invalid character '1' after object key:value pair"
        ),
    ),
    (
        '{{json "{\\"a\\":-}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":-}">: error calling json: '
            "invalid character '}' in numeric literal"
        ),
    ),
    (
        '{{json "{\\"a\\":1"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":1">: error calling json: '
            "unexpected end of JSON input"
        ),
    ),
    (
        "{{json \"{'a':1}\"}}",
        (
            'template: t:1:2: executing "t" at <json "{\'a\':1}">: error calling json: '
            "invalid character '\\'' looking for beginning of object key string"
        ),
    ),
    (
        '{{json "{\\"a\\":NaN}"}}',
        (
            'template: t:1:2: executing "t" at <json "{\\"a\\":NaN}">: error calling '
            "json: invalid character 'N' looking for beginning of value"
        ),
    ),
    (
        "{{json 1}}",
        'template: t:1:7: executing "t" at <1>: expected string; found 1',
    ),
    (
        '{{jsonArray "tr"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "tr">: error calling jsonArray: '
            "invalid character ' ' in literal true (expecting 'u')"
        ),
    ),
    (
        '{{jsonArray "[1."}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[1.">: error calling jsonArray: '
            "invalid character ' ' after decimal point in numeric literal"
        ),
    ),
    (
        '{{jsonArray "[1e"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[1e">: error calling jsonArray: '
            "invalid character ' ' in exponent of numeric literal"
        ),
    ),
    (
        '{{jsonArray "-"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "-">: error calling jsonArray: '
            "invalid character ' ' in numeric literal"
        ),
    ),
    (
        '{{jsonArray "[1e400"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[1e400">: error calling jsonArray: '
            "unexpected end of JSON input"
        ),
    ),
    (
        '{{jsonArray "[1"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[1">: error calling jsonArray: '
            "unexpected end of JSON input"
        ),
    ),
    (
        '{{jsonArray "[é"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[é">: error calling jsonArray: '
            "invalid character 'Ã' looking for beginning of value"
        ),
    ),
    (
        '{{jsonArray "[1e400]"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[1e400]">: error calling jsonArray: '
            "json: cannot unmarshal number 1e400 into Go value of type float64"
        ),
    ),
    (
        '{{jsonArray "[tru]"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[tru]">: error calling jsonArray: '
            "invalid character ']' in literal true (expecting 'e')"
        ),
    ),
    (
        '{{jsonArray "{}"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "{}">: error calling '
            "jsonArray: json: cannot unmarshal object into Go value of type []interface "
            "{}"
        ),
    ),
    (
        '{{jsonArray "[1,]"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[1,]">: error calling '
            "jsonArray: invalid character ']' looking for beginning of value"
        ),
    ),
    (
        '{{jsonArray "[1 2]"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[1 2]">: error calling '
            "jsonArray: invalid character '2' after array element"
        ),
    ),
    (
        '{{jsonArray "[\\"a\\n\\"]"}}',
        (
            'template: t:1:2: executing "t" at <jsonArray "[\\"a\\n\\"]">: error calling '
            "jsonArray: invalid character '\\n' in string literal"
        ),
    ),
    (
        '{{getv "/none"}}',
        (
            'template: t:1:2: executing "t" at <getv "/none">: error calling getv: key '
            "does not exist: /none"
        ),
    ),
    (
        '{{get "/none"}}',
        (
            'template: t:1:2: executing "t" at <get "/none">: error calling get: key '
            "does not exist: /none"
        ),
    ),
    (
        '{{(get "/none").Value}}',
        (
            'template: t:1:3: executing "t" at <get "/none">: error calling get: key '
            "does not exist: /none"
        ),
    ),
    (
        "{{getv}}",
        (
            'template: t:1:2: executing "t" at <getv>: wrong number of args for getv: '
            "want at least 1 got 0"
        ),
    ),
    (
        "{{getv 1}}",
        'template: t:1:7: executing "t" at <1>: expected string; found 1',
    ),
    (
        '{{getv "/none" 1}}',
        'template: t:1:15: executing "t" at <1>: expected string; found 1',
    ),
    (
        '{{gets "["}}',
        (
            'template: t:1:2: executing "t" at <gets "[">: error calling gets: syntax '
            "error in pattern"
        ),
    ),
    (
        '{{getvs "[a-"}}',
        (
            'template: t:1:2: executing "t" at <getvs "[a-">: error calling getvs: '
            "syntax error in pattern"
        ),
    ),
    (
        "{{gets 1}}",
        'template: t:1:7: executing "t" at <1>: expected string; found 1',
    ),
    (
        "{{ls}}",
        'template: t:1:2: executing "t" at <ls>: wrong number of args for ls: want 1 got 0',
    ),
    (
        "{{exists}}",
        (
            'template: t:1:2: executing "t" at <exists>: wrong number of args for '
            "exists: want 1 got 0"
        ),
    ),
    (
        "{{exists 1 2}}",
        (
            'template: t:1:2: executing "t" at <exists>: wrong number of args for '
            "exists: want 1 got 2"
        ),
    ),
    (
        '{{split "a"}}',
        ('template: t:1:2: executing "t" at <split>: wrong number of args for split: want 2 got 1'),
    ),
    (
        '{{split 1 ","}}',
        'template: t:1:8: executing "t" at <1>: expected string; found 1',
    ),
    (
        '{{replace "a" "b" "c"}}',
        (
            'template: t:1:2: executing "t" at <replace>: wrong number of args for '
            "replace: want 4 got 3"
        ),
    ),
    (
        '{{replace "a" "b" "c" "d"}}',
        'template: t:1:22: executing "t" at <"d">: expected integer; found "d"',
    ),
    (
        '{{contains "a"}}',
        (
            'template: t:1:2: executing "t" at <contains>: wrong number of args for '
            "contains: want 2 got 1"
        ),
    ),
    (
        '{{trimSuffix "a"}}',
        (
            'template: t:1:2: executing "t" at <trimSuffix>: wrong number of args for '
            "trimSuffix: want 2 got 1"
        ),
    ),
    (
        "{{base 1}}",
        'template: t:1:7: executing "t" at <1>: expected string; found 1',
    ),
    (
        "{{dir}}",
        'template: t:1:2: executing "t" at <dir>: wrong number of args for dir: want 1 got 0',
    ),
    (
        "{{sortByLength (seq 1 2)}}",
        (
            'template: t:1:22: executing "t" at <2>: wrong type for value; expected '
            "[]string; got []int"
        ),
    ),
    (
        '{{sortByLength "a"}}',
        ('template: t:1:15: executing "t" at <"a">: can\'t handle "a" for arg of type []string'),
    ),
    (
        '{{sortKVByLength (split "a" ",")}}',
        (
            'template: t:1:28: executing "t" at <",">: wrong type for value; expected '
            "[]memkv.KVPair; got []string"
        ),
    ),
    (
        "{{reverse}}",
        (
            'template: t:1:2: executing "t" at <reverse>: wrong number of args for '
            "reverse: want 1 got 0"
        ),
    ),
    (
        "{{seq 1}}",
        'template: t:1:2: executing "t" at <seq>: wrong number of args for seq: want 2 got 1',
    ),
    (
        '{{seq "a" 2}}',
        'template: t:1:6: executing "t" at <"a">: expected integer; found "a"',
    ),
    (
        "{{fileExists}}",
        (
            'template: t:1:2: executing "t" at <fileExists>: wrong number of args for '
            "fileExists: want 1 got 0"
        ),
    ),
    (
        "{{getenv}}",
        (
            'template: t:1:2: executing "t" at <getenv>: wrong number of args for '
            "getenv: want at least 1 got 0"
        ),
    ),
    (
        "{{lookupIP}}",
        (
            'template: t:1:2: executing "t" at <lookupIP>: wrong number of args for '
            "lookupIP: want 1 got 0"
        ),
    ),
    (
        '{{lookupSRV "a" "b"}}',
        (
            'template: t:1:2: executing "t" at <lookupSRV>: wrong number of args for '
            "lookupSRV: want 3 got 2"
        ),
    ),
    (
        "{{datetime.Nothing}}",
        (
            'template: t:1:2: executing "t" at <datetime>: can\'t evaluate field Nothing '
            "in type time.Time"
        ),
    ),
    (
        "{{datetime.Year 1}}",
        (
            'template: t:1:2: executing "t" at <datetime>: wrong number of args for '
            "Year: want 0 got 1"
        ),
    ),
    (
        "{{datetime.Format}}",
        (
            'template: t:1:2: executing "t" at <datetime>: wrong number of args for '
            "Format: want 1 got 0"
        ),
    ),
    (
        "{{datetime.Format 1}}",
        'template: t:1:18: executing "t" at <1>: expected string; found 1',
    ),
    (
        "{{datetime 1}}",
        (
            'template: t:1:2: executing "t" at <datetime>: wrong number of args for '
            "datetime: want 0 got 1"
        ),
    ),
]


@pytest.mark.parametrize(("text", "why"), CASES)
def test_what_fails_says_where_in_gos_words(text: str, why: str, confd: Confd) -> None:
    with pytest.raises(TemplateExecutionError) as caught:
        confd(text, DATA)
    assert str(caught.value) == why
