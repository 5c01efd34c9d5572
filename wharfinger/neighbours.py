"""Where the daemons of this host answer, by the configuration that they share."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wharfinger import sources
from wharfinger.address import own_url
from wharfinger.sources import Given, Table

LISTEN: Final = {
    "registrar": "127.0.0.1:7201",
    "discovery": "127.0.0.1:7202",
    "logshipper": "127.0.0.1:7203",
    "logstore": "127.0.0.1:7280",
}


def urls(path: Path | None, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where each daemon would answer if it runs on this host; a mistake in one leaves it out.

    Args:
        path: the configuration file; None for none.
        environment: the process's own unless given.
    """
    # What is wrong there is each daemon's own to complain of.
    tree = Table() if path is None else sources.from_file(path, [])
    environment = os.environ if environment is None else environment
    sources.merge(tree, sources.from_environment(environment, []))
    found = {name: _url(tree.entries.get(name), listen) for name, listen in LISTEN.items()}
    return {name: url for name, url in found.items() if url}


def _url(section: object, listen: str) -> str:
    entries = section.entries if isinstance(section, Table) else {}
    match entries.get("listen"):
        case Given(value=str(text)):
            listen = text
    try:
        return own_url(listen, tls="cert_file" in entries)
    except ValueError:
        return ""
