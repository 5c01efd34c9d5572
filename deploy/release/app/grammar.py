"""The kinds of values that wharf.yaml has: names, places, sizes."""

import re
from typing import Final

from deploy.release.app.kinds import Kind, Wrong, matching, number, text
from deploy.release.reference import repository
from deploy.release.yamllines import Reading, Value
from wharfinger import metadata
from wharfinger.errors import Rejected

# What keys take (`wharfinger.keys`), begun as an engine's names and a registry's tags are.
APP: Final = text(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    "the name of an application",
    "use letters, digits, '.', '-' and '_', a letter or digit first",
)
ENVIRONMENT_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}"
# Tags of the registry that mean something else already; `deploy promote` makes one of each.
RESERVED_TAG: Final = re.compile(r"r[0-9]+|sha256-.*|build", re.ASCII)
_CHECK: Final = r"[a-z0-9][a-z0-9_-]{0,31}"
RESERVED_CHECKS: Final = ("checks", "approval")
VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_.-]{0,127}"
LABEL: Final = r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}"
_TAGGED: Final = re.compile(r"(?P<name>[^/]+/[^@]+?)(:[^/:@]+)?(@.*)?", re.ASCII)
_PORT: Final = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
# Arguments and variables end at a NUL; halves of a pair are no characters.
_UNSAYABLE: Final = re.compile("[\x00\ud800-\udfff]")
_LEAST_BYTES: Final = 6 << 20
_SHIFTS: Final = {"b": 0, "k": 10, "m": 20, "g": 30}
MOST_SECONDS: Final = 3600


def _check_name(name: str) -> str:
    if name in RESERVED_CHECKS:
        raise Wrong(f"{name!r} means something else in `needs`", "call the check otherwise")
    return name


CHECK: Final = matching(
    _CHECK,
    "the name of a check",
    "use small letters, digits, '-' and '_', at most 32",
    convert=_check_name,
)
NEED: Final = text(
    rf"({ENVIRONMENT_NAME}\.)?{_CHECK}",
    "evidence",
    "write checks, the name of a check, or ENVIRONMENT.CHECK",
)


def _repository(written: str) -> str:
    match = _TAGGED.fullmatch(written)
    name = match["name"] if match else written
    try:
        repository(name)
    except Rejected as error:
        raise Wrong(str(error), "write it as registry.example:5000/shop") from None
    if name != written:
        raise Wrong("has a tag or a digest", f"write {name}: releases are told by digest")
    return written


REPOSITORY: Final = matching(
    r"[A-Za-z0-9\[][A-Za-z0-9._:/@\]-]{0,254}",
    "a repository",
    "write it as registry.example:5000/shop",
    convert=_repository,
)
LAYER: Final = text(
    r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}",
    "the name of a layer or an image",
    "write a name of layers.lock, such as java",
)


def _within(written: str) -> str:
    if ".." in written.split("/"):
        raise Wrong("leads out of the folder", "write a path below it")
    return written


# Docker would take one that begins with - for a flag.
FOLDER: Final = text(
    r"[^/~$\x00-\x1f-][^\x00-\x1f]*", "a relative path", "write it without a / first"
)
FILE: Final = matching(
    r"[^/~$\x00-\x1f-][^\x00-\x1f]*",
    "a relative path",
    "write it without a / first",
    convert=_within,
)
# Both sides of a mount: what divides them, and what an engine would replace, left out.
_PATH: Final = r"/[^:,$\x00-\x20]*"


def _absolute(written: str) -> str:
    if {".", ".."} & set(written.split("/")):
        raise Wrong("has . or .. in it", "write the path as it is")
    return written


HOST_FILE: Final = matching(
    _PATH, "a file's path on the hosts", "write it whole, such as /etc/shop/key", convert=_absolute
)
VOLUME: Final = matching(
    rf"{_PATH}:{_PATH}(:ro|:rw)?",
    "a mount",
    "write HOST:CONTAINER or HOST:CONTAINER:ro, both whole paths",
    convert=_absolute,
)


def _pool(written: str) -> tuple[int, int]:
    match = _PORT.fullmatch(written)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < first <= last < 2**16:
        raise Wrong(f"{written} holds no ports", "write FIRST-LAST, such as 20000-20999")
    return first, last


POOL: Final = matching(
    r"[0-9]{1,5}-[0-9]{1,5}",
    "a range of ports",
    "write FIRST-LAST, such as 20000-20999",
    convert=_pool,
)


def _memory(written: str) -> str:
    if int(written[:-1]) << _SHIFTS[written[-1]] < _LEAST_BYTES:
        raise Wrong(f"{written} is less than an engine takes", "write 6m or more")
    return written


MEMORY: Final = matching(
    r"[0-9]{1,12}[bkmg]", "a size", "write it with its unit, such as 512m or 2g", convert=_memory
)
# RFC 3986: a path of `pchar` and perhaps a query, as the registrar's check takes it.
HTTP_CHECK: Final = text(
    r"/([A-Za-z0-9._~!&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,1000}",
    "a path of HTTP",
    "write it as /healthz",
)


def _host(written: str) -> str:
    try:
        return metadata.http_host(written)
    except Rejected as refusal:
        raise Wrong(str(refusal), "write it as shop.example.org") from None


def _path(written: str) -> str:
    try:
        return metadata.http_path(written)
    except Rejected as refusal:
        raise Wrong(str(refusal), "write it as /shop") from None


SERVE_HOST: Final = matching(
    r"\S{1,253}", "a host's name", "write it as shop.example.org", convert=_host
)
SERVE_PATH: Final = matching(r"/\S{0,199}", "a path of HTTP", "write it as /shop", convert=_path)
DOCKER_ADDRESS: Final = r"unix:///[^\x00-\x20]+|(tcp|https?|ssh)://[^\x00-\x20/]+(:[0-9]{1,5})?"
DOCKER_FIX: Final = "write unix:///var/run/docker.sock or tcp://HOST:PORT"
DOCKER: Final = text(DOCKER_ADDRESS, "an engine's address", DOCKER_FIX)
HOSTS: Final = text(
    r"[A-Za-z0-9][A-Za-z0-9._/-]*=[A-Za-z0-9._/-]+", "a host's label", "write it as role=app"
)


def _text(value: Value, _reading: Reading) -> str:
    # A number would be written anew: 0755 as 493, yes as True.
    if not isinstance(value.scalar, str):
        raise Wrong(f"is {value.kind}, not text", "put it in quotes")
    if _UNSAYABLE.search(value.scalar):
        raise Wrong("has a character in it that no program can be given", "take it out")
    return value.scalar


TEXT: Final = Kind(_text, {"type": "string"})


def _command(value: Value, reading: Reading) -> tuple[str, ...]:
    if value.items is None:
        raise Wrong(f"is {value.kind}, not a list", "write each word of it, in [brackets]")
    return tuple(_text(each, reading) for each in value.items)


COMMAND: Final = Kind(_command, {"type": "array", "items": {"type": "string"}})


def _percent(value: Value, reading: Reading) -> float:
    if isinstance(value.scalar, str) and re.fullmatch(r"[0-9]{1,4}%", value.scalar, re.ASCII):
        value = Value(value.line, value.where, float(value.scalar[:-1]))
    return number(1, 6400).read(value, reading)


PERCENT: Final = Kind(
    _percent,
    {"anyOf": [{"type": "number", "minimum": 1}, {"type": "string", "pattern": "^[0-9]{1,4}%$"}]},
)
