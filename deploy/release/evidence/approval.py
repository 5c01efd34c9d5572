"""Somebody's word that an image may go to an environment, kept as evidence like any other."""

from collections.abc import Sequence
from typing import Final

from deploy.release.evidence.model import MAX_TEXT_LENGTH, Evidence, checked, note_of
from wharfinger.errors import Rejected

PREFIX: Final = "approval."
# What approves: no report of a tool can be taken for somebody's word.
TOOL: Final = "approval"


def check_of(environment: str) -> str:
    """The name of the check by which a promotion to that environment is approved.

    Raises:
        Rejected: the environment's name is too long for a tag.
    """
    return checked(f"{PREFIX}{environment}")


def without_others(evidence: Sequence[Evidence], app: str) -> tuple[Evidence, ...]:
    """Evidence without the approvals of other applications that are made of the same image.

    Args:
        evidence: at the image's digest.
        app: that shall go somewhere.
    """
    return tuple(each for each in evidence if not each.check.startswith(PREFIX) or each.app == app)


def approval(app: str, environment: str, words: str, *, by: str, at: str) -> Evidence:
    """The evidence of an approval.

    Args:
        app: the application that may go there.
        environment: where it may go.
        words: why, of whoever approves.
        by: who that is.
        at: when, RFC 3339, UTC.

    Raises:
        Rejected: nobody approves, or without a word.
    """
    if not words.strip() or not by.strip():
        raise Rejected("an approval needs somebody's words: --approve 'why it may go there'")
    return Evidence(
        check=check_of(environment),
        passed=True,
        tests=1,
        tool=TOOL,
        at=at,
        by=note_of(by, MAX_TEXT_LENGTH),
        note=note_of(words.strip()),
        app=app,
    )
