"""A program that takes rancher-compose's place: the flags that `deploy` gives, the same posts."""

import argparse
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.stack.rancher import Body, FakeRancher
from tests.stack.ranchercompose import Poster

ACTIONS = {"confirm": ("upgraded", "finishupgrade"), "rollback": ("upgraded", "rollback")}
SCRIPT = """\
#!/bin/sh
PYTHONPATH={root} exec {python} -m tests.stack.ranchercommand "$@"
"""


def install(folder: Path) -> None:
    """Puts it where PATH may lead, under the real one's name."""
    folder.mkdir(exist_ok=True)
    program = folder / "rancher-compose"
    root = Path(__file__).parents[2]
    program.write_text(SCRIPT.format(root=root, python=sys.executable))
    program.chmod(0o755)


def _asked(url: str, body: Body | None = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("--project-name", "--file", "--rancher-file"):
        parser.add_argument(name, required=True)
    parser.add_argument("verb", choices=["up", "scale"])
    parser.add_argument("scales", nargs="*")
    for name in ("-d", "--upgrade", "--pull", "--confirm-upgrade", "--rollback"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--interval", type=int, default=1_000)
    given = parser.parse_args()
    rancher = FakeRancher(url=os.environ["RANCHER_URL"])
    rancher.services = {each["id"]: each for each in _asked(f"{rancher.url}/services")["data"]}
    for each in given.scales:
        name, _, count = each.partition("=")
        (found,) = (one for one in rancher.services.values() if one["name"] == name)
        url = f"{rancher.url}/services/{found['id']}"
        _asked(url, {"scale": int(count)}, method="PUT")
    if given.verb == "scale":
        return 0
    texts = (Path(given.file).read_text(), Path(given.rancher_file).read_text())
    poster = Poster(rancher, texts, {}, given.project_name)
    confirm = "confirm" if given.confirm_upgrade else ""
    if action := "rollback" if given.rollback else confirm:
        state, name = ACTIONS[action]
        for service in rancher.services.values():
            if service["state"] == state:
                _asked(f"{rancher.url}/services/{service['id']}?action={name}", {})
    elif not rancher.services:
        poster.up()
    elif given.upgrade:
        poster.upgrade(batch_size=given.batch_size, interval_millis=given.interval)
    return 0


if __name__ == "__main__":
    sys.exit(main())
