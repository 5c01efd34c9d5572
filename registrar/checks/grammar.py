"""What a check's labels say, and registrator's variables; both are hostile."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from registrar.checks.model import UNPROBED, WEB, Check, CheckKind
from wharfinger.errors import Rejected

LABEL: Final = "wharfinger.check"
METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT")
INTERVAL_SECONDS: Final = (0.1, 86_400.0)
# A slot for slow probes is held for so long.
TIMEOUT_SECONDS: Final = (0.05, 60.0)
GRACE_SECONDS: Final = (0.0, 86_400.0)
MAX_COUNT: Final = 100
MAX_TEXT: Final = 1_024
MAX_SCRIPT: Final = 8_192
MAX_WORDS: Final = 64
MAX_STATUS_RANGES: Final = 16

_UNITS: Final = {"": 1.0, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}
_TIMINGS: Final = ("interval", "timeout", "rise", "fall", "grace")
_WEB_ONLY: Final = ("status", "body", "method", "host")
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ns|us|ms|s|m|h)", re.ASCII)
_PLAIN = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
# RFC 3986: a path of `pchar` and perhaps a query; a fragment is never sent.
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?|([1-5])xx", re.ASCII)
# protobuf, "Full identifiers"; servers take any name, so dashes and slashes may be in it.
_SERVICE = re.compile(r"[A-Za-z0-9._/-]{1,255}", re.ASCII)


def parse(settings: Mapping[str, str], *, default: CheckKind = CheckKind.TCP) -> Check:
    """Reads the labels `wharfinger.check` and `wharfinger.check.*`.

    Args:
        settings: their values by what follows `wharfinger.check.`; that of `wharfinger.check`
            itself by the empty text. An empty value counts as none.
        default: what is checked where `wharfinger.check` is not set.

    Raises:
        Rejected: a value cannot be used; the message names its label and the fix.
    """
    given = {name: text for name, text in settings.items() if text}
    for name in given.keys() - {"", *_TIMINGS, *_WEB_ONLY}:
        known = ", ".join(f".{each}" for each in (*_TIMINGS, *_WEB_ONLY))
        raise Rejected(f"{LABEL}.{_cut(name)} is not known; there are {known}")
    fields = _asked(given.get("", ""), default)
    kind = fields["kind"]
    _belongs(given, kind)
    fields |= _timings({name: (f"{LABEL}.{name}", given.get(name, "")) for name in _TIMINGS})
    if kind in WEB:
        fields |= _web(given)
    return Check(**fields)


def from_registrator(
    attributes: Mapping[str, str], *, exposed_port: int | None = None
) -> Check | None:
    """Reads registrator's variables as its Consul backend does (consul/consul.go, buildCheck).

    The first of CHECK_HTTP, CHECK_HTTPS, CHECK_CMD, CHECK_SCRIPT, CHECK_TTL, CHECK_TCP and
    CHECK_GRPC counts. Scripts ran beside the Consul agent there; here they run in the container,
    with SERVICE_IP and SERVICE_PORT in their environment. CHECK_DEREGISTER_AFTER is read and
    changes nothing: what fails is out at once. TLS is never verified, so CHECK_TLS_SKIP_VERIFY
    is obeyed in any case.

    Args:
        attributes: by their names without `SERVICE_` or `SERVICE_<port>_`, in capitals. An empty
            value counts as none.
        exposed_port: the port inside the container, which CHECK_CMD gets as its argument.

    Returns:
        The check; None where none is asked for.

    Raises:
        Rejected: a value cannot be used; the message names the variable and the fix.
    """
    given = {name: text for name, text in attributes.items() if text}
    fields = _registrator_asked(given, exposed_port)
    if fields is None:
        return None
    names = {"interval": "CHECK_INTERVAL", "timeout": "CHECK_TIMEOUT"}
    labelled = {name: (f"SERVICE_{own}", given.get(own, "")) for name, own in names.items()}
    fields |= _timings(labelled)
    if after := given.get("CHECK_DEREGISTER_AFTER"):
        _seconds("SERVICE_CHECK_DEREGISTER_AFTER", after, (0.0, 1e9))
    status = given.get("CHECK_INITIAL_STATUS", "critical")
    if status not in ("passing", "warning", "critical"):
        raise Rejected(
            f"SERVICE_CHECK_INITIAL_STATUS {_cut(status)} is not passing, warning or critical"
        )
    return Check(**fields, initially_passing=status == "passing")


def _asked(text: str, default: CheckKind) -> dict[str, Any]:
    """The fields that the value of `wharfinger.check` decides."""
    word, colon, rest = text.partition(":")
    match word, colon:
        case "", "":
            return {"kind": default}
        case "tcp" | "docker" | "none", "":
            return {"kind": CheckKind(word)}
        case "http" | "https", _:
            return {"kind": CheckKind(word), "path": _path(LABEL, rest or "/")}
        case "grpc" | "grpcs", _:
            service = _service(LABEL, rest) if colon else ""
            return {"kind": CheckKind.GRPC, "tls": word == "grpcs", "service": service}
        case "script", ":":
            return {"kind": CheckKind.SCRIPT} | _script(LABEL, rest)
    raise Rejected(
        f"{LABEL} {_cut(text)} is none of tcp, http:/path, https:/path, grpc, grpc:SERVICE, "
        "grpcs, docker, script:COMMAND, none"
    )


def _registrator_asked(given: Mapping[str, str], port: int | None) -> dict[str, Any] | None:
    for kind in (CheckKind.HTTP, CheckKind.HTTPS):
        name = f"CHECK_{kind.name}"
        if path := given.get(name):
            method = _method(f"SERVICE_{name}_METHOD", given.get(f"{name}_METHOD", "GET"))
            return {"kind": kind, "path": _path(f"SERVICE_{name}", path), "method": method}
    if command := given.get("CHECK_CMD"):
        argument = "" if port is None else f" {port}"
        return {"kind": CheckKind.SCRIPT, "script": _text("SERVICE_CHECK_CMD", command) + argument}
    if script := given.get("CHECK_SCRIPT"):
        return {"kind": CheckKind.SCRIPT, "script": _text("SERVICE_CHECK_SCRIPT", script)}
    if "CHECK_TTL" in given:
        raise Rejected(
            "SERVICE_CHECK_TTL waits for the application to report to a Consul agent, and here "
            "is none: use SERVICE_CHECK_HTTP, SERVICE_CHECK_SCRIPT or the label wharfinger.check"
        )
    if "CHECK_TCP" in given:
        return {"kind": CheckKind.TCP}
    if "CHECK_GRPC" in given:
        return {"kind": CheckKind.GRPC, "tls": "CHECK_GRPC_USE_TLS" in given}
    return None


def _belongs(given: Mapping[str, str], kind: CheckKind) -> None:
    """Refuses what would silently do nothing."""
    if kind in UNPROBED and (name := next((each for each in _TIMINGS if each in given), "")):
        fix = "set it in the HEALTHCHECK" if kind is CheckKind.DOCKER else "remove it"
        raise Rejected(f"{LABEL}.{name} means nothing for the check {kind.value}: {fix}")
    if kind not in WEB and (name := next((each for each in _WEB_ONLY if each in given), "")):
        raise Rejected(
            f"{LABEL}.{name} means nothing for the check {kind.value}: "
            f"remove it, or set {LABEL} to http:/path"
        )


def _timings(labelled: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, (label, text) in labelled.items():
        if not text:
            continue
        match name:
            case "interval":
                fields["interval_seconds"] = _seconds(label, text, INTERVAL_SECONDS)
            case "timeout":
                fields["timeout_seconds"] = _seconds(label, text, TIMEOUT_SECONDS)
            case "grace":
                fields["grace_seconds"] = _seconds(label, text, GRACE_SECONDS)
            case _:
                if not _NUMBER.fullmatch(text) or not 0 < int(text) <= MAX_COUNT:
                    raise Rejected(f"{label} {_cut(text)} is no whole number from 1 to {MAX_COUNT}")
                fields[name] = int(text)
    return fields


def _web(given: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"method": _method(f"{LABEL}.method", given.get("method", "GET"))}
    if host := given.get("host"):
        if not _HOST.fullmatch(host):
            raise Rejected(f"{LABEL}.host {_cut(host)} is no host name, with or without a port")
        fields["host"] = host
    if statuses := given.get("status"):
        fields["statuses"] = _statuses(statuses)
    if body := given.get("body"):
        if len(body) > MAX_TEXT or not _encodable(body):
            raise Rejected(f"{LABEL}.body {_cut(body)} is no text of up to {MAX_TEXT} characters")
        if fields["method"] == "HEAD":
            raise Rejected(f"{LABEL}.body asks for a body, which HEAD has none of: use GET")
        fields["body"] = body
    return fields


def _statuses(text: str) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for part in text.split(",")[: MAX_STATUS_RANGES + 1]:
        match = _STATUS.fullmatch(part.strip())
        first, last = _range(match) if match else (1, 0)
        if first > last or len(found) == MAX_STATUS_RANGES:
            raise Rejected(
                f"{LABEL}.status {_cut(text)} is not like 200, 2xx or 200-299,404 "
                f"(at most {MAX_STATUS_RANGES} of them)"
            )
        found.append((first, last))
    return tuple(found)


def _range(match: re.Match[str]) -> tuple[int, int]:
    if match[3]:
        return int(match[3]) * 100, int(match[3]) * 100 + 99
    return int(match[1]), int(match[2] or match[1])


def _script(label: str, text: str) -> dict[str, Any]:
    """A command for the container's shell; or, written as a JSON list, for none."""
    _text(label, text)
    # `[ -f /ready ]` is a command; `["/ready"` can only be meant as a list.
    if not re.match(r'\[\s*"', text):
        return {"script": text}
    try:
        arguments = msgspec.json.decode(text, type=tuple[str, ...])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise Rejected(f"{label} {_cut(text)} is no JSON list of texts") from None
    if len(arguments) > MAX_WORDS or not arguments[0] or any("\0" in each for each in arguments):
        raise Rejected(f"{label} {_cut(text)} is no command of up to {MAX_WORDS} words")
    return {"arguments": arguments}


