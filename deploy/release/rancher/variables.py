"""Variables in both files, as rancher-compose replaces them."""

import re
from collections.abc import Collection
from typing import Final

from deploy.release.yamllines import Reading, Value

# libcompose's interpolation: $$, $NAME and ${NAME}; a name may not begin with a digit only
# without braces. A default (${NAME:-x}), which Compose knows, is an error there.
PLACE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<braced>[A-Za-z0-9_]+)\}|(?P<bare>[A-Za-z_][A-Za-z0-9_]*))",
    re.ASCII,
)


def check(reading: Reading, service: Value, answered: Collection[str]) -> None:
    """Notes what would not be replaced, or would be by nothing.

    rancher-compose puts an empty text in the place of a variable that nobody has set, with a
    warning at most: the image `:` or a listen address without a host.
    """
    for value in service.texts():
        written = str(value.scalar)
        if "$" in PLACE.sub("", written):
            reading.fault(
                value,
                f"{written[:80]!r} is no form of a variable that rancher-compose knows",
                "write ${NAME}, without a default, or $$ for a dollar",
            )
            continue
        for match in PLACE.finditer(written):
            name = match["braced"] or match["bare"]
            if name and name not in answered:
                reading.fault(
                    value,
                    f"nobody answers for ${{{name}}}: it would be replaced by nothing",
                    "add a question to `catalog` in rancher-compose.yml, or a value",
                )
