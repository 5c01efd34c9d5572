"""Ctrl-C in the second in which the command loads."""

import subprocess
import sys

from wharfinger.errors import Exit

# Python says all that it loads to what stands first in sys.meta_path.
LOADED_UNDER_A_SIGNAL = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "deploy.release.commands":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.{handler})
sys.argv[1:] = ["--version"]
sys.meta_path.insert(0, Finder())
import deploy.release.__main__
deploy.release.__main__.main()
"""


def loaded(handler: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LOADED_UNDER_A_SIGNAL.format(handler=handler)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_it_is_a_line_and_no_traceback() -> None:
    ended = loaded("default_int_handler")
    said = "deploy: SIGINT: interrupted, nothing was begun\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (Exit.TRY_LATER, "", said)


def test_who_ignores_it_goes_on() -> None:
    ended = loaded("SIG_IGN")
    assert ended.returncode == Exit.OK, ended.stderr
    assert ended.stdout.startswith("deploy ")
