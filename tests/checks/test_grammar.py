"""Labels and registrator's variables, good and hostile."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.checks.grammar import from_registrator, parse
from registrar.checks.model import Check, CheckKind, Target, environment, shown, words
from wharfinger.errors import Rejected

K = CheckKind


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {"kind": K.TCP}),
        ("tcp", {"kind": K.TCP}),
        ("docker", {"kind": K.DOCKER}),
        ("none", {"kind": K.NONE}),
        ("http:/health", {"kind": K.HTTP, "path": "/health"}),
        ("http", {"kind": K.HTTP, "path": "/"}),
        ("https:/a/%20b?x=1&y=/", {"kind": K.HTTPS, "path": "/a/%20b?x=1&y=/"}),
        ("grpc", {"kind": K.GRPC}),
        ("grpc:shop.v1.Cart", {"kind": K.GRPC, "service": "shop.v1.Cart"}),
        ("grpcs", {"kind": K.GRPC, "tls": True}),
        ("grpcs:shop.Cart", {"kind": K.GRPC, "tls": True, "service": "shop.Cart"}),
        ("script:test -e /ready", {"kind": K.SCRIPT, "script": "test -e /ready"}),
        ("script:[ -e /ready ]", {"kind": K.SCRIPT, "script": "[ -e /ready ]"}),
        ('script:["/ready", "a b"]', {"kind": K.SCRIPT, "arguments": ("/ready", "a b")}),
        ("script:a\nb: c", {"kind": K.SCRIPT, "script": "a\nb: c"}),
    ],
)
def test_what_is_asked(text: str, fields: dict[str, Any]) -> None:
    assert parse({"": text}) == Check(**fields)


def test_nothing_asked_is_the_callers_default() -> None:
    assert parse({}, default=K.NONE).kind is K.NONE
    assert parse({"": "", "interval": ""}, default=K.DOCKER).kind is K.DOCKER


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("interval", "10", "interval_seconds", 10.0),
        ("interval", "500ms", "interval_seconds", 0.5),
        ("interval", "1m", "interval_seconds", 60.0),
        ("interval", "1m30s", "interval_seconds", 90.0),
        ("timeout", "1.5s", "timeout_seconds", 1.5),
        ("grace", "2m", "grace_seconds", 120.0),
        ("grace", "0", "grace_seconds", 0.0),
        ("rise", "2", "rise", 2),
        ("fall", "100", "fall", 100),
        ("status", "200", "statuses", ((200, 200),)),
        ("status", "2xx, 301,400-404", "statuses", ((200, 299), (301, 301), (400, 404))),
        ("body", "it's \u00fcp", "body", "it's \u00fcp"),
        ("method", "head", "method", "HEAD"),
        ("host", "shop.example:8443", "host", "shop.example:8443"),
        ("host", "[::1]", "host", "[::1]"),
    ],
)
def test_how_it_is_asked(name: str, text: str, field: str, value: object) -> None:
    check = parse({"": "http:/x", name: text})
    assert getattr(check, field) == value


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"": "htp:/x"}, "wharfinger.check 'htp:/x' is none of tcp, http:/path"),
        ({"": "tcp:80"}, "is none of"),
        ({"": "script"}, "script:COMMAND"),
        ({"": "script:  "}, "no command"),
        ({"": "script:a\0b"}, "no command"),
        ({"": "script:" + "x" * 9_000}, "no command of up to 8192"),
        ({"": "script:\ud800"}, "no command"),
        ({"": 'script:["a", b]'}, "no JSON list of texts"),
        ({"": 'script:["a", 1]'}, "no JSON list of texts"),
        ({"": 'script:["", "b"]'}, "no command"),
        ({"": 'script:["a\\u0000"]'}, "no command"),
        ({"": "http:health"}, "no path such as /health"),
        ({"": "http://elsewhere/x y"}, "no path"),
        ({"": "http:/x#y"}, "no path"),
        ({"": "http:/x\r\nEvil: 1"}, "no path"),
        ({"": "http:/%zz"}, "no path"),
        ({"": "http:/\u212a"}, "no path"),
        ({"": "grpc:"}, "no name of a gRPC service"),
        ({"": "grpc:a b"}, "no name of a gRPC service"),
        ({"interval": "0"}, "wharfinger.check.interval '0' is not between 0.1 and 86400 seconds"),
        ({"interval": "-1s"}, "no time such as"),
        ({"interval": "1e9"}, "no time such as"),
        ({"interval": "10 s"}, "no time such as"),
        ({"interval": "nan"}, "no time such as"),
        ({"interval": "\u0661\u0660s"}, "no time such as"),
        ({"interval": "9" * 400}, "no time such as"),
        ({"timeout": "2m"}, "wharfinger.check.timeout '2m' is not between 0.05 and 60 seconds"),
        ({"rise": "0"}, "wharfinger.check.rise '0' is no whole number from 1 to 100"),
        ({"fall": "1.5"}, "wharfinger.check.fall"),
        ({"fall": "\u0663"}, "wharfinger.check.fall"),
        ({"": "http", "status": "99"}, "wharfinger.check.status '99'"),
        ({"": "http", "status": "300-200"}, "not like 200"),
        ({"": "http", "status": ",".join(["200"] * 17)}, "at most 16"),
        ({"": "http", "method": "DELETE"}, "wharfinger.check.method 'DELETE' is none of GET"),
        ({"": "http", "method": "GET /x"}, "none of GET"),
        ({"": "http", "host": "a\r\nX: y"}, "wharfinger.check.host"),
        ({"": "http", "host": "a/b"}, "no host name"),
        ({"": "http", "body": "x" * 2_000}, "wharfinger.check.body"),
        ({"": "http", "body": "\udc80"}, "wharfinger.check.body"),
        ({"": "http", "body": "x", "method": "HEAD"}, "use GET"),
        ({"": "tcp", "status": "200"}, "status means nothing for the check tcp"),
        ({"": "docker", "interval": "5"}, "set it in the HEALTHCHECK"),
        ({"": "none", "fall": "5"}, "remove it"),
        ({"intervall": "5"}, "'intervall' is not known; there are .interval"),
    ],
)
def test_what_cannot_be_used_is_refused_with_label_and_fix(
    settings: dict[str, str], why: str
) -> None:
    with pytest.raises(Rejected, match=re.escape(why)) as refusal:
        parse(settings)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 300


@given(st.dictionaries(st.sampled_from(["", "interval", "status", "body", "host"]), st.text()))
def test_no_text_does_worse_than_a_refusal(settings: dict[str, str]) -> None:
    said = ""
    try:
        parse(settings)
    except Rejected as refusal:
        said = str(refusal)
    assert said.isprintable()


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        (
            {"CHECK_HTTP": "/health", "CHECK_INTERVAL": "15s", "CHECK_TIMEOUT": "1s"},
            {"kind": K.HTTP, "path": "/health", "interval_seconds": 15.0, "timeout_seconds": 1.0},
        ),
        (
            {"CHECK_HTTPS": "/x", "CHECK_HTTPS_METHOD": "head"},
            {"kind": K.HTTPS, "path": "/x", "method": "HEAD"},
        ),
        # The first of several counts, in registrator's order.
        ({"CHECK_TCP": "true", "CHECK_HTTP": "/", "CHECK_TTL": "30s"}, {"kind": K.HTTP}),
        ({"CHECK_TCP": "true"}, {"kind": K.TCP}),
        ({"CHECK_GRPC": "true"}, {"kind": K.GRPC}),
        ({"CHECK_GRPC": "true", "CHECK_GRPC_USE_TLS": "true"}, {"kind": K.GRPC, "tls": True}),
        (
            {"CHECK_SCRIPT": "nc $SERVICE_IP $SERVICE_PORT | grep OK"},
            {"kind": K.SCRIPT, "script": "nc $SERVICE_IP $SERVICE_PORT | grep OK"},
        ),
        ({"CHECK_CMD": "/ready"}, {"kind": K.SCRIPT, "script": "/ready 8080"}),
        (
            {"CHECK_HTTP": "/", "CHECK_INITIAL_STATUS": "passing"},
            {"kind": K.HTTP, "initially_passing": True},
        ),
        ({"CHECK_HTTP": "/", "CHECK_DEREGISTER_AFTER": "10m"}, {"kind": K.HTTP}),
    ],
)
def test_registrators_variables(attributes: dict[str, str], fields: dict[str, Any]) -> None:
    assert from_registrator(attributes, exposed_port=8080) == Check(**fields)


def test_without_a_check_there_is_none() -> None:
    assert from_registrator({"NAME": "shop", "CHECK_INTERVAL": "5s", "CHECK_HTTP": ""}) is None


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"CHECK_TTL": "30s"}, "SERVICE_CHECK_TTL waits for the application"),
        ({"CHECK_HTTP": "health"}, "SERVICE_CHECK_HTTP: 'health' is no path"),
        ({"CHECK_HTTP": "/", "CHECK_HTTP_METHOD": "BREW"}, "SERVICE_CHECK_HTTP_METHOD 'BREW'"),
        ({"CHECK_TCP": "1", "CHECK_INTERVAL": "soon"}, "SERVICE_CHECK_INTERVAL 'soon'"),
        ({"CHECK_TCP": "1", "CHECK_INITIAL_STATUS": "ok"}, "SERVICE_CHECK_INITIAL_STATUS 'ok'"),
        ({"CHECK_TCP": "1", "CHECK_DEREGISTER_AFTER": "x"}, "SERVICE_CHECK_DEREGISTER_AFTER"),
        ({"CHECK_SCRIPT": "a\0"}, "SERVICE_CHECK_SCRIPT"),
    ],
)
def test_registrators_variables_that_cannot_be_used(attributes: dict[str, str], why: str) -> None:
    with pytest.raises(Rejected, match=re.escape(why)):
        from_registrator(attributes)


def test_a_shell_gets_address_and_port_beside_its_script_not_in_it() -> None:
    target = Target("c" * 64, 1, "10.0.0.1", 8080, Check(script="nc $SERVICE_IP $SERVICE_PORT"))
    assert words(target) == ("/bin/sh", "-c", "nc $SERVICE_IP $SERVICE_PORT")
    assert environment(target) == {"SERVICE_IP": "10.0.0.1", "SERVICE_PORT": "8080"}
    bare = Check(arguments=("/probe", "$SERVICE_IP:$SERVICE_PORT"))
    assert words(Target("c" * 64, 1, "10.0.0.1", 80, bare)) == ("/probe", "10.0.0.1:80")


@given(st.text())
def test_what_the_other_side_says_is_shown_short_and_printable(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text * 1_000)) < 250
