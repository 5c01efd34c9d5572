"""Made-up data in the place of etcd: templates are tried where there is none."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from discovery.model import Snapshot
from discovery.services.tree import Tree
from wharfinger import kv
from wharfinger.errors import ConfigError, Finding


def snapshot_of(path: Path) -> Snapshot:
    """What templates would see if etcd held what this file says.

    It is JSON: keys and their values (`{"/app_prod/10.0.0.1-80": "10.0.0.1:80"}`), folders as
    objects in objects (`{"app_prod": {"10.0.0.1-80": "10.0.0.1:80"}}`), or both. A list has the
    keys 0, 1, 2; a number or a truth stands as JSON writes it.

    Raises:
        ConfigError: there is no such file, or it is something else.
    """
    try:
        data = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ConfigError([Finding(str(path), f"cannot be read: {error.strerror}")]) from None
    except (msgspec.MsgspecError, RecursionError) as error:
        fix = 'write {"/key": "value"}'
        raise ConfigError([Finding(str(path), f"is no JSON object: {error}", fix)]) from None
    items = {
        key: kv.KeyValue(key, value.encode(), create_revision=1, mod_revision=1, version=1, lease=0)
        for key, value in _pairs("", data)
    }
    tree = Tree()
    tree.hear(kv.Listed(kv.Snapshot(1, items)))
    return tree.snapshot()


def _pairs(above: str, node: object) -> Iterator[tuple[str, str]]:
    match node:
        case Mapping():
            for name, below in node.items():
                yield from _pairs(f"{above}/{str(name).strip('/')}", below)
        case list():
            for number, below in enumerate(node):
                yield from _pairs(f"{above}/{number}", below)
        case str():
            yield above, node
        case None:
            yield above, ""
        case _:
            yield above, msgspec.json.encode(node).decode()
