"""The errors that callers act on: each names what to do next, not which library failed."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from wharfinger.text import printable


class Exit(IntEnum):
    """Exit codes, after sysexits.h, but for 1, which answers a question with no.

    EMPTY is grep's: asked whether there is any, none was. UNHEALTHY is what container engines take
    (Dockerfile reference, HEALTHCHECK).
    """

    OK = 0
    EMPTY = 1
    UNHEALTHY = 1
    USAGE = 64
    UNAVAILABLE = 69
    BUG = 70
    TRY_LATER = 75
    CONFIG = 78


class WharfingerError(Exception):
    """Anything that Wharfinger raises on purpose."""

    exit_code: int = Exit.BUG


class Unavailable(WharfingerError):
    """The other side cannot be reached or cannot answer now: back off and try again."""

    exit_code = Exit.UNAVAILABLE


class Conflict(WharfingerError):
    """The world changed between looking and acting: look again and plan anew."""

    exit_code = Exit.TRY_LATER


class Rejected(WharfingerError):
    """This one input can never work: drop it, count it, say so; everything else goes on."""

    exit_code = Exit.USAGE


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a configuration or a host.

    Attributes:
        where: the key, file or address it is about (`registrar.port_range`).
        problem: what is wrong, in a sentence without a full stop.
        fix: what to do about it; may be empty.
        source: where the bad value came from (`file /etc/...`, `environment WHARFINGER_...`).
    """

    where: str
    problem: str
    fix: str = ""
    source: str = ""

    def __str__(self) -> str:
        source = f" ({self.source})" if self.source else ""
        fix = f"; {self.fix}" if self.fix else ""
        return printable(f"{self.where}{source}: {self.problem}{fix}")


class ConfigError(WharfingerError):
    """The configuration cannot be used as it is; carries every finding, not only the first."""

    exit_code = Exit.CONFIG

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))
