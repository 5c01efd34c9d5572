"""The JSON of ruff, bandit, hadolint, detect-secrets and pip-audit, each as the tool writes it.

An exit code is no evidence: detect-secrets gives 0 whatever it found, and pip-audit calls what it
could not look up free of vulnerabilities.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from deploy.release.evidence.outcome import NAMED, Outcome
from wharfinger.errors import Rejected

RUFF: Final = "ruff"
BANDIT: Final = "bandit"
HADOLINT: Final = "hadolint"
DETECT_SECRETS: Final = "detect-secrets"
PIP_AUDIT: Final = "pip-audit"
# Whose report of nothing is `[]`, which does not say whose it is.
SAY_NOTHING: Final = (RUFF, HADOLINT)


class _Place(msgspec.Struct, frozen=True):
    row: int = 0


class _RuffFinding(msgspec.Struct, frozen=True):
    filename: str
    location: _Place
    message: str
    code: str | None = None  # None: the file is no Python


class _HadolintFinding(msgspec.Struct, frozen=True):
    code: str
    file: str
    level: str
    line: int


class _BanditFinding(msgspec.Struct, frozen=True):
    filename: str
    test_id: str
    line_number: int = 0


class _BanditReport(msgspec.Struct, frozen=True):
    results: list[_BanditFinding]
    metrics: dict[str, dict[str, Any]]
    errors: list[Any]


class _Secret(msgspec.Struct, frozen=True):
    type: str
    line_number: int = 0
    is_secret: bool | None = None  # False: somebody looked, and it is none


class _SecretsReport(msgspec.Struct, frozen=True):
    version: str
    plugins_used: list[Any]
    results: dict[str, list[_Secret]]


class _Dependency(msgspec.Struct, frozen=True):
    name: str
    vulns: list[Any] = []
    skip_reason: str | None = None


class _AuditReport(msgspec.Struct, frozen=True):
    dependencies: list[_Dependency]


def outcome(data: bytes, tool: str) -> Outcome:
    """The figures of a report.

    Args:
        data: the file.
        tool: whose it is; asked for only where the report does not tell, since it is empty.

    Raises:
        Rejected: it is of none of these tools, or cut off.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"it is neither XML nor whole JSON: {error}") from None
    kind = _kind(value, tool)
    kind_of_report, read = _READERS[kind]
    try:
        return read(msgspec.convert(value, kind_of_report))
    except (msgspec.ValidationError, RecursionError) as error:
        raise Rejected(f"it is not what {kind} writes: {error}") from None


def _kind(value: Any, tool: str) -> str:
    match value:
        case {"plugins_used": _, "results": _}:
            return DETECT_SECRETS
        case {"metrics": _, "results": _}:
            return BANDIT
        case {"dependencies": _}:
            return PIP_AUDIT
        case [{"filename": _, "location": _}, *_]:
            return RUFF
        case [{"level": _, "file": _}, *_]:
            return HADOLINT
        case [] if tool in SAY_NOTHING:
            return tool
        case []:
            known = " or ".join(SAY_NOTHING)
            raise Rejected(f"an empty list does not say what looked: name the tool ({known})")
        case _:
            raise Rejected(
                f"it is of no tool that is known here: JUnit's XML, {', '.join(_READERS)}"
            )


def _ruff(found: Sequence[_RuffFinding]) -> Outcome:
    # What is no Python was not looked at.
    errors = sum(each.code is None for each in found)
    return Outcome(
        tests=max(1, len(found)),
        failures=len(found) - errors,
        errors=errors,
        tool=RUFF,
        amiss=[f"{each.filename}:{each.location.row}: {each.code}" for each in found[:NAMED]],
    )


def _hadolint(found: Sequence[_HadolintFinding]) -> Outcome:
    # Matters of style are told and do not fail: its --failure-threshold is `info`.
    grave = [each for each in found if each.level != "style"]
    return Outcome(
        tests=max(1, len(found)),
        failures=len(grave),
        tool=HADOLINT,
        amiss=[f"{each.file}:{each.line}: {each.code}" for each in grave[:NAMED]],
    )


def _bandit(report: _BanditReport) -> Outcome:
    files = len(report.metrics.keys() - {"_totals"})
    return Outcome(
        tests=files,
        failures=len(report.results),
        errors=len(report.errors),
        tool=BANDIT,
        amiss=[
            f"{each.filename}:{each.line_number}: {each.test_id}" for each in report.results[:NAMED]
        ],
    )


def _secrets(report: _SecretsReport) -> Outcome:
    held = [
        f"{file}:{each.line_number}: {each.type}"
        for file, several in report.results.items()
        for each in several
        if each.is_secret is not False
    ]
    return Outcome(
        tests=len(report.plugins_used),
        failures=len(held),
        tool=DETECT_SECRETS,
        tool_version=report.version,
        amiss=held[:NAMED],
    )


def _audit(report: _AuditReport) -> Outcome:
    unknown = [each.name for each in report.dependencies if each.skip_reason is not None]
    bad = [each.name for each in report.dependencies if each.vulns]
    return Outcome(
        tests=len(report.dependencies),
        failures=len(bad),
        errors=len(unknown),
        tool=PIP_AUDIT,
        amiss=[*bad, *(f"{name}: could not be looked up" for name in unknown)][:NAMED],
    )


_READERS: Final[Mapping[str, tuple[Any, Callable[[Any], Outcome]]]] = {
    RUFF: (list[_RuffFinding], _ruff),
    BANDIT: (_BanditReport, _bandit),
    HADOLINT: (list[_HadolintFinding], _hadolint),
    DETECT_SECRETS: (_SecretsReport, _secrets),
    PIP_AUDIT: (_AuditReport, _audit),
}
