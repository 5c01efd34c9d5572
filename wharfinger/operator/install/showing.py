"""What is shown of a plan: each file as a difference, each command, and what is left as it is."""

import difflib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

from wharfinger.errors import Finding
from wharfinger.logtext import harmless
from wharfinger.operator.install.applying import words
from wharfinger.operator.install.model import (
    Kernel,
    Plan,
    Reload,
    Remove,
    Rights,
    Run,
    Start,
    Step,
    Write,
)
from wharfinger.operator.install.root import Root
from wharfinger.operator.install.shipped import LOCAL_SHARE
from wharfinger.text import quantity

SECRET = ("secret", "token")
SHARED = "manual pages and completion of commands below /usr/local/share"
# Of a file that is new as a whole, so much is shown; --json has all of it.
SHOWN_LINES = 40


def lines(plan: Plan, root: Root) -> Iterator[str]:
    """What a dry run prints, a line at a time."""
    for step in plan.steps:
        yield f"{headline(step, root)}"
        yield from _difference(step) if isinstance(step, Write) else ()


def is_shared(step: Step) -> bool:
    """Whether it is about one of the many files of manual and completion."""
    match step:
        case Write(file):
            return file.path.startswith(LOCAL_SHARE)
        case Remove() | Rights():
            return step.path.startswith(LOCAL_SHARE)
        case _:
            return False


def headline(step: Step, root: Root) -> str:
    """One step on a line: what is done, and why."""
    return harmless(f"{_doing(step, root)}  # {step.why}", colours=False)


def _doing(step: Step, root: Root) -> str:
    match step:
        case Write(file):
            verb = "change" if step.before is not None else "write"
            return f"{verb} {file.path} {file.mode:04o} root:{file.group}"
        case Rights():
            return f"chmod {step.mode:04o}, chgrp {step.group} {step.path}"
        case Remove():
            return f"remove {step.path}"
        case Run() | Reload():
            return _running(step, root)
        case Kernel():
            return f"set {step.key.replace('/', '.')} = {step.value}"
        case Start():
            verbs = (f"{'re' if each in step.restart else ''}start {each}" for each in step.daemons)
            return ", ".join(verbs)
        case _:
            assert_never(step)


def _running(step: Run | Reload, root: Root) -> str:
    if isinstance(step, Run):
        return f"run {' '.join(words(step, root) if step.offline else step.command)}"
    return f"run {' && '.join(shlex.join(each) for each in (step.check, step.command) if each)}"


def _difference(step: Write) -> Iterator[str]:
    if step.file.kind in SECRET:
        yield f"  (a secret of {len(step.file.data)} bytes)"
        return
    if step.file.kind == "config" and step.before is None:
        yield "  (every default as a comment, and what is set:)"
        yield from _set(step.file.data.decode(errors="replace"))
        return
    before = (step.before or b"").decode(errors="replace").splitlines()
    after = step.file.data.decode(errors="replace").splitlines()
    shown = list(difflib.unified_diff(before, after, step.file.path, "new", lineterm="", n=1))
    if step.before is None and len(shown) > SHOWN_LINES:
        rest = len(shown) - SHOWN_LINES
        shown = [*shown[:SHOWN_LINES], f"... and {quantity(rest, 'more line')}: --json shows all"]
    for line in shown:
        yield f"  {harmless(line, colours=False)}"


def _set(text: str) -> Iterator[str]:
    """The lines of a configuration that say something."""
    header = ""
    for line in text.splitlines():
        if line.startswith("["):
            header = line
        elif line and not line.startswith("#"):
            if header:
                yield f"  +{header}"
            yield f"  +{harmless(line, colours=False)}"
            header = ""


def page(plan: Plan, root: Root, warnings: Sequence[Finding]) -> Mapping[str, Any]:
    """The same for programs."""
    return {
        "steps": [_told(step, root) for step in plan.steps],
        "remarks": list(plan.remarks),
        "warnings": list(warnings),
    }


def _told(step: Step, root: Root) -> Mapping[str, Any]:
    match step:
        case Write(file):
            content = None if file.kind in SECRET else file.data.decode(errors="replace")
            rights = {"mode": f"{file.mode:04o}", "group": file.group, "kind": file.kind}
            told: dict[str, Any] = {"do": "write", "path": file.path, **rights, "content": content}
        case Rights():
            told = {"do": "rights", "path": step.path, "mode": f"{step.mode:04o}",
                    "group": step.group}  # fmt: skip
        case Remove():
            told = {"do": "remove", "path": step.path}
        case Run():
            told = {"do": "run", "command": words(step, root) if step.offline else step.command}
        case Kernel():
            told = {"do": "set", "key": step.key, "value": step.value}
        case Start():
            told = {"do": "start", "daemons": step.daemons, "restart": sorted(step.restart)}
        case Reload():
            told = {"do": "reload", "check": step.check, "command": step.command}
        case _:
            assert_never(step)
    return {**told, "why": step.why}
