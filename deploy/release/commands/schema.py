"""`deploy schema`: wharf.yaml as a JSON Schema, which editors complete and check by."""

import argparse

from deploy.release.app.schema import text
from wharfinger.errors import Exit
from wharfinger.operator import terminal
from wharfinger.operator.verbs import Verbs


def add_to(verbs: Verbs) -> None:
    """Adds `schema` to the command."""
    parser = verbs.add("schema", _schema, "print the JSON Schema of wharf.yaml, for editors")
    parser.add_argument("--json", action="store_true", help="it is JSON in any case")


async def _schema(_parsed: argparse.Namespace) -> Exit:
    terminal.write(text())
    return Exit.OK
