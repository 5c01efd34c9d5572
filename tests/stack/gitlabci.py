"""A GitLab pipeline that runs on this machine, as its runners' shell executors would run it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parents[2]
RUNNER: Final = TREE / "build" / "gitlab-ci" / "node_modules" / ".bin" / "gitlab-ci-local"
_STATE: Final = re.compile(r"^ *(PASS|FAIL|WARN) +(\S+)", re.MULTILINE)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a pipeline.

    Attributes:
        code: with which it ended.
        output: everything that it printed.
    """

    code: int
    output: str

    @property
    def jobs(self) -> dict[str, str]:
        """What became of each job that ran: PASS, FAIL, or WARN where a failure is allowed."""
        return {name: state for state, name in _STATE.findall(self.output)}


@dataclass(frozen=True, slots=True)
class Project:
    """A working copy with a .gitlab-ci.yml.

    Attributes:
        folder: of it.
        environment: of its jobs, beside what a shell needs.
    """

    folder: Path
    environment: Mapping[str, str]

    def git(self, *words: str) -> str:
        """Runs git in it."""
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@shop.test")
        command = ("git", "-C", str(self.folder), *who, *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str) -> None:
        """Commits everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def run(self, *jobs: str, timeout_seconds: float = 300.0) -> Ran:
        """Runs the pipeline, or some of its jobs with what is left of those before them."""
        assert RUNNER.exists(), f"{RUNNER} is missing: .ci/setup installs it"
        venv = Path(sys.executable).parent
        # Each job in a copy of its own, as on a runner: only artifacts go from one to another.
        words = (str(RUNNER), "--shell-isolation", "--home", str(self.folder.parent / "home"))
        with subprocess.Popen(
            (*words, *jobs),
            cwd=self.folder,
            env={
                "PATH": f"{venv}:{os.environ['PATH']}",
                "HOME": str(self.folder.parent / "home"),
                **self.environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=timeout_seconds)
            except subprocess.TimeoutExpired:
                # The jobs, too: they would go on without the pipeline.
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                raise AssertionError(f"not over after {timeout_seconds:g} s:\n{output}") from None
        return Ran(process.returncode, _COLOURS.sub("", output))
