"""The labels of a container that say what is done to its lines, read one by one; pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from logshipper.lines.charset import compile_charset
from logshipper.lines.names import is_free
from logshipper.lines.parsing import PARSERS, compile_parse
from logshipper.lines.pattern import LABEL_INSTRUCTIONS, compile_pattern, compile_replacing
from logshipper.lines.presets import PRESETS, compile_multiline
from logshipper.lines.redaction import fixed_rules
from logshipper.lines.times import compile_time
from logshipper.linesettings import LineSettings
from wharfinger.errors import Rejected

PREFIX: Final = "wharfinger.logs."
# Which files of a container are logs, and which sinks get them: no business of its lines.
OTHERS: Final = frozenset({"files", "sinks"})
OFF: Final = "off"
MAX_FIELDS: Final = 16
MAX_PROBLEMS: Final = 8
MAX_COLUMNS: Final = 200
MAX_FIELD_CHARACTERS: Final = 256
MAX_EVENT_LINES: Final = 10_000
# Less than a line that Docker has cut is waited for: who waits longer would be cut off by that.
MAX_EVENT_SECONDS: Final = 20.0


def from_labels(
    labels: Mapping[str, str], defaults: LineSettings
) -> tuple[LineSettings, tuple[str, ...]]:
    """The settings of one container, and what is wrong with its labels.

    A label that is wrong is left out alone. Whatever it says, it cannot lift the operator's limit
    of lines a second or undo a redaction: it can only ask for more of both.

    Args:
        labels: the container's.
        defaults: the operator's.
    """
    changes: dict[str, Any] = {}
    problems: list[str] = []
    for label in sorted(name for name in labels if name.startswith(PREFIX)):
        name = label.removeprefix(PREFIX)
        if name in OTHERS:
            continue
        if name not in LABELS:
            problems.append(f"there is no label {label[:80]!r}")
            continue
        try:
            key, value = LABELS[name](labels[label].strip())
        except Rejected as refusal:
            problems.append(f"label {label}: {refusal}")
        else:
            changes[key] = value
    settings = replace(defaults, **_bounded(changes, defaults))
    settings, more = _agreed(settings, changes, defaults)
    problems += more
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = [f"and {len(problems) - MAX_PROBLEMS} more"]
    return settings, tuple(problems)


def _bounded(changes: Mapping[str, Any], defaults: LineSettings) -> dict[str, Any]:
    bounded = dict(changes)
    for key in ("redact", "redact_patterns"):
        if key in changes:
            own = (each for each in changes[key] if each not in getattr(defaults, key))
            bounded[key] = (*getattr(defaults, key), *own)
    if "rate" in changes and defaults.rate:
        bounded["rate"] = min(changes["rate"] or defaults.rate, defaults.rate)
    if "burst" in changes and defaults.rate:
        bounded["burst"] = min(changes["burst"], defaults.bucket_lines)
    if "fields" in changes:
        bounded["fields"] = {**changes["fields"], **defaults.fields}
    return bounded


def _agreed(
    settings: LineSettings, changes: Mapping[str, Any], defaults: LineSettings
) -> tuple[LineSettings, list[str]]:
    """Checks what only holds together."""
    problems = []
    if changes.keys() & {"parse", "delimiter", "columns"} and settings.parse == "delimiter":
        try:
            compile_parse("delimiter", delimiter=settings.delimiter, columns=settings.columns)
        except Rejected as refusal:
            problems.append(f"label {PREFIX}parse: {refusal}")
            kept = {key: getattr(defaults, key) for key in ("parse", "delimiter", "columns")}
            settings = replace(settings, **kept)
    if changes.keys() & {"time", "zone"} and settings.time:
        try:
            compile_time(settings.time, settings.zone)
        except Rejected as refusal:
            problems.append(f"label {PREFIX}time: {refusal}")
            settings = replace(settings, time=defaults.time, zone=defaults.zone)
    return settings, problems


def _multiline(text: str) -> str:
    if text.lower() == OFF:
        return ""
    if text.lower() in PRESETS:
        return text.lower()
    if text.isalpha() and text.islower():
        raise Rejected(f"there is no preset {text!r:.80}: take one of {', '.join(PRESETS)}")
    compile_multiline(text, instructions=LABEL_INSTRUCTIONS)
    return text


def _parse(text: str) -> str:
    word = text.lower()
    if word == OFF:
        return ""
    if word in PARSERS or word == "delimiter":
        return word
    compile_parse(text, instructions=LABEL_INSTRUCTIONS)
    return text


def _columns(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",", MAX_COLUMNS))
    if not all(names) or len(set(names)) < len(names) or len(names) > MAX_COLUMNS:
        raise Rejected(f"{text!r:.80} does not name columns, each once, at most {MAX_COLUMNS}")
    return names


def _time(text: str) -> str:
    if text.lower() == OFF:
        return ""
    compile_time(text)
    return text


def _zone(text: str) -> str:
    compile_time("auto", text)
    return text


def _word(text: str) -> str:
    if not text or len(text) > MAX_FIELD_CHARACTERS:
        raise Rejected(f"{text!r:.80} is no name of a field")
    return text


def _level(text: str) -> str:
    return OFF if text.lower() == OFF else _word(text)


def _redact(text: str) -> tuple[str, ...]:
    return fixed_rules([word.strip().lower() for word in text.split(",") if word.strip()])


def _secret(text: str) -> tuple[str, ...]:
    compile_replacing(text, instructions=LABEL_INSTRUCTIONS)
    return (text,)


def _filter(text: str) -> tuple[str, ...]:
    compile_pattern(text, instructions=LABEL_INSTRUCTIONS)
    return (text,)


def _number(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text) if text.isascii() and "_" not in text else -1.0
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise Rejected(f"{text!r:.80} is no number from {low:g} to {high:g}")
        return value

    return number


def _rate(text: str) -> float:
    number, _, unit = text.partition("/")
    seconds = {"": 1, "s": 1, "m": 60, "h": 3600}.get(unit.strip().lower())
    if seconds is None:
        raise Rejected(f"{text!r:.80} is no rate: write '100/s' or '6000/m'")
    return _number(0, 1e9)(number.strip()) / seconds


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not is_free(name) or len(name) > MAX_FIELD_CHARACTERS:
            raise Rejected(f"{pair!r:.80} is no field of your own: write 'team=pay,tier=gold'")
        fields[name] = value[:MAX_FIELD_CHARACTERS]
    if len(fields) > MAX_FIELDS:
        raise Rejected(f"{len(fields)} fields are too many (limit {MAX_FIELDS})")
    return fields


def _charset(text: str) -> str:
    compile_charset(text)
    return text


def _as(key: str, read: Callable[[str], Any]) -> Callable[[str], tuple[str, Any]]:
    return lambda text: (key, read(text))


LABELS: Final[dict[str, Callable[[str], tuple[str, Any]]]] = {
    "multiline": _as("multiline", _multiline),
    "multiline.seconds": _as("multiline_seconds", _number(0.01, MAX_EVENT_SECONDS)),
    "multiline.lines": _as("multiline_lines", lambda text: int(_number(1, MAX_EVENT_LINES)(text))),
    "parse": _as("parse", _parse),
    "parse.delimiter": _as("delimiter", lambda text: _word(text.replace("\\t", "\t"))),
    "parse.columns": _as("columns", _columns),
    "time": _as("time", _time),
    "time.zone": _as("zone", _zone),
    "time.field": _as("time_field", _word),
    "level": _as("level", _level),
    "redact": _as("redact", _redact),
    "redact.pattern": _as("redact_patterns", _secret),
    "include": _as("include", _filter),
    "exclude": _as("exclude", _filter),
    "sample": _as("sample", _number(0, 1)),
    "rate": _as("rate", _rate),
    "rate.burst": _as("burst", _number(1, 1e9)),
    "charset": _as("charset", _charset),
    "fields": _as("fields", _fields),
}