def _text(label: str, text: str) -> str:
    if not text.strip() or len(text) > MAX_SCRIPT or "\0" in text or not _encodable(text):
        raise Rejected(f"{label} {_cut(text)} is no command of up to {MAX_SCRIPT} characters")
    return text


def _path(label: str, text: str) -> str:
    if len(text) > MAX_TEXT or not _PATH.fullmatch(text):
        raise Rejected(f"{label}: {_cut(text)} is no path such as /health, with blanks as %20")
    return text


def _service(label: str, text: str) -> str:
    if not _SERVICE.fullmatch(text):
        raise Rejected(f"{label}: {_cut(text)} is no name of a gRPC service such as shop.Cart")
    return text


def _method(label: str, text: str) -> str:
    if text.upper() not in METHODS or not text.isascii():
        raise Rejected(f"{label} {_cut(text)} is none of {', '.join(METHODS)}")
    return text.upper()


def _seconds(label: str, text: str, bounds: tuple[float, float]) -> float:
    parts = _PART.findall(text)
    if _PLAIN.fullmatch(text):
        seconds = float(text)
    elif parts and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        raise Rejected(f"{label} {_cut(text)} is no time such as 10, 500ms, 10s or 1m")
    if not bounds[0] <= seconds <= bounds[1]:
        raise Rejected(
            f"{label} {_cut(text)} is not between {bounds[0]:g} and {bounds[1]:g} seconds"
        )
    return seconds


def _encodable(text: str) -> bool:
    """Whether it is text at all: a lone surrogate cannot be sent."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _cut(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:60] + "...")  # noqa: PLR2004  one line
