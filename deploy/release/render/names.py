"""What engines call an application in an environment."""

import hashlib
import re
from typing import Final

from deploy.release.app.model import App, Environment

_DIGITS: Final = 8
_DASHES: Final = re.compile("-{2,}")
_OTHER: Final = re.compile(r"[^a-z0-9_-]", re.ASCII)


def project(app: App, environment: Environment) -> str:
    """The name of its project or stack: `<app>-<env>`, in small letters.

    No two have the same: where the name alone would not tell app and environment apart, because
    it has other characters or a dash in the environment, a part of a digest follows.
    """
    plain = f"{app.name}-{environment.name}"
    # Rancher takes no two dashes side by side.
    name = _DASHES.sub("-", _OTHER.sub("-", plain.lower())).rstrip("-")
    if name == plain and "-" not in environment.name:
        return name
    exact = f"{app.name}_{environment.name}".encode()
    return f"{name}-{hashlib.sha256(exact).hexdigest()[:_DIGITS]}"
