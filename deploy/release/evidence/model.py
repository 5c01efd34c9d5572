"""What a check found out about an image: kept at the image's digest, in the registry."""

import re
from typing import Annotated, Final

import msgspec

from wharfinger.errors import Rejected
from wharfinger.text import printable, quantity, shortened

# What a tag of evidence has room for: 128 characters less the digest and the number.
MAX_CHECK_LENGTH: Final = 39
MAX_NOTE_LENGTH: Final = 1_000
MAX_TEXT_LENGTH: Final = 128
_CHECK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one run of one check.

    Attributes:
        check: which (`unit`, `bandit`, `pre.smoke`, `approval.production`).
        passed: whether it did; a run in which nothing ran did not.
        tests: how many there were, of whatever the tool counts.
        failures: how many found what they look for.
        errors: how many could not find out.
        skipped: how many were left out.
        tool: what looked.
        tool_version: of that; empty where it does not say.
        sha256: of the report, in hexadecimal; empty where there is none.
        at: when it was reported, RFC 3339, UTC.
        by: who did.
        note: what failed first, or the words of who approved; printable.
        app: of an approval, the application that it is of; empty for reports, which are of the
            image, of which several applications may be made.
    """

    check: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHECK_LENGTH)]
    passed: bool
    tests: _Count = 0
    failures: _Count = 0
    errors: _Count = 0
    skipped: _Count = 0
    tool: _Text = ""
    tool_version: _Text = ""
    sha256: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    at: Annotated[str, msgspec.Meta(max_length=40)] = ""
    by: _Text = ""
    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE_LENGTH)] = ""
    app: _Text = ""

    @property
    def holds(self) -> bool:
        """Whether it is a pass by its own figures, whatever it says of itself."""
        return self.passed and passes(self.tests, self.failures, self.errors, self.skipped)

    @property
    def figures(self) -> str:
        """`40 tests, 2 failed, 1 skipped`, for people."""
        said = [quantity(self.tests, "test")]
        said += [f"{self.failures} failed"] if self.failures else []
        said += [quantity(self.errors, "error")] if self.errors else []
        said += [f"{self.skipped} skipped"] if self.skipped else []
        return ", ".join(said)


def passes(tests: int, failures: int, errors: int, skipped: int) -> bool:
    """Whether something ran and nothing was amiss: what was skipped has shown nothing."""
    return not failures and not errors and tests > skipped


def checked(check: str) -> str:
    """The name of a check, which is part of a tag in the registry.

    Raises:
        Rejected: it cannot be one.
    """
    if not _CHECK.fullmatch(check) or len(check) > MAX_CHECK_LENGTH:
        raise Rejected(
            f"{shortened(check, 80)!a} is no name of a check: write letters, digits, '.',"
            f" '-' and '_', at most {MAX_CHECK_LENGTH}"
        )
    return check


def note_of(text: str, length: int = MAX_NOTE_LENGTH) -> str:
    """Text from elsewhere, fit for a field of evidence."""
    shown = printable(text[:length])
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."
