"""A test that hangs at each of its tries ends at each of them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANGS = "import time\n\ndef test_that_hangs():\n    time.sleep(600)\n"


def test_a_second_try_that_hangs_is_ended_too(tmp_path: Path) -> None:
    file = tmp_path / "test_hangs.py"
    file.write_text(HANGS)
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "-p", "tests.conftest"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "--timeout=1", file],
        env={**os.environ, "CI": "true"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 rerun" in done.stdout
