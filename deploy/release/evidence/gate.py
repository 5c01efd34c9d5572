"""Whether an image may go on: what evidence is missing at its digest, and how to bring it."""

from collections.abc import Mapping, Sequence
from typing import Final

from deploy.release.evidence.approval import PREFIX, TOOL
from deploy.release.evidence.model import Evidence
from wharfinger.text import quantity

# In `needs`: each of the application's own checks.
CHECKS: Final = "checks"


def wanted(needs: Sequence[str], checks: Sequence[str]) -> tuple[str, ...]:
    """The checks that are needed, each once, in the order of the file."""
    named = (each for need in needs for each in (checks if need == CHECKS else (need,)))
    return tuple(dict.fromkeys(named))


def newest(evidence: Sequence[Evidence]) -> Mapping[str, Evidence]:
    """What counts of each check: what was reported last.

    Args:
        evidence: oldest first.
    """
    return {each.check: each for each in evidence}


def missing(
    needs: Sequence[str], checks: Sequence[str], evidence: Sequence[Evidence], *, digest: str = ""
) -> tuple[str, ...]:
    """What stands in the way of a promotion, each with what brings it; nothing: it may go.

    Args:
        needs: of the environment that it shall go to.
        checks: of the application.
        evidence: at the digest, oldest first.
        digest: that a report has to name; empty where it is what was pushed last.
    """
    found = newest(evidence)
    reasons = (_missing(check, found.get(check), digest) for check in wanted(needs, checks))
    return tuple(reason for reason in reasons if reason)


def _missing(check: str, found: Evidence | None, digest: str) -> str:
    if check.startswith(PREFIX):
        return _not_approved(check, found)
    # Unless it is named, a report of ENVIRONMENT.CHECK is of what runs there, any other of
    # what was pushed last.
    where, dot, _ = check.rpartition(".")
    report = f"report {check} FILE" + (f" --digest {digest}" if digest and not dot else "")
    if found is None:
        how = f"once {where} runs it, deploy {report}" if dot else f"deploy {report}"
        return f"{check}: nobody reported it for this digest; {how}"
    return "" if found.holds else _not_passed(found, report)


def _not_approved(check: str, found: Evidence | None) -> str:
    if found is not None and found.holds and found.tool == TOOL:
        return ""
    return f"{check}: nobody approved it; the same command with --approve WORDS"


def _not_passed(found: Evidence, report: str) -> str:
    check = found.check
    again = f"mend it and deploy build, push, report {check} FILE"
    if found.errors and not found.tool:
        return f"{check}: what was reported last {found.note}; deploy {report} again"
    if found.failures or found.errors:
        note = f" ({found.note})" if found.note else ""
        return f"{check}: {found.figures} in {found.tool}, {found.at}{note}; {again}"
    if found.tests <= found.skipped:
        ran = f"{quantity(found.tests, 'test')}, all skipped," if found.tests else "no test ran"
        return f"{check}: {ran} in {found.tool}, which is no pass; run it and deploy {report}"
    return f"{check}: is reported as failed by {found.by}; {again}"
