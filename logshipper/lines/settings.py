"""Whether what is asked to be done to lines can be done; pure."""

from collections.abc import Callable

from logshipper.lines.charset import compile_charset
from logshipper.lines.parsing import compile_parse
from logshipper.lines.pattern import compile_pattern, compile_replacing
from logshipper.lines.presets import compile_multiline
from logshipper.lines.redaction import fixed_rules
from logshipper.lines.times import compile_time
from logshipper.linesettings import LineSettings
from wharfinger.errors import Rejected


def check_settings(settings: LineSettings) -> list[tuple[str, str]]:
    """What is wrong with settings, as (field, why)."""
    checks: list[tuple[str, Callable[[], object]]] = [
        ("parse", lambda: settings.parse and compile_parse(
            settings.parse, delimiter=settings.delimiter, columns=settings.columns)),
        ("multiline", lambda: settings.multiline and compile_multiline(settings.multiline)),
        ("time", lambda: settings.time and compile_time(settings.time, settings.zone)),
        ("redact", lambda: fixed_rules(settings.redact)),
        ("redact_patterns", lambda: [compile_replacing(p) for p in settings.redact_patterns]),
        ("include", lambda: [compile_pattern(p) for p in settings.include]),
        ("exclude", lambda: [compile_pattern(p) for p in settings.exclude]),
        ("charset", lambda: compile_charset(settings.charset)),
    ]  # fmt: skip
    problems = []
    for name, check in checks:
        try:
            check()
        except Rejected as refusal:
            problems.append((name, str(refusal)))
    return problems
