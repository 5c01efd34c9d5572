"""The key that signs cookies, kept so that a restart signs nobody out."""

import secrets
from pathlib import Path

from logshipper.store.access.sessions import KEY_BYTES, Sessions
from wharfinger.files import PRIVATE_MODE, write_atomically

NAME = "session.key"


def fresh() -> Sessions:
    """Sessions that end with this process."""
    return Sessions(secrets.token_bytes(KEY_BYTES))


def kept(folder: Path) -> Sessions:
    """Sessions under the key in this folder, which is made if it is not there.

    Raises:
        OSError: it can be neither read nor made.
    """
    path = folder / NAME
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != KEY_BYTES:
        key = secrets.token_bytes(KEY_BYTES)
        write_atomically(path, key, mode=PRIVATE_MODE)
    return Sessions(key)
