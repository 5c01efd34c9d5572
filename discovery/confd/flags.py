"""The command line of confd, and its confd.toml, in our own words."""

import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from discovery.confd.durations import duration_problem, seconds_of
from wharfinger.errors import Rejected

# Where Debian keeps the authorities that a host trusts; Go's programs trust them unasked.
SYSTEM_AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"
CONFIG_NAME: Final = "confd.toml"

# The fork's, each of which says that nothing shall be written: our verb for all of them.
_CHECKS: Final = frozenset({"check-config", "preflight", "validate"})
_SWITCHES: Final = _CHECKS | {
    "basic-auth",
    "client-insecure",
    "diff",
    "keep-stage-file",
    "noop",
    "onetime",
    "sync-only",
    "watch",
}
_VALUES: Final = frozenset(
    {
        "backend",
        "batch-interval",
        "client-ca-keys",
        "client-cert",
        "client-key",
        "config-file",
        "debounce",
        "interval",
        "log-format",
        "log-level",
        "mock-data",
        "node",
        "password",
        "password-file",
        "prefix",
        "scheme",
        "username",
    }
)
_REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("auth-token", "auth-type", "app-id", "user-id", "role-id", "secret-id", "path"),
        "belongs to Vault; only etcd v3 is read",
    ),
    **dict.fromkeys(("file", "filter"), "belongs to the file backend; only etcd v3 is read"),
    "separator": "belongs to Redis; only etcd v3 is read",
    "table": "belongs to DynamoDB; only etcd v3 is read",
    "secret-keyring": "is for confd's crypt functions, which confd itself no longer has",
    "srv-domain": "is not looked up: write -node for each member",
    "srv-record": "is not looked up: write -node for each member",
    "client-insecure": "would take any certificate: name the authority with -client-ca-keys",
}
# As with `debounce` of a resource: what is never quiet must not wait for ever.
_LONGEST_DEBOUNCES: Final = 4
_FORMATS: Final[Mapping[str, str]] = {"json": "json", "text": "logfmt"}
_LEVELS: Final[Mapping[str, str]] = {
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "fatal": "error",
    "panic": "error",
}
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "CONFD_CLIENT_CAKEYS": "client-ca-keys",
    "CONFD_CLIENT_CERT": "client-cert",
    "CONFD_CLIENT_KEY": "client-key",
}
_FILE: Final[Mapping[str, str]] = {
    **{name: name for name in (*_SWITCHES, *_VALUES, *_REFUSED)},
    "confdir": "confdir",
    "nodes": "node",
    "client_cakeys": "client-ca-keys",
    "client_cert": "client-cert",
    "client_key": "client-key",
    "client_insecure": "client-insecure",
    "basic_auth": "basic-auth",
    "srv_domain": "srv-domain",
    "srv_record": "srv-record",
    "secret_keyring": "secret-keyring",
}


@dataclass(slots=True)
class _Line:
    """A command line, taken apart: confd's flags, the folder, and all that is not confd's."""

    asked: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    folder: str = ""


def translated(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    read: Callable[[Path], str | None],
    password_file: Callable[[str], str],
) -> list[str]:
    """The same command line with ours in the place of confd's flags.

    confd's own order holds: flags above its environment above its file; all of them stand above
    our file. Without one of its flags and without a confd.toml beside conf.d nothing changes.

    Args:
        arguments: as they were given, with one dash or two.
        environment: of the process.
        read: gives the text of a file, or None where there is none.
        password_file: keeps a password in a file that nobody else can read, and gives its path.

    Raises:
        Rejected: a flag that cannot be served, and why.
    """
    line = _taken_apart(arguments)
    asked = dict(line.asked)
    named = asked.pop("config-file", [""])[-1]
    path = Path(named) if named else Path(line.folder) / CONFIG_NAME if line.folder else None
    text = read(path) if path else None
    if not asked and text is None:
        return line.rest
    told = {
        flag: [environment[name]] for name, flag in _ENVIRONMENT.items() if environment.get(name)
    }
    below = _of_file(text, path) if text is not None and path else {}
    folder = below.pop("confdir", [])
    rest = line.rest if line.folder or not folder else [*line.rest, "--confdir", folder[-1]]
    return [*_without_words(rest, asked), *_ours({**below, **told, **asked}, password_file)]


def _without_words(rest: Sequence[str], asked: Mapping[str, Sequence[str]]) -> list[str]:
    """Our verb where the fork has a flag, and without the word by which the fork names etcd."""
    words = [
        word
        for before, word in pairwise(("", *rest))
        if word != "etcd" or before.startswith("-") or not before
    ]
    if any(_switch(name, asked[name][-1]) for name in _CHECKS & asked.keys()):
        return ["check", *words[words[:1] == ["run"] :]]
    return words


def _taken_apart(arguments: Sequence[str]) -> _Line:
    line = _Line()
    left = iter(arguments)
    for argument in left:
        name, equals, value = argument.lstrip("-").partition("=")
        known = name in _SWITCHES or name in _VALUES or name in _REFUSED or name == "confdir"
        if not argument.startswith("-") or not known:
            line.rest.append(argument)
            continue
        if name in _SWITCHES:
            value = value if equals else "true"
        elif not equals:
            value = _following(left, name)
        if name == "confdir":
            line.rest += ["--confdir", value]
            line.folder = value
        else:
            line.asked.setdefault(name, []).append(value)
    return line


