"""wharf.yaml as a JSON Schema, from the same table by which it is read."""

import json
from typing import Any, Final

from deploy.release.app.fields import FILE

NAME: Final = "wharf.schema.json"
# What YAML readers of editors take (JSON Schema, draft 7).
_DIALECT: Final = "http://json-schema.org/draft-07/schema#"


def schema() -> dict[str, Any]:
    """Keys, types and grammars; what cannot be together is known to `deploy` alone."""
    return {
        "$schema": _DIALECT,
        "title": "wharf.yaml: an application, how it is built, and where it runs",
        **FILE.schema,
    }


def text() -> str:
    """The schema as a file, the same bytes each time."""
    return json.dumps(schema(), indent=2) + "\n"
