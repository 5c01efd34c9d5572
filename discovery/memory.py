"""What discovery knew of etcd, on disk, for the first list of its next life."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from discovery.guard import Known
from discovery.model import Instance
from discovery.services.instances import instance_key
from discovery.services.tree import Lost
from wharfinger import keys
from wharfinger.errors import Rejected
from wharfinger.files import PRIVATE_MODE, write_atomically
from wharfinger.kv import KeyValue, Snapshot

ENCODED_AT_ONCE: Final = 200


class _Kept(msgspec.Struct, frozen=True):
    key: str
    instance: Instance
    lease: int


class _Saved(msgspec.Struct, frozen=True):
    revision: int
    items: list[KeyValue]
    kept: list[_Kept] = []


class Memory:
    """Two files; one that is missing or makes no sense is an empty one.

    Args:
        state_dir: the daemon's own folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self._known = state_dir / "services.json"
        self._instances = state_dir / "instances.json"

    def known(self) -> dict[str, Known]:
        """The services that had an instance lately."""
        try:
            found = msgspec.json.decode(self._known.read_bytes(), type=dict[str, Known])
        except (OSError, msgspec.MsgspecError):
            return {}
        return {name: one for name, one in found.items() if _is_service(name)}

    def keep_known(self, known: Mapping[str, Known]) -> None:
        """Writes them down.

        Raises:
            OSError: what was there stays.
        """
        write_atomically(self._known, msgspec.json.encode(dict(known)), mode=PRIVATE_MODE)

    def instances(self) -> Snapshot:
        """The keys of instances as they stood last."""
        saved = self._saved()
        return Snapshot(saved.revision, {entry.key: entry for entry in saved.items})

    def kept(self) -> tuple[Lost, ...]:
        """The instances that were served although etcd had lost them."""
        found = []
        for one in self._saved().kept:
            at = instance_key(one.key)
            if at is not None and at.endpoint.key == one.instance.key:
                found.append(Lost(at, one.instance, one.lease))
        return tuple(found)

    def keep(self, instances: Snapshot, kept: Iterable[Lost] = ()) -> None:
        """Writes both down, as they stood at one moment.

        Raises:
            OSError: what was there stays.
        """
        lost = [_Kept(one.key.address, one.instance, one.lease) for one in kept]
        items = list(instances.items.values())
        # In small pieces: while the whole is encoded, nothing else of this process could run.
        pieces = [
            msgspec.json.encode(items[first : first + ENCODED_AT_ONCE])[1:-1]
            for first in range(0, len(items), ENCODED_AT_ONCE)
        ]
        tail = b'],"kept":%b,"revision":%d}' % (msgspec.json.encode(lost), instances.revision)
        encoded = b'{"items":[' + b",".join(pieces) + tail
        write_atomically(self._instances, encoded, mode=PRIVATE_MODE)

    def _saved(self) -> _Saved:
        try:
            return msgspec.json.decode(self._instances.read_bytes(), type=_Saved)
        except (OSError, msgspec.MsgspecError):
            return _Saved(0, [])


def _is_service(name: str) -> bool:
    try:
        return keys.Service.parse(name).name == name
    except Rejected:
        return False