def _following(left: Iterator[str], name: str) -> str:
    try:
        return next(left)
    except StopIteration:
        raise Rejected(f"-{name} needs a value") from None


def _of_file(text: str, path: Path) -> dict[str, list[str]]:
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise Rejected(f"{path} is not TOML: {error}") from None
    found = {}
    for key, value in table.items():
        # What confd does not know it passes over, and so do we: the file is confd's.
        if key in _FILE and value not in ("", [], False):
            values = value if isinstance(value, list) else [value]
            found[_FILE[key]] = [str(one).lower() if one is True else str(one) for one in values]
    return found


def _ours(asked: Mapping[str, Sequence[str]], password_file: Callable[[str], str]) -> list[str]:
    last = {name: values[-1] for name, values in asked.items()}
    on = {name for name in _SWITCHES & last.keys() if _switch(name, last[name])}
    for name, why in _REFUSED.items():
        if name in on or (name in last and name not in _SWITCHES):
            raise Rejected(f"-{name} {why}")
    _require_etcd(last.get("backend", "etcdv3"))
    settings = {**dict(_settings(last)), **dict(_settings_of_the_fork(last))}
    settings.update(_endpoints(asked.get("node", ()), last))
    if "password" in last:
        settings["etcd.password_file"] = password_file(last["password"])
    words = [f"--set={key}={value}" for key, value in settings.items()]
    flags = {"onetime": "--once", "noop": "--dry-run"}
    data = ["--data", last["mock-data"]] if "mock-data" in last else []
    return [*words, *(ours for name, ours in flags.items() if name in on), *data]


def _settings(last: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, key in (
        ("prefix", "discovery.prefix"),
        ("client-ca-keys", "etcd.ca_file"),
        ("client-cert", "etcd.cert_file"),
        ("client-key", "etcd.key_file"),
        ("username", "etcd.username"),
        ("password-file", "etcd.password_file"),
    ):
        if name in last:
            yield key, last[name]
    for name in ("sync-only", "keep-stage-file"):
        if name in last:
            yield f"discovery.{name.replace('-', '_')}", str(_switch(name, last[name])).lower()
    if "interval" in last:
        if not last["interval"].isdecimal():
            raise Rejected(f"-interval {shlex.quote(last['interval'])} is no number of seconds")
        yield "discovery.interval_seconds", last["interval"]
    if "log-level" in last:
        if last["log-level"].lower() not in _LEVELS:
            raise Rejected(f"-log-level is none of {', '.join(_LEVELS)}")
        yield "log.level", _LEVELS[last["log-level"].lower()]


def _settings_of_the_fork(last: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in ("debounce", "batch-interval"):
        if name in last and (problem := duration_problem(last[name])):
            raise Rejected(f"-{name}: {problem}")
    if "debounce" in last:
        quiet = seconds_of(last["debounce"])
        yield "discovery.settle_seconds", f"{quiet:g}"
        yield "discovery.settle_max_seconds", f"{_LONGEST_DEBOUNCES * quiet:g}"
    if "batch-interval" in last:
        yield "discovery.min_reload_interval_seconds", f"{seconds_of(last['batch-interval']):g}"
    if "log-format" in last:
        if last["log-format"] not in _FORMATS:
            raise Rejected(f"-log-format is none of {', '.join(_FORMATS)}")
        yield "log.format", _FORMATS[last["log-format"]]


def _endpoints(nodes: Sequence[str], last: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    written = [node.strip() for given in nodes for node in given.split(",") if node.strip()]
    schemes = {node.partition("://")[0].lower() for node in written if "://" in node}
    if unknown := schemes - {"http", "https"}:
        raise Rejected(f"-node: {min(unknown)}:// is neither http:// nor https://")
    if len(schemes) > 1:
        raise Rejected(
            "-node: http:// and https:// side by side; etcd's members all have TLS, or none"
        )
    if written:
        bare = (node.rpartition("://")[2].partition("/")[0] for node in written)
        yield "etcd.endpoints", ",".join(bare)
    secure = "https" in schemes or (written and not schemes and last.get("scheme") == "https")
    if (secure or "client-cert" in last) and "client-ca-keys" not in last:
        yield "etcd.ca_file", SYSTEM_AUTHORITIES


def _require_etcd(backend: str) -> None:
    if backend == "etcdv3":
        return
    why = "only etcd v3 is read"
    if backend == "etcd":
        why = "is etcd's v2 API in confd, which etcd 3.6 no longer has; move the keys"
    raise Rejected(f"-backend {shlex.quote(backend)}: {why}: write -backend etcdv3")


def _switch(name: str, value: str) -> bool:
    # strconv.ParseBool, which Go's flags are read by
    match value.lower():
        case "1" | "t" | "true":
            return True
        case "0" | "f" | "false":
            return False
        case _:
            raise Rejected(f"-{name}={shlex.quote(value)} is neither true nor false")
