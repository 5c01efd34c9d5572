"""`deploy report`: a tool's report becomes evidence at a digest in the registry."""

import asyncio
from pathlib import Path

from deploy.release.app.model import App
from deploy.release.evidence.gate import wanted
from deploy.release.evidence.judging import MAX_REPORT_BYTES, Reporter, judge
from deploy.release.evidence.model import Evidence
from deploy.release.progress import Progress
from deploy.release.records.pushes import Push, Pushes
from deploy.release.reference import is_digest
from deploy.release.registry import Registry
from deploy.release.registry.push import PUSHED
from deploy.release.workingcopy import WorkingCopy
from wharfinger.errors import Rejected


async def report(
    app: App,
    check: str,
    file: Path,
    reporter: Reporter,
    *,
    digest: str,
    registry: Registry,
    progress: Progress,
) -> Evidence:
    """Reads a report, and keeps what it says at a digest; see `digest_of`.

    Args:
        app: whose image it is.
        check: which of its checks.
        file: what the tool wrote.
        reporter: who brings it.
        digest: what was checked.
        registry: keeps it.
        progress: is told.

    Raises:
        Rejected: the report cannot be read, or there is no such digest in the registry.
        Unavailable: the registry is away.
    """
    found, data = await judged(check, file, reporter)
    if check not in known(app):
        progress.step(f"no environment of {app.name} needs {check}: is that its name?")
    tag = await registry.attach(app.image, digest, found, data)
    outcome = "passed" if found.holds else "did not pass"
    progress.step(f"{check} {outcome}: {found.figures}; kept as {app.image}:{tag}")
    return found


async def digest_of(
    app: App, given: str | None, *, copy: WorkingCopy, pushes: Pushes | None
) -> str:
    """What a report is about: what was named, else what was pushed here, else what was last.

    Raises:
        Rejected: nothing was.
        Unavailable: etcd, which knows what was last, is away.
    """
    if given is not None:
        digest = given.rpartition("@")[2]
        if not is_digest(digest):
            raise Rejected(f"{given[:100]!a} is no digest: write sha256: and 64 digits of 0-9a-f")
        return digest
    found = copy.read(PUSHED, Push)
    if (found is None or found.image != app.image) and pushes is not None:
        found = await pushes.newest(app.image)
    if found is None:
        raise Rejected(f"nothing of {app.name} was pushed: deploy push, or name it by --digest")
    return found.digest


def known(app: App) -> tuple[str, ...]:
    """Every check that some environment needs, and the application's own."""
    needs = [need for environment in app.environments.values() for need in environment.needs]
    return wanted([*app.checks, *needs], app.checks)


async def judged(check: str, file: Path, reporter: Reporter) -> tuple[Evidence, bytes]:
    """What a report says, and the report.

    Raises:
        Rejected: it cannot be read, or says nothing; the message names the file.
    """
    data = await asyncio.to_thread(_read, file)
    try:
        return judge(check, data, reporter), data
    except Rejected as error:
        raise Rejected(f"{file}: {error}") from error


def _read(file: Path) -> bytes:
    """A report, at most one byte longer than may be."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise Rejected(f"{file}: {error.strerror}: did the tool run?") from error
